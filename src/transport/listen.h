/* Taking the port, and the sockets that accept on it. */
#ifndef ESINK_LISTEN_H
#define ESINK_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "esink/status.h"
#include "transport/server.h"

/* Beyond MAX_CONNECTIONS, for health probes: a relay that is full is well, and whoever restarts it for want of an answer throws all its
 * clients out. Anything else is told there that it is full. Each has conn.c's SURPLUS_MS, or those who made us full would have them all. */
#define SPARE_CONNECTIONS 16

/* One socket per thread and address: fds[thread * addresses + address]. */
struct listening {
	int *fds;
	size_t threads, addresses;
	int port;
};

/* Takes the port exclusively first, so that a second esink is refused and does not share it, and then shares it among the
 * threads. The error names PORT or HOST; STATUS_CONFLICT: the port is taken; STATUS_DENIED: not ours
 * to take. */
enum status listening_open(struct listening *listening, const struct server_config *config, struct err *err) MUST_CHECK;
void listening_close(struct listening *listening); /* those that nobody took (set to -1) */

struct thread;
/* On the thread's loop: accepts until listen_end(). A lack of descriptors pauses it until the next listen_resume(). */
bool listen_begin(struct thread *thread);
void listen_resume(struct thread *thread);
void listen_end(struct thread *thread);
/* Says now and then that MAX_CONNECTIONS are open. */
void listen_full(struct thread *thread);

#endif
