/* A whole relay without a database, for the tests of the network side: the real server, hubs and rules; tokens `user-7` are
 * users, what is published gets the next id and goes to every hub. Of one thread, but for relay_emit(). */
#ifndef ESINK_TEST_RELAY_H
#define ESINK_TEST_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/hub.h"
#include "transport/server.h"

#define RELAY_JOURNAL "0123456789abcdef"
#define RELAY_OPERATOR "operator-secret"

struct relay;

struct relay_options {
	struct server_config server; /* host and port are set */
	struct hub_config hub;       /* its limits; zero: sensible ones */
	bool no_operator, not_live;
	int publish_delay_ms;
};

struct relay *relay_start(const struct relay_options *options);
int relay_port(const struct relay *relay);
struct server *relay_server(const struct relay *relay);
/* Events of data_bytes each, to one user (NULL: to everybody), handed over at once. Returns the last id. */
uint64_t relay_emit(struct relay *relay, const char *user, size_t count, size_t data_bytes);
/* Sessions of all threads, asked of each on its own. */
size_t relay_sessions(struct relay *relay);
void relay_set_ready(struct relay *relay, bool ready);
int relay_asked(struct relay *relay);     /* how many publications have come so far */
int relay_published(struct relay *relay); /* how many of them were published */
void relay_stop(struct relay *relay);

#endif
