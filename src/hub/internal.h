/* What the files of src/hub share and nobody else sees. In order of the path: hub.c (inbox, turns)
 * -> ingest.c (event to sessions) -> flush.c (deliveries to one send a session; large.c) -> replay.c
 * (sessions that read on by themselves, from the tail or the journal; pages.c); session.c, login.c,
 * receive.c, republish.c, sample.c, timers.c are the life of one session, inquiry.c the token of a request without
 * one (both by lookup.c), withdraw.c the end of
 * those whose key is gone, move.c the way of one from one hub to another; users.c, tail.c,
 * shared.c, walk.c are what the others stand on.
 *
 * A rule that all of them keep: ops->send and ops->close may end the session they are called for,
 * so whoever called looks at session_usable() before touching it again.
 */
#ifndef ESINK_HUB_INTERNAL_H
#define ESINK_HUB_INTERNAL_H

#include <jansson.h>
#include <pthread.h>
#include <stddef.h>

#include "auth/auth.h"
#include "base/buf.h"
#include "base/map.h"
#include "hub/hub.h"
#include "wire/wire.h"

#define HELD_MAX 65536              /* bytes of messages that wait for one session */
#define READS_AT_ONCE 4             /* journal pages of one hub under way */
#define READ_PAGE 256               /* events per journal page */
#define PAGE_LARGE 4194304          /* bytes of one that is large */
#define LARGE_EVENT 65536           /* bytes of a frame that is sent in portions when it has more */
#define REPLAY_SCAN 4096            /* events of the tail that one session looks at in one go */
#define TURN_DELIVERIES_MAX 1048576 /* deliveries collected before they are sent: 16 MB at most */
#define RUN_MAX 128                 /* broadcasts that are routed together */
#define TURN_DELIVERIES_KEPT 65536  /* room that is kept from turn to turn: 1 MB */
#define RETRY_MS 500                /* before a look-up that failed is tried again */
#define RECHECK_RETRY_MS 1000       /* the same for a session that is in already: a token must not outlive it for long */
#define SAMPLE_MS 5000              /* TEST sessions */
#define ALLOWANCES 4096 /* users apart, of whom more may be here: allowance.c */
#define WALK_WHOLE 4096 /* sessions that one tick looks at; of more, a quarter at a time */

/* session->requested */
#define SESSION_CONNECTED 1 /* `connected` was sent */
#define SESSION_NUMERIC 2   /* the user id is shown as a number */

/* -- users.c: who is here, by user -- */
struct user {
	uint64_t hash;
	struct session *sessions;
	struct span id; /* into text */
	char text[];
};

void user_join(struct session *session, struct span id); /* kind USER; kind OPERATOR: id absent */
void user_leave(struct session *session);

/* -- tail.c: the newest events, by id -- */
struct tail {
	struct event **ring; /* of the event with id i: ring[i & (room - 1)] */
	size_t room, count, bytes;
	uint64_t first; /* id of the oldest that is kept; with count 0: of the next to come */
};

void tail_reset(struct tail *tail, uint64_t next_id);
/* Takes a reference of its own; the id must be tail_head() + 1. */
void tail_append(struct tail *tail, struct event *event);
void tail_trim(struct tail *tail, size_t max_bytes);
struct event *tail_event(const struct tail *tail, uint64_t id); /* NULL: not kept */
static inline uint64_t tail_head(const struct tail *tail)
{
	return tail->first + tail->count - 1;
}

/* -- shared.c: what is counted over all hubs -- */
/* The address as it is kept until shared_leave(), or NULL with a sentence when a limit refuses one more. Any thread. */
const char *shared_enter(struct hub_shared *shared, const struct hub_config *config, const char *address,
	const char **message);
void shared_leave(struct hub_shared *shared, const char *address);
bool shared_user_enter(struct hub_shared *shared, uint32_t max, struct span user);
void shared_user_leave(struct hub_shared *shared, struct span user);
/* The newest id that any hub was handed: what a client may have seen of another thread's. */
void shared_raise_head(struct hub_shared *shared, const char *journal, uint64_t id);
uint64_t shared_head(struct hub_shared *shared, const char *journal);
bool shared_journal_is(struct hub_shared *shared, const char *journal); /* the newest that any hub was told of */

/* -- walk.c: all sessions, while any of them may go -- */
struct walk {
	struct session *at;
	struct walk *below;
};

void walk_begin(struct hub *hub, struct walk *walk);
struct session *walk_next(struct walk *walk);
void walk_end(struct hub *hub, struct walk *walk);
void sessions_link(struct session *session);
void sessions_unlink(struct session *session);
void leave_dirty(struct session *session); /* what was routed to it in this turn is not sent */

/* -- the hub -- */
/* One event that is to be sent in this turn, and what is sent before it: a session's deliveries are a way back from the
 * last one to index 0. Sessions that get the same share one way: of a broadcast there is one for all of them. */
