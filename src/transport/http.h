/* The HTTP side of a connection: one exchange, a request and its answer, at a time. The functions are what dispatch.c calls
 * for libwebsockets' callbacks; their results are what such a callback returns: 0 goes on, anything else ends the
 * connection after what was written is sent. */
#ifndef ESINK_HTTP_H
#define ESINK_HTTP_H

#include <libwebsockets.h>
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

int http_headers(struct lws *wsi);                                    /* the headers are there */
int http_serve(struct lws *wsi, struct lws_process_html_args *args);  /* answer, unless a body follows */
int http_body_begins(struct lws *wsi);
int http_body(struct lws *wsi, const char *bytes, size_t len);
int http_body_ends(struct lws *wsi);
int http_writable(struct lws *wsi);
int http_upgrade(struct lws *wsi, char *protocol); /* may it become a websocket? */
void http_unfit(struct lws *wsi); /* answers what libwebsockets itself refuses: strict.c */
int http_foreign(struct lws *wsi, const char *bytes, size_t len); /* what is no HTTP request that libwebsockets knows */

/* Answers as soon as the socket is writable; for answers that come later. What reply points to is the caller's; a body apart must stay
 * until the exchange ends, or the errand that it is of is freed here. */
void exchange_reply_later(struct conn *conn, const struct reply *reply);
void exchange_answer_later(struct conn *conn, int status, struct span body); /* with JSON */
/* Sends an answer now. False: the connection is dead. */
bool exchange_reply(struct conn *conn, const struct reply *reply);
void exchange_end(struct conn *conn);
/* It waits for events, not for us: nobody's work any more. */
void exchange_idles(struct conn *conn);

#endif
