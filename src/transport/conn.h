/* One accepted socket, whatever is spoken on it: an HTTP request at a time, then perhaps a stream or a websocket, which stay
 * one to their end. libwebsockets owns the socket and keeps a pointer to this as its «user» pointer. Everything runs on
 * the socket's network thread.
 *
 * The session that the hub sees is made beside it, once the connection turns out to need one (conn_seat()). Polls and websockets
 * of Engine.IO do not, theirs is elsewhere: memory that thousands of them would keep for nothing.
 *
 * Life: made when the first request's headers are there, freed when libwebsockets says that its side is destroyed, which
 * is never inside one of our calls. In between, conn_gone() marks the moment after which nothing may be sent.
 *
 * Closing: a polite end is begun by the owner (a close frame, or an answer that says so); whoever does not take it until
 * the deadline is cut off by conn_kill(). Deadlines are checked four times a second, over the few that have one.
 */
#ifndef ESINK_CONN_H
#define ESINK_CONN_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "esink/session.h"

struct engineio;
struct errand;
struct exchange;
struct thread;

enum conn_kind { CONN_HTTP, CONN_STREAM, CONN_WEBSOCKET };

struct conn {
	/* what every send touches, together */
	struct thread *thread;
	struct lws *wsi;
	int fd;
	uint8_t kind, close_reason;
	bool behind;  /* libwebsockets holds bytes of ours that the kernel did not take */
	bool wants;   /* session_writable() was asked for */
	bool started; /* stream: the headers are out */
	bool closing; /* an end was begun: nothing more of the session's is sent */
	bool gone;    /* nothing at all is sent */
	bool open;    /* the hub knows the session */
	bool served;  /* a request was answered here before */
	bool surplus; /* beyond MAX_CONNECTIONS: there for /ping and /ready, and to be told so */

	struct session *session;   /* of a stream or a plain websocket, in a struct seat; NULL: none */
	struct conn *next, *prev;  /* of those with a deadline */
	int64_t deadline;          /* ms, monotonic; 0: none */
	struct exchange *exchange; /* the HTTP request under way, exchange.h; a stream keeps it until its headers are out */
	struct buf *message;       /* a websocket message that came in parts */
	bool engineio;             /* the websocket speaks Engine.IO, socketio/upgrade.h */
	struct engineio *engine;   /* its session, once it has one */
	struct errand *errand;     /* that brings the session here */
};

/* What the hub hands back leads to the connection; the pointer shares a cache line with what every delivery touches. */
struct seat {
	struct conn *conn;
	struct session session;
};

static inline struct seat *seat_of(struct session *session)
{
	return (struct seat *)(void *)((char *)session - offsetof(struct seat, session));
}

static inline struct conn *conn_of(struct session *session)
{
	return seat_of(session)->conn;
}

/* Makes one of the spare connections of a socket that has none yet, which is counted as such and has little time. */
void conn_make_surplus(struct lws *wsi);
/* The connection of a socket, made when it has none yet. */
struct conn *conn_get(struct lws *wsi);
struct hub *conn_hub(const struct conn *conn);
/* Gives it a session, zeroed. Once. */
struct session *conn_seat(struct conn *conn);

/* Sends all of bytes, ahead of nothing: what the kernel does not take is kept by libwebsockets and goes out first. The
 * bytes are framed already. SEND_BEHIND: call nothing more until writable. */
enum send_result conn_send(struct conn *conn, const char *bytes, size_t len);

/* While it is held, what is sent waits in the kernel; then it goes out together, in one segment where it fits. */
void conn_hold(const struct conn *conn, bool held);

/* Asks for conn_writable() in a later turn of the loop. */
void conn_want(struct conn *conn);
/* Bytes that the peer has acknowledged so far, and those under way. The first ends a connection whose peer is known to have
 * gone. */
unsigned long conn_taken(struct conn *conn);
unsigned long conn_untaken(struct conn *conn);
/* Bytes that the socket takes now, about; 0: few, or not known. */
size_t conn_room(const struct conn *conn);

/* The same, for transport_ops. */
size_t conn_room_of(struct session *session);
void conn_soon(struct session *session);
void conn_want_writable(struct session *session);
unsigned long conn_progress(struct session *session);
unsigned long conn_in_flight(struct session *session);

/* The socket is writable and nothing is held: tells the session if it waits for that. */
void conn_writable(struct conn *conn);

void conn_watch(struct conn *conn, int64_t ms); /* cut it off that long from now, gone or not; 0: no more */
void conn_overdue(struct thread *thread);       /* cuts off whose deadline has passed */

/* Ends it now, whatever is still to be sent; conn_gone() follows in a later turn. */
void conn_kill(struct conn *conn);
/* Nothing more is sent: tells the hub, forgets the deadline. Idempotent. */
void conn_gone(struct conn *conn);
void conn_free(struct conn *conn);

#endif
