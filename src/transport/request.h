/* What a request says, copied out of libwebsockets' header table: the head, which every answer needs, and the query of those
 * that begin a session.
 *
 * libwebsockets decodes the path once, merges `//` and resolves `/./` and `/../`; the result is compared byte for byte and
 * nothing decodes it again. It splits the query at & and ; and decodes each part once.
 */
#ifndef ESINK_REQUEST_H
#define ESINK_REQUEST_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "esink/consumer.h"
#include "esink/span.h"
#include "transport/cors.h"

enum method { METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_PUT, METHOD_DELETE, METHOD_OPTIONS, METHOD_OTHER };
enum route {
	ROUTE_NONE,
	ROUTE_PING,
	ROUTE_READY,
	ROUTE_PUBLISH,
	ROUTE_STREAM,
	ROUTE_WEBSOCKET,
	ROUTE_ENGINEIO,
	ROUTE_PAGE,
	ROUTE_EVENTS, /* /events */
	ROUTE_EVENT,  /* /events/ID */
	ROUTE_WATCH,  /* /events/ID/watch */
	ROUTE_CONSUMERS, /* /consumers */
	ROUTE_CONSUMER,  /* /consumers/NAME */
	ROUTE_POLL,      /* /consumers/NAME/poll */
	ROUTE_MARK       /* /consumers/NAME/mark */
};

#define EVENT_NAME_MAX 40 /* longer than any `journal:id` */

struct head {
	enum method method;
	enum route route;
	const struct page_file *file; /* of ROUTE_PAGE */
	char event[EVENT_NAME_MAX + 1]; /* of ROUTE_EVENT, ROUTE_WATCH: as it was sent, cut */
	char consumer[CONSUMER_NAME_MAX + 2]; /* NAME, cut one character after it is too long */
	bool has_file;                /* the client has that file already: If-None-Match */
	uint64_t content_length;
	bool has_length, encoded; /* encoded: with a Transfer-Encoding */
	const char *malformed;    /* why it is refused whatever it asks for, a sentence; NULL: it is well-formed */
	bool keep_alive;
	bool expects;        /* Expect: 100-continue */
	bool preflight;
	bool origin_allowed; /* or there is none */
	char *allow_origin;  /* of Access-Control-Allow-Origin; NULL: none */
	bool credentials;    /* and a browser may send what it knows of us along */
};

/* engineio_path ends with a slash; the same without it is the route too. */
void head_read(struct head *head, struct lws *wsi, const struct cors *cors, const char *engineio_path);
void head_finish(struct head *head);

/* The token of `Authorization: Bearer`, malloc'ed; NULL: no such header; "" when it holds something else. */
char *request_bearer(struct lws *wsi);

/* Does a header whose value is a list of words hold this one, ignoring case? */
bool request_lists(struct lws *wsi, enum lws_token_indexes header, const char *word);

struct query {
	char *token, *after;            /* NULL: not given */
	struct span *topics, *types;    /* each malloc'ed */
	size_t topic_count, type_count, topic_room, type_room;
	bool token_in_query;
};

/* Each part between two & of the query, decoded. */
void query_each(struct lws *wsi, void (*each)(void *context, const char *part, size_t len), void *context);

/* token: from Authorization, else from the query; after: from Last-Event-ID, else from the query. */
void query_read(struct query *query, struct lws *wsi);
void query_finish(struct query *query); /* wipes the token */

#endif
