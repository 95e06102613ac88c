/* An exchange: a request and its answer, one at a time on a connection, which owns it. Made when the request's headers are there; ended by
 * exchange_end() once the answer was sent, or when the connection turns into a stream or a websocket, or is gone. All on the
 * connection's network thread; nothing here blocks. */
#ifndef ESINK_EXCHANGE_H
#define ESINK_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "transport/conn.h"
#include "transport/reply.h"
#include "transport/request.h"
#include "transport/socketio/polling.h"

struct consumer_call;
struct errand;
struct events_call;
struct publish_call;

/* From a request's headers to the last byte of its answer. */
struct exchange {
	struct head head;
	struct buf body;           /* of POST /publish, or to Engine.IO */
	size_t swallowed;          /* body bytes that nobody reads */
	char refusal[112];         /* a sentence with numbers, why the body is not taken */
	bool unwelcome;            /* the body is for no Engine.IO session that there is */
	char *bearer;              /* of POST /publish and consumers; wiped */
	struct publish_call *call; /* waiting for the database; publish.h */
	struct events_call *events; /* a question about the past, until its answer is sent; events.h */
	struct consumer_call *consumer; /* a consumer's question, until it is answered; consumers.h */
	struct engineio_request engineio; /* what the query says to Engine.IO */
	struct errand *errand;     /* under way to an Engine.IO session, or its answer waits; socketio/errand.h */
	bool idle;                 /* a poll that waits: nobody's work */
	struct buf answer;         /* written when the socket is writable */
	struct span rest;          /* what of it lies elsewhere, with the errand or what it shares */
	size_t answer_sent;        /* of both, in pieces */
	bool answer_waits;
};

/* Becomes conn->exchange, in place of the one before; the request's headers are read, which libwebsockets must still have. */
struct exchange *exchange_begin(struct conn *conn);
/* Whoever still works on its answer is told to forget it. None: nothing happens. */
void exchange_end(struct conn *conn);

/* Is there one whose answer has not been sent? Another request's would be taken for it. NULL: no. */
bool exchange_unanswered(const struct exchange *exchange);
/* It waits for events, not for us: nobody's work any more. */
void exchange_idles(struct conn *conn);
/* Does the connection end with this answer? */
bool exchange_closes(const struct conn *conn);

/* Sends an answer now. False: the connection is dead. */
bool exchange_reply(struct conn *conn, const struct reply *reply);
/* Answers as soon as the socket is writable; for answers that come later. What reply points to is the caller's; a body apart must stay
 * until the exchange ends, or the errand that it is of is freed here. */
void exchange_reply_later(struct conn *conn, const struct reply *reply);
void exchange_answer_later(struct conn *conn, int status, struct span body); /* with JSON */
/* The socket is writable: a piece of the answer that waits. *more: there are others, for which we are called again; the peer
 * has a deadline to take this one. False: the connection is dead. */
bool exchange_send(struct conn *conn, bool *more);

#endif
