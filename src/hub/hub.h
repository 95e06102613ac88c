/* The live sessions of one network thread, the index from user to sessions, and the tail of recent events. One hub per
 * network thread; hubs share nothing but events. Unless marked «any thread», everything runs on the hub's own thread. */
#ifndef ESINK_HUB_H
#define ESINK_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/inbox.h"
#include "esink/session.h"
#include "esink/source.h"

struct auth;
struct identity; /* auth/auth.h */
struct ruleset; /* rules/ruleset.h */

/* Limits and services, borrowed for the life of the hub; the same for every hub of the process. Sessions per user, per
 * address and in all are counted over all hubs, in struct hub_shared. A limit of 0 is no limit. */
struct hub_config {
	const struct auth *auth;
	const struct ruleset *rules; /* FILTERS of republished events; NULL: none */
	struct services services;
	bool allow_republishing;
	const char *default_source;
	int64_t auth_timeout_ms;    /* 10 s: a websocket's first message */
	int64_t live_timeout_ms;    /* 10 s: waiting for the database */
	int64_t auth_recheck_ms;
	int64_t slow_timeout_ms;
	int64_t heartbeat_ms;       /* ping a websocket, comment or position to a stream, after this much quiet */
	int64_t heartbeat_timeout_ms;
	int64_t position_ms;        /* `position` at least this often while quiet */
	size_t session_queue_bytes; /* a session with more than this in one turn reads on at its own pace */
	size_t tail_bytes;
	size_t inbox_bytes;         /* events handed over and not yet taken: hub_deliver() waits above it */
	uint32_t max_sessions, max_sessions_per_user, max_sessions_per_address, max_messages_per_second, max_patterns;
	uint32_t max_pattern_bytes;
	uint32_t max_pending_auth;
};

struct hub_shared; /* counters over all hubs */
struct hub_shared *hub_shared_create(void);
void hub_shared_destroy(struct hub_shared *shared);

/* wake: makes the hub's thread call hub_turn() soon; called from any thread. */
struct hub *hub_create(const struct hub_config *config, struct hub_shared *shared, void (*wake)(void *), void *wake_context);
/* No session may be left, no turn may be running, and every job handed to services must have been done() by then: end the
 * lanes first. NULL is fine. */
void hub_destroy(struct hub *hub);

/* -- from the source: any thread -- */
/* Hands over events (takes a reference of its own to each). Blocks while the hub holds more than inbox_bytes of them
 * unread; returns false when the hub is stopping. */
bool hub_deliver(struct hub *hub, struct event *const *events, size_t count);
/* Capture is live from this position on. A journal other than before closes every session with CLOSE_JOURNAL, and so does a
 * hole that is new. */
void hub_live(struct hub *hub, const struct source_position *head);
/* Capture is not live: new sessions wait. Sessions that are there stay. */
void hub_away(struct hub *hub);

/* After auth_reload(): ends the sessions that a key or operator's token let in which is no longer configured, with
 * CLOSE_KEY_GONE, some in each turn; the last hub to be done logs how many there were. Does not wait for it. Any thread. */
void hubs_withdraw(struct hub *const *hubs, size_t count);

/* -- the thread's own -- */
/* One loop turn: takes what the inbox holds, queues deliveries, sends once per session, reaps what closed. */
void hub_turn(struct hub *hub);
/* About four times a second: time-outs, heartbeats, re-checks, stalled sessions. */
void hub_tick(struct hub *hub);
/* Closes every session with CLOSE_RESTART, refuses new ones. spread_ms: over this long. */
void hub_drain(struct hub *hub, int64_t spread_ms);
size_t hub_session_count(const struct hub *hub);
/* For transports that need their own jobs run on the hub's thread: posts a task. Any thread. */
struct inbox *hub_inbox(struct hub *hub);
const struct hub_config *hub_config(const struct hub *hub);

/* Who is the bearer of a token, for a request that begins no session. Answers once, in this call (which then returns NULL) or
 * later on the hub's thread: STATUS_OK with who it is (identity->user is the callee's to free), STATUS_UNAUTHORIZED, or
 * STATUS_UNAVAILABLE when the database did not say. Look-ups under way are bounded together with those of sessions; the rest
 * wait, so whoever asks has a time limit of its own. */
struct inquiry;
typedef void inquiry_fn(void *context, enum status status, struct identity *identity);
struct inquiry *hub_inquire(struct hub *hub, struct span token, inquiry_fn *answer, void *context);
void inquiry_forget(struct inquiry *inquiry); /* is not answered any more; NULL is fine */

/* Every published event with a ref is reported here once per hub as it is ingested: the ids of the sessions it was queued
 * to. Set before the threads start. Called on the hub's thread. */
typedef void hub_shown_fn(void *context, const struct event *event, char *const *session_ids, size_t count);
void hub_on_shown(struct hub *hub, hub_shown_fn *fn, void *context);

#endif