struct delivery {
	struct event *event; /* kept by its batch until the flush */
	uint32_t before;     /* 0: it is the first */
	uint32_t after : 30; /* the newest whose `before` this is; 0: none */
	uint32_t class : 2;
};

/* Frames of one session, up to session_queue_bytes but one at least, to be sent by one call. */
struct pack {
	struct event *event;      /* of the first */
	const struct frame *only; /* the first; alone it is sent from where it lies */
	size_t frames, len;
};

/* What was packed last, for the next session that gets the same. */
struct packed {
	uint32_t delivery; /* the last of the way; 0: nothing, or the scratch holds something else by now */
	enum encoding encoding;
	struct pack pack;
	struct event *end; /* the last one that is in it */
};

struct allowance {
	int64_t at; /* ms: when it was last paid off */
	int64_t owed_us;
};

struct batch;
struct consume;
struct lookup;
struct page;
struct reading;
struct republish;
struct withdrawal;

struct hub {
	const struct hub_config *config;
	struct hub_shared *shared;
	struct inbox inbox;
	int64_t now;  /* ms, monotonic, as of the current turn or call */
	int64_t wall; /* ms since 1970, as of the current tick */

	/* Handed over and not yet taken, guarded by lock: the back-pressure on hub_deliver(). */
	pthread_mutex_t lock;
	pthread_cond_t taken;
	size_t waiting_bytes;
	bool stopping;

	bool live;
	char journal[JOURNAL_LEN + 1]; /* "": not known yet */
	struct source_holes holes;
	struct tail tail;
	struct batch *spent; /* ingested, but deliveries of this turn point into them */

	struct session *sessions, *operators, *dirty;
	struct map users;
	struct allowance allowances[ALLOWANCES];
	struct walk *walks, ticking, withdrawing;
	struct withdrawal *withdrawal; /* the newest under way; NULL: none */
	size_t count, closing, waiting; /* sessions; of them CLOSING, WAITING */

	struct delivery *deliveries; /* from index 1 on; 0 is where every way begins */
	size_t delivery_count, delivery_room;
	size_t routed;   /* in this turn, to all sessions together */
	struct event *run[RUN_MAX]; /* broadcasts that are not routed yet; kept by their batch */
	size_t run_count;
	uint32_t *order; /* of one session's deliveries, from the first on */
	size_t order_room;
	struct packed packed;
	char *scratch; /* frames of one session, side by side */
	size_t scratch_room;
	struct buf said; /* the message under construction */

	struct page *pages;                     /* of the journal, the one used last first */
	struct reading *reads, **reads_last;    /* wait their turn */
	struct reading *reads_out;              /* under way */
	size_t read_max;                        /* events to ask for: fewer where they are large */
	struct lookup *lookups, **lookups_last; /* wait their turn */
	size_t reads_under_way, lookups_under_way;
	size_t rechecks; /* of the look-ups, under way or waiting */
	struct republish *republishing;
	struct consume *consumes; /* questions of consumers */
	size_t parked;            /* of them, polls that wait */
	bool consumes_due;

	bool draining;
	int64_t drain_began, drain_spread;
	size_t drain_total;

	hub_shown_fn *shown;
	void *shown_context;
	char **shown_ids;
	size_t shown_count, shown_room;
	struct err refusal; /* session_open()'s sentence, until its next call */
	const char *unsaid; /* session_unsaid() */
};

/* -- ingest.c, flush.c -- */
void ingest(struct hub *hub, struct event *event);
void ingest_settle(struct hub *hub); /* behind the last of a batch: what waits for its run to end is routed */
void flush(struct hub *hub);
const struct event *first_routed(const struct session *session); /* of this turn, to a session that is dirty */
void spent_release(struct hub *hub); /* hub.c */

/* False: no room for it. */
bool pack_add(struct session *session, struct pack *pack, struct event *event, enum event_class class);
bool pack_send(struct session *session, const struct pack *pack); /* as session_put() */

/* -- large.c -- */
bool large_send(struct session *session, struct event *event, const struct frame *frame); /* as session_put() */
bool large_go_on(struct session *session); /* the same with what is left of it, if anything is */
void large_forget(struct session *session);

/* -- pages.c -- */
void pages_keep(struct hub *hub, struct event_batch *batch); /* takes the events that it keeps */
/* The page with the event that follows, borrowed until the next call; NULL: none. */
const struct event_batch *pages_find(struct hub *hub, uint64_t after);
void pages_drop(struct hub *hub);

/* -- replay.c -- */
void leave_live(struct session *session, uint64_t position, uint64_t key);
void leave_live_at_head(struct session *session);
void leave_live_unsent(struct session *session); /* outside of the flush; in any other state nothing */
void replay(struct session *session); /* the next step of a session in REPLAY that is not behind */
void reading_start(struct session *session);
void reading_forget(struct session *session);
void readings_go_on(struct hub *hub);

