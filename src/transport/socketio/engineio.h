/* Engine.IO sessions (protocol 4): what lies under Socket.IO. A session begins with HTTP long-polling or on a websocket, and
 * may go from the first to the second. It has an id of its own (sid) because polling is many requests, on many connections.
 *
 * Threads. A session has a home, the network thread that alone touches it. Connections are spread over the threads by the
 * system, so a request may arrive elsewhere: it then travels to the home and back (errand.h). When a session upgrades to a
 * websocket of another thread, the session itself moves there: from then on nothing of it crosses threads.
 *
 * Ending. engine_close() begins it: last words, then the end as the transport has one; a polling client may fetch them for
 * LAST_WORDS_MS, and gets the close packet in the answer after them: clients forget what came in the same one. The application
 * hears of it once, by ended(), outside of its own calls, and its memory goes at the end of the turn of the loop.
 *
 * Sending while polling: packets wait in `out` until a poll asks; the answer goes out at the end of the turn, with all that
 * came together by then. After it the peer takes nothing until it polls again (paused()). A large event is an answer of its own.
 */
#ifndef ESINK_ENGINEIO_H
#define ESINK_ENGINEIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "esink/session.h"
#include "transport/socketio/clock.h"
#include "wire/engineio.h"

struct conn;
struct engineio;
struct engineio_registry;
struct errand;
struct share;
struct thread;

#define SID_LEN 20

/* What is spoken over Engine.IO. Each session has `size` bytes for it, zeroed, at engine_memory(). All calls are made on the
 * session's home thread, but vanish(). */
struct engineio_app {
	size_t size;
	/* The handshake's request is in conn. May send and close. */
	void (*opened)(struct engineio *engine, struct conn *conn);
	/* A message. May send and close. */
	void (*received)(struct engineio *engine, bool binary, struct span data);
	/* The peer takes more: it polled, or its socket has drained. */
	void (*writable)(struct engineio *engine);
	/* The peer was given an answer and takes nothing until writable(). */
	void (*paused)(struct engineio *engine);
	/* Of the message that it sends on a websocket, some fragments are still to come. NULL: it sends whole ones only. */
	bool (*within)(const struct engineio *engine);
	/* Nothing was spoken for connect_timeout_ms since opened(); the application says whether that matters. */
	bool (*idle)(const struct engineio *engine);
	/* It goes on as a websocket: the encoding is another one, and the event that waits in `share`, if one does, is the
	 * application's to send. writable() follows. */
	void (*upgraded)(struct engineio *engine);
	/* The last call. */
	void (*ended)(struct engineio *engine, enum close_reason reason);
	/* To another thread: what session_depart() and session_arrive() say. vanish() instead of arriving and of ended(). */
	void (*depart)(struct engineio *engine);
	bool (*arrive)(struct engineio *engine, struct thread *thread);
	void (*vanish)(struct engineio *engine, enum close_reason reason);
};

/* Part of struct server_config. Zero for a number: the default in brackets. */
struct engineio_config {
	const char *path;               /* [/socket.io/] ends with a slash; the same without it is served too */
	const struct engineio_app *app; /* [sessions of the hub] */
	const void *context;            /* the application's own */
	int64_t ping_interval_ms, ping_timeout_ms; /* [25 s, 20 s] */
	int64_t connect_timeout_ms;     /* [45 s] */
	size_t max_payload;             /* of a polling request's body, of a websocket message [1000000] */
};

struct engineio {
	struct thread *home;  /* NULL: on the way. Written under the registry's lock */
	struct conn *conn;    /* the websocket; NULL: polling */
	struct errand *poll;  /* a poll that waits for something to say */
	struct engineio *dirty_next;
	struct buf out;       /* polling: packets for the next answer, a record separator before each; else frames of our own that wait
	                       * until the application's message is whole */
	struct share *share;  /* polling: a large event, the answer after the next one of out; NULL: none */
	struct engineio_timer beat, patience, noop;
	unsigned long polled; /* grows with what the peer fetches */
	unsigned long ping_seen, ping_at; /* progress when the ping was sent, and once it has got there */
	uint8_t close_reason;
	bool dirty, wants; /* wants: writable() is asked for */
	bool waits;        /* paused() was told, writable() was not yet */
	unsigned probes;   /* websockets that have shown that they work and may take over: one, or more for a moment */
	bool closing;      /* last words have been said */
	bool goodbye;      /* and the packet after which nothing comes is in out */
	bool told;         /* the application knows that it has ended */
	bool over;         /* to be told and freed at the end of the turn */
	bool away;         /* the application has departed and not arrived */
	/* the registry's, under its lock */
	struct engineio *stranger_next, *stranger_prev;
	bool stranger; /* in its list */
	bool claimed;  /* by a websocket that wants to upgrade it, or is it */
	bool speaks;   /* it is in a namespace */
	bool evicted;  /* on its way out, to make room for another */
	char sid[SID_LEN + 1];
	char address[46];  /* of the handshake's peer; "" when it had gone already */
};

/* A session that begins with the request in conn: over a websocket when conn is one, else by polling. NULL: too many. */
struct engineio *engine_create(struct conn *conn, bool websocket);
/* The packet that tells the sid and the heartbeat, appended in the session's encoding. */
void engine_write_open(const struct engineio *engine, struct buf *buf);
void engine_begin(struct engineio *engine, struct conn *conn); /* heartbeat, opened() */

static inline void *engine_memory(struct engineio *engine)
{
	return engine + 1;
}

static inline struct engineio *engine_of(void *memory)
{
	return (struct engineio *)memory - 1;
}

const struct engineio_config *engine_config(const struct engineio *engine);
enum encoding engine_encoding(const struct engineio *engine);

/* -- for the application -- */
/* Packets in the session's encoding. As transport_ops.send(). */
enum send_result engine_send(struct engineio *engine, const char *bytes, size_t len);
/* The same of packets beside what the application sends: they wait while it is within() a message. */
enum send_result engine_say(struct engineio *engine, const char *bytes, size_t len);
void engine_said(struct engineio *engine); /* what waits is sent, if it may be */
/* One message packet. */
enum send_result engine_message(struct engineio *engine, bool binary, struct span data);
/* Asks for writable() in a later turn. */
void engine_want(struct engineio *engine);
/* What was said lies here untaken: an answer to the peer's own packets would only heap up. */
bool engine_stuffed(const struct engineio *engine);
size_t engine_room(const struct engineio *engine);
unsigned long engine_progress(struct engineio *engine);
unsigned long engine_in_flight(struct engineio *engine);
void engine_close(struct engineio *engine, enum close_reason reason);

/* -- for the other files of this folder -- */
void engine_packet(struct engineio *engine, const struct engineio_packet *packet); /* from the peer */
/* One packet to the peer, as engine_say(). */
enum send_result engine_send_packet(struct engineio *engine, enum engineio_type type, bool binary, struct span data);
void engine_take_turn(struct engineio *engine); /* at the end of the loop's turn: what it was dirty for. It may be freed */
void engine_end(struct engineio *engine, enum close_reason reason); /* nobody can be told anything more */
void engine_free(struct engineio *engine);
/* What is due, for host.c: the application's peer said nothing for connect_timeout_ms; the last words were not fetched. */
void engine_not_connected(struct engineio *engine);
void engine_not_fetched(struct engineio *engine);

#endif
