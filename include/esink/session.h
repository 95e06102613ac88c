/* One connected client, on any transport: what the hub keeps of it, and what a transport calls. A transport embeds struct
 * session in what it keeps of a client, zeroed, and hands it to session_open(). Everything here runs on the hub's network thread.
 *
 * States: OPENED (no token yet) -> AUTHENTICATING (look-up under way) -> WAITING (capture is not live yet) -> REPLAY (reads
 * the tail or the journal from its position, at its socket's pace) <-> LIVE (deliveries are queued to it as they arrive)
 * -> CLOSING -> closed. A session that is behind its socket goes from LIVE to REPLAY and back by itself.
 */
#ifndef ESINK_SESSION_H
#define ESINK_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "esink/event.h"
#include "esink/span.h"
#include "esink/transport.h"

struct hub;
struct subscription; /* topics and types, rules/topics.h */
struct user;         /* the hub's index entry: id, sessions */
struct read_job;

#define SESSION_ID_LEN 20

enum session_state {
	SESSION_CLOSED,
	SESSION_OPENED,
	SESSION_AUTHENTICATING,
	SESSION_WAITING,
	SESSION_REPLAY,
	SESSION_LIVE,
	SESSION_CLOSING
};

enum session_kind { SESSION_USER, SESSION_OPERATOR, SESSION_TEST };

/* Private to src/hub, spelt out so that a transport can embed it. */
struct session {
	/* What every delivery touches: one cache line. */
	struct session *next;       /* all sessions of the hub */
	struct session *user_next;  /* the sessions of one user, or the operators */
	struct session *dirty_next; /* has deliveries in this turn */
	struct subscription *subscription; /* NULL: everything */
	const struct transport_ops *ops;
	struct hub *hub;
	uint32_t last_delivery; /* in the hub's list for this turn, while dirty */
	uint8_t state, kind, behind, has_after, pinged, dirty, close_reason;
	uint8_t within; /* a large event, of which a part was sent: no other message has a place, also once it has ended */

	struct session *prev, *user_prev;
	const char *address;        /* the peer's, shared by all sessions from there; "": not known */
	struct user *user;
	struct read_job *reading;   /* a journal page asked for */
	void *auth;                 /* hub's: a token under look-up or re-checked; NULL: none */
	void *rest;                 /* hub's: of an event that is too large to be handed over at once; NULL: none */
	void *push;                 /* hub's: a consumer whose events it is sent; NULL: none */
	void *held;                 /* hub's: messages that wait until the session may be spoken to; NULL: none */
	uint64_t position;          /* every event up to this id has been considered (while LIVE: the hub's head) */
	uint64_t key;               /* the source's reading key at position, or 0 */
	uint64_t after;             /* requested resume point; has_after tells */
	int64_t deadline;           /* ms, monotonic: of what the state waits for; connected: next ping, or its answer */
	int64_t sample_at;          /* ms, monotonic: TEST sessions */
	int64_t expires;            /* ms, wall clock: JWT exp; 0: never */
	uint64_t voucher;           /* the key or operator's token that let it in; 0: neither */
	int64_t quiet_since;        /* ms, monotonic: last time something was sent */
	int64_t progress_at;        /* ms, monotonic */
	unsigned long progress;
	unsigned long ping_at;      /* progress at which the ping is the next that the peer takes */
	int64_t messages_since;     /* ms, monotonic */
	uint32_t messages;          /* received since then */
	uint16_t requested;         /* flags, the hub's */
	char after_journal[JOURNAL_LEN + 1];
	char id[SESSION_ID_LEN + 1];
};

/* What a client asked for when it connected. Spans are borrowed for the call. */
struct session_request {
	struct span token;  /* absent: an `auth` message follows (websocket) */
	struct span after;  /* `journal:id` or a bare id, as received; absent: live only */
	const struct span *topics, *types;
	size_t topic_count, type_count;
	const char *address; /* the peer's, for limits and logs */
};

/* Begins a session. False with *reason when a limit or a bad request refuses it: the session is then not open, and the
 * transport answers in its own way. Otherwise the hub speaks through ops from now on, beginning in a later turn or in this
 * call. */
bool session_open(struct session *session, struct hub *hub, const struct transport_ops *ops,
	const struct session_request *request, enum close_reason *reason, const char **message);

/* A message from the client, one JSON object {"event":NAME,"data":{..}} as text. Bad ones are answered or close it. */
void session_receive(struct session *session, struct span text);

/* The transport's queue is empty again after SEND_BEHIND, or want_writable() was asked for. */
void session_writable(struct session *session);

/* Within ops->close(): why it ends, where that could not be said to it and an answer that has not begun may still say it; NULL:
 * it was said, or there is nothing to say. */
const char *session_unsaid(const struct session *session);

/* The peer answered a heartbeat or sent anything. */
void session_heard(struct session *session);

/* The peer takes nothing until session_writable() is called, as if the last send had returned SEND_BEHIND: it fetches, and has
 * just been given an answer. Outside of the hub's calls to ops. */
void session_pause(struct session *session);

/* The same client is spoken to in another way from now on. What waits to be said is said in the new encoding. The caller
 * goes on with session_pause() or session_writable(). Not in the middle of a large event, which no peer that fetches ever
 * is. Of all that is here this alone may also be called on the way, before session_arrive(). */
void session_speak_through(struct session *session, const struct transport_ops *ops);
/* Then, likewise: a large event that send_event() of the old ops took and nobody was given. session_writable() begins with it. */
void session_owe(struct session *session, struct event *event, enum event_class class);

/* From one network thread to another: session_depart() on the old thread, in any state but CLOSED and outside of the hub's
 * calls to ops, takes it out of its hub, then its memory is handed over, then session_arrive() on the new one puts it into
 * that hub. On the way nobody may touch it, no hub counts it and none of its deadlines runs. What was routed to it and not
 * sent is read on the new thread from its position: nothing is lost, nothing comes twice. Look-ups and pages under way are
 * asked for again.
 *
 * session_arrive() returns false while that hub is not yet as far as the session: again in a later turn, and it will be,
 * unless it ends. It may end the session, through the ops that it has then. Otherwise it says nothing: the caller goes on
 * with session_writable(), or session_pause(). session_vanish() instead of arriving: it ends on the way, on any thread,
 * before hub_shared_destroy(); ops->close is not called. Both of them, once done, free passage. */
struct passage;
struct passage *session_depart(struct session *session);
bool session_arrive(struct session *session, struct hub *hub, struct passage *passage);
void session_vanish(struct session *session, struct passage *passage, enum close_reason reason);

/* The connection has gone: the hub forgets the session; its memory is the transport's again on return. Idempotent. */
void session_disconnected(struct session *session, enum close_reason reason);

#endif