/* -- session.c -- */
static inline bool session_usable(const struct session *session)
{
	return session->state != SESSION_CLOSED && session->state != SESSION_CLOSING;
}
static inline bool session_connected(const struct session *session)
{
	return session->requested & SESSION_CONNECTED;
}
void session_set_state(struct session *session, enum session_state state);
/* Sends now; the session must not be behind. False: it is not to be used any more. */
bool session_put(struct session *session, const char *bytes, size_t len);
bool session_put_event(struct session *session, struct event *event, const struct frame *frame); /* whole */
/* The same outside of the flush: a session that is behind then leaves LIVE where it stands. */
bool session_tell(struct session *session, const char *bytes, size_t len);
/* It may still be spoken to, but not before its socket takes more: behind until session_writable(). */
void session_yield(struct session *session);
/* Through other ops from now on, or on another thread: what was measured of the old ones is void. */
void session_spoken_anew(struct session *session);
void session_end(struct session *session, enum close_reason reason);
/* Says why, where that is possible, then ends it. */
void session_end_saying(
	struct session *session, int code, const char *message, enum close_reason reason);
/* The last of it, once no hub has it and its state is CLOSED: the log line, what it holds, its place among all. */
void session_forget(struct session *session, struct hub_shared *shared, enum close_reason reason);
void session_admit(struct session *session, struct identity *identity); /* takes identity->user */
/* WAITING: says `connected` and goes on, or waits for what is missing. */
void session_connect(struct session *session);
/* The first page after the resume point is there (NULL: the journal does not reach back). */
void session_resume(struct session *session, const struct event_batch *page);
void replay_page(struct session *session, const struct event_batch *page); /* replay.c */

/* -- say.c -- */
/* A named message, now or as soon as the session may be spoken to. False: it is not to be used any
 * more. */
bool say(struct session *session, const char *name, struct span json);
/* The same; to a stream with `id:`, its position. */
bool say_with_id(struct session *session, const char *name, struct span json);
bool say_error(struct session *session, int code, const char *message);
/* Last words before it ends, `connected` or not. */
void say_error_now(struct session *session, int code, const char *message);
bool say_connected(struct session *session, bool recovered);
bool say_subscribed(struct session *session);
bool say_position(struct session *session);
bool say_held(struct session *session); /* what had to wait */
void held_free(struct session *session);
uint64_t session_position(const struct session *session);

/* -- login.c -- */
void login(struct session *session, struct span token);
bool login_renewing(const struct session *session); /* an `auth` message of a session that is in is being looked up */
void login_tick(struct session *session);
void login_interrupt(struct session *session); /* its look-up's answer will not reach it; the next login_tick() asks again */
void login_forget(struct session *session);

/* -- lookup.c: of sessions (login.c) and of requests (inquiry.c) -- */
/* What no token can be is not worth a look-up. */
bool lookup_worth(struct span token);
/* Queues it, a re-check ahead of all others; answered() is called once, on the hub's thread and not in this call, unless it is
 * forgotten before. It may take job->user.id. */
struct lookup *lookup_begin(struct hub *hub, struct span token, bool recheck, void (*answered)(void *asker, struct lookup_job *job),
	void *asker);
void lookup_forget(struct lookup *lookup); /* NULL is fine */
void lookups_go_on(struct hub *hub);

/* -- consume.c -- */
void consumes_offer(struct hub *hub, const struct event *event); /* with parked */
void consumes_go_on(struct hub *hub);
void consumes_tick(struct hub *hub);
void consumes_drain(struct hub *hub);

/* -- push.c: a consumer's chunks to an operator's session -- */
void push_ready(struct session *session, const json_t *data);
void push_ack(struct session *session, const json_t *data);
void push_go_on(struct session *session); /* it may be spoken to again, or has come to another hub */
void push_depart(struct session *session);
void push_forget(struct session *session);

/* -- allowance.c: time of the thread, by user, for sessions whose user is known -- */
bool allowance_left(struct session *session, struct err *err); /* false: TOO_MANY, with a sentence for the client */
void allowance_charge(struct session *session, int64_t us);

/* -- receive.c, subscribe.c, republish.c, sample.c, timers.c -- */
void subscribe_message(struct session *session, const json_t *data);
bool subscribe_admitted(struct session *session); /* to what it asked for before; false: it was ended */
void subscription_forget(struct session *session); /* its user is still known */
void subscription_charge(struct session *session); /* what matching took since it was last asked: often, so that it is paid off as it arises */
void unsubscribe_message(struct session *session, const json_t *data);
void republish_message(struct session *session, struct span text, json_t *data);
void republish_forget(struct session *session);
void sample_send(struct session *session);
void drain_step(struct hub *hub);

#endif
