/* How a session is spoken to. The hub decides what is sent and when; a transport only moves bytes and closes. All of it
 * runs on the session's network thread. The hub never frees a transport's connection and a transport never frees a
 * session inside a callback from the hub: closing marks, the loop's end reaps. */
#ifndef ESINK_TRANSPORT_H
#define ESINK_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "esink/event.h"

struct session;

/* Why a session ends: a log word, a counter, a websocket close code, an HTTP status for a stream that has not begun. */
/* name, word, websocket code, http */
#define CLOSE_REASON_LIST(X)                                                                                 \
	X(CLOSE_NONE, "open", 1000, 200)                                                                     \
	X(CLOSE_CLIENT, "client", 1000, 200)             /* the client closed, or the network did */         \
	X(CLOSE_UNAUTHORIZED, "unauthorized", 4401, 401) /* bad or missing token */                          \
	X(CLOSE_EXPIRED, "expired", 4401, 401)           /* a JWT past its exp */                            \
	X(CLOSE_REVOKED, "revoked", 4401, 401)           /* a table token that is gone */                    \
	X(CLOSE_KEY_GONE, "key-gone", 4401, 401)         /* its key or operator's token was replaced */        \
	X(CLOSE_AUTH_TIMEOUT, "auth-timeout", 4401, 401) /* no auth message in time */                       \
	X(CLOSE_UNAVAILABLE, "unavailable", 1013, 503)   /* the database stayed away */                      \
	X(CLOSE_SLOW, "slow", 4408, 200)                 /* drained nothing for SLOW_TIMEOUT */              \
	X(CLOSE_BAD_MESSAGE, "bad-message", 4400, 400)                                                       \
	X(CLOSE_TOO_LARGE, "too-large", 4400, 413)       /* a client message over the limit */               \
	X(CLOSE_TOO_MANY, "too-many", 4429, 429)         /* sessions or messages over a limit */             \
	X(CLOSE_GONE_QUIET, "gone-quiet", 1001, 200)     /* no answer to a ping */                           \
	X(CLOSE_JOURNAL, "journal", 1012, 503)           /* the journal is another one: reconnect */         \
	X(CLOSE_RESTART, "restart", 1012, 503)           /* we are shutting down: reconnect */

enum close_reason {
#define X(name, word, code, http) name,
	CLOSE_REASON_LIST(X)
#undef X
	CLOSE_REASON_COUNT
};

enum send_result {
	SEND_ALL,    /* taken whole; more may follow at once */
	SEND_BEHIND, /* taken whole, but the peer is behind: send nothing until session_writable() is called */
	SEND_DEAD    /* the connection is gone; session_disconnected() follows or has been called */
};

struct transport_ops {
	const char *name; /* `websocket` */
	enum encoding encoding;
	/* The peer fetches (HTTP long-polling): what is sent waits in the transport until it asks. So frames are handed over
	 * whole, and last words are sent also while it is behind. */
	bool fetches;
	/* The peer was answered at all. Until then bad requests are refused in the transport's own way, by close() with
	 * session_unsaid(). NULL: it was. */
	bool (*greeted)(const struct session *session);
	/* Takes all of bytes, always: what the kernel does not take now, the transport keeps and sends first, then calls
	 * session_writable() once. Never called while behind, nor after close. */
	enum send_result (*send)(struct session *session, const char *bytes, size_t len);
	/* Bytes that the peer's socket takes now, about; 0: few, or not known. What is beyond that of a large event is sent later, from
	 * where it lies. NULL: not known. */
	size_t (*room)(struct session *session);
	/* The same of a large event's whole frame, which lives as long as the event: the transport need not copy it. Where the peer
	 * fetches; NULL: send() as any other. */
	enum send_result (*send_event)(struct session *session, struct event *event, const struct frame *frame);
	/* Will be called before long: what send() looks at may be brought into the processor's cache. NULL: nothing. */
	void (*soon)(struct session *session);
	/* Asks for session_writable() in a later loop turn (a long replay yields this way). */
	void (*want_writable)(struct session *session);
	/* Begins to close; what send() took is still sent where that is possible without waiting for a stalled peer. The
	 * transport calls session_disconnected() when the connection has gone, in this loop turn or later, not from here. */
	void (*close)(struct session *session, enum close_reason reason);
	/* A number that grows while the peer takes bytes (TCP bytes acknowledged): tells slow from stalled. */
	unsigned long (*progress)(struct session *session);
	/* By how much progress() will have grown once all that was sent is acknowledged. Needed where there is a heartbeat. */
	unsigned long (*in_flight)(struct session *session);
	/* Wire-level heartbeat, called now and then: a websocket ping. NULL: none. */
	void (*heartbeat)(struct session *session);
};

const char *close_reason_word(enum close_reason reason);
int close_reason_code(enum close_reason reason);
int close_reason_http(enum close_reason reason);

#endif
