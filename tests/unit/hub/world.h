/* A hub with everything around it faked but what it really uses (rules, auth, wire are the real
 * ones): clients that record what they are sent and say how their socket fares, and lanes whose
 * jobs the test answers by hand.
 */
#ifndef ESINK_TEST_WORLD_H
#define ESINK_TEST_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../clock.h"
#include "auth/auth.h"
#include "base/buf.h"
#include "hub/hub.h"
#include "rules/ruleset.h"

#define JOURNAL "0123456789abcdef"
#define OTHER_JOURNAL "fedcba9876543210"
#define SECRET "a secret of at least thirty-two bytes"
#define OPERATOR "operator-token"
#define MESSAGES_MAX 8192

struct client {
	struct session session; /* first: the hub knows the client by it */
	struct buf bytes;       /* sent and not yet looked at */
	struct buf pieces;      /* of a message that comes in fragments */
	json_t *messages[MESSAGES_MAX];
	size_t count;
	size_t sends, heartbeats, wanted; /* calls of ops */
	size_t last_words;                /* sends to one that fetches, while behind */
	enum send_result next;            /* what send() answers */
	bool vanish_on_send, vanish_on_close;
	struct client *takes_along; /* disconnects within this one's close(), its memory gone */
	bool forgetful;             /* keeps nothing of what it is sent */
	bool refused, closed;
	enum close_reason reason;
	unsigned long progress;
	unsigned long in_flight;
	size_t room; /* what room() answers */
	char refusal[512];
	char unsaid[512]; /* within close() */
};

struct world {
	struct hub_config config;
	struct auth *auth;
	struct ruleset *rules;
	struct hub_shared *shared;
	struct hub *hub, *there; /* there: world_second() */
	uint64_t head;
	struct lookup_job *lookups[256];
	struct read_job *reads[256];
	struct publish_job *publishes[256];
	struct consumer_job *consumes[256];
	size_t lookup_count, read_count, publish_count, consume_count;
	bool full; /* lanes take nothing */
	struct client *clients[256];
	size_t client_count;
	char shown[1024]; /* the last hub_on_shown() */
	size_t shown_calls;
};

/* Live at head 100, limits generous; change world->config before the first client. For
 * cmocka_unit_test_setup_teardown. */
int world_setup(void **state);
int world_teardown(void **state);
void world_second(struct world *world); /* another thread's hub, live at the same head; events do not come to it by themselves */
void world_live(struct world *world, const char *journal, uint64_t id);

/* token, after: NULL for none. A websocket. */
struct client *client_open(struct world *world, const char *token, const char *after);
struct client *stream_open(struct world *world, const char *token, const char *after);
struct client *client_open_with(struct world *world, const struct transport_ops *ops,
	const struct session_request *request);
extern const struct transport_ops fake_websocket, fake_stream, fake_fetching;
struct client *client_of(
	struct world *world, const char *user); /* looked up and connected; messages forgotten */
struct client *client_test(struct world *world);
struct client *client_operator(struct world *world);
void client_gone(struct client *client);
void client_say(struct client *client, const char *text);
void client_writable(struct client *client); /* the socket took all */

/* What it was sent: named messages in order. Forgets them. */
void client_read(struct client *client);
void client_forget(struct client *client);
/* Asserts on what was sent since the last forget, e.g. "connected changes:101 changes:102:delete
 * error:401". */
void assert_sent(struct client *client, const char *expected);
void assert_ids(
	struct client *client, uint64_t from, uint64_t to); /* exactly these `changes`, in order */
json_t *message_data(struct client *client, size_t index);

/* The next event, delivered and turned: users is a comma list, "*": broadcast. */
void publish(struct world *world, const char *users);
void publish_many(struct world *world, const char *users, size_t count); /* as one batch */
void publish_parts(struct world *world, struct event_parts parts);
struct event *event_of(uint64_t id, const char *users, struct event_parts parts);

/* The oldest job that was handed over. */
void lookup_answer(struct world *world, enum status status, const char *user, bool numeric);
void read_answer(
	struct world *world, enum status status, const char *users, uint64_t from, uint64_t to);
void publish_answer(struct world *world, enum status status);
/* A poll: the events of that range, and everything up to seen was looked at. topics: the consumer's, as it is kept. */
void consume_answer(struct world *world, enum status status, const char *topics, uint64_t from, uint64_t to, uint64_t seen);

/* A token of JWT_SECRET; malloc'ed. seconds from now. */
char *jwt_of(const char *user, double seconds);

#endif
