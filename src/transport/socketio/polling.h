/* Engine.IO over HTTP long-polling: GET asks for packets, POST brings them. */
#ifndef ESINK_POLLING_H
#define ESINK_POLLING_H

#include <libwebsockets.h>
#include <stdbool.h>

#include "transport/socketio/engineio.h"

struct conn;
struct errand;
struct reply;

/* What the query of a request to Engine.IO's path says. */
struct engineio_request {
	bool version, websocket, polling; /* EIO=4; transport= */
	bool octets; /* the body is said to be application/octet-stream */
	bool has_sid;
	char sid[SID_LEN + 1];            /* "" when it cannot be one */
};

void engine_request_read(struct engineio_request *request, struct lws *wsi);

/* Engine.IO's numbers for what it refuses. */
enum engineio_error {
	ENGINEIO_FINE = -1,
	ENGINEIO_UNKNOWN_TRANSPORT,
	ENGINEIO_UNKNOWN_SID,
	ENGINEIO_BAD_METHOD,
	ENGINEIO_BAD_REQUEST,
	ENGINEIO_FORBIDDEN,
	ENGINEIO_BAD_VERSION
};

/* {"code":N,"message":...}, and the status that goes with it. */
const char *engine_error_text(enum engineio_error error);
void engine_error_body(struct buf *buf, enum engineio_error error);

/* GET: answers when there is something to say. Like every answer here it goes out when the socket is writable next. */
void polling_get(struct conn *conn);
/* POST, with its body in conn->exchange: answers later. */
void polling_post(struct conn *conn);
/* POST, by its head: is there somebody to take its body? If not it is not kept, and refused when it has gone by. */
bool polling_welcome(const struct conn *conn);
/* POST, with a body over the limit: it is refused, and the session that it was for ends. */
void polling_too_large(struct conn *conn);
/* Any other method. */
void polling_refuse(struct conn *conn, enum engineio_error error);

/* -- for errand.c -- */
void polling_asked(struct errand *errand, struct engineio *engine);
void polling_posted(struct errand *errand, struct engineio *engine);
void polling_answered(struct errand *errand);

#endif
