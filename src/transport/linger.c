/* A socket that is closed while bytes of its peer are unread, or still come, answers with a reset, and a client that meets the
 * reset while it writes never reads the answer that came before it: it sees «connection reset» in place of 413. So a request
 * that is answered before its body was read leaves its socket here: a duplicate of the descriptor, which keeps the
 * connection half open when libwebsockets closes its own. What comes is read and thrown away, up to LINGER_BYTES; then
 * the client's writes wait, and it finds the answer. The end comes with the client's, after LINGER_MS at the latest.
 *
 * Until then it is one of MAX_CONNECTIONS, by which descriptors are reckoned; where those are all there, it is closed as it is, and so is
 * a spare connection.
 *
 * With TLS the bytes are encrypted ones: nobody looks at them.
 */
#include "transport/linger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "transport/conn.h"
#include "transport/thread.h"

#define LINGER_MS 2000
#define LINGER_BYTES 4194304
#define LINGER_MAX 256 /* sockets of a thread; more are closed as they are */
#define READ_BYTES 16384

struct lingering {
	uv_poll_t poll;
	struct lingering *next, *prev;
	int fd;
	size_t left; /* bytes that are still read */
	int64_t deadline;
};

static void on_closed(uv_handle_t *handle)
{
	free((struct lingering *)handle);
}

/* A descriptor of its own for the socket, which counts; -1: there is none. */
static int take_descriptor(struct shared *shared, int fd)
{
	int own = -1;

	if (atomic_fetch_add(&shared->connections, 1) < shared->config.max_connections)
		own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		atomic_fetch_sub(&shared->connections, 1);
	return own;
}

static void give_descriptor_back(struct shared *shared, int own)
{
	close(own);
	atomic_fetch_sub(&shared->connections, 1);
}

static void drop(struct thread *thread, struct lingering *one)
{
	if (one->next)
		one->next->prev = one->prev;
	if (one->prev)
		one->prev->next = one->next;
	else
		thread->lingering = one->next;
	thread->lingering_count--;
	uv_close((uv_handle_t *)&one->poll, on_closed);
	give_descriptor_back(thread->shared, one->fd);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct lingering *one = (struct lingering *)poll;
	char bytes[READ_BYTES];
	ssize_t n;

	(void)events;
	n = status < 0 ? 0 : recv(one->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		drop(poll->data, one);
	else if ((size_t)n < one->left)
		one->left -= (size_t)n;
	else
		uv_poll_stop(poll);
}

void linger_begin(struct conn *conn)
{
	struct thread *thread = conn->thread;
	struct lingering *one;
	int own;

	if (conn->surplus || thread->lingering_count >= LINGER_MAX || lws_partial_buffered(conn->wsi))
		return;
	own = take_descriptor(thread->shared, conn->fd);
	if (own < 0)
		return;
	if (!thread->tls)
		shutdown(own, SHUT_WR);
	one = mem_zero(1, sizeof(*one));
	if (uv_poll_init(&thread->loop, &one->poll, own) < 0) {
		give_descriptor_back(thread->shared, own);
		free(one);
		return;
	}
	one->poll.data = thread;
	one->fd = own;
	one->left = LINGER_BYTES;
	one->deadline = clock_ms() + LINGER_MS;
	one->next = thread->lingering;
	if (one->next)
		one->next->prev = one;
	thread->lingering = one;
	thread->lingering_count++;
	uv_poll_start(&one->poll, UV_READABLE, on_readable);
}

void linger_tick(struct thread *thread)
{
	int64_t now = thread->lingering ? clock_ms() : 0;
	struct lingering *next;

	for (struct lingering *one = thread->lingering; one; one = next) {
		next = one->next;
		if (one->deadline <= now)
			drop(thread, one);
		else
			shutdown(one->fd, SHUT_WR); /* with TLS libwebsockets has said its last word meanwhile */
	}
}

void linger_end(struct thread *thread)
{
	while (thread->lingering)
		drop(thread, thread->lingering);
}
