/* A request without a socket: what libwebsockets' parser would have made of it, for what reads it through libwebsockets' functions. */
#ifndef ESINK_TESTS_FUZZ_HEADERS_H
#define ESINK_TESTS_FUZZ_HEADERS_H

#include "fuzz.h"

#include <libwebsockets.h>

#define HEADERS_MAX 24

struct lws {
	struct span path, name[HEADERS_MAX], value[HEADERS_MAX]; /* the query's parts are headers with an absent name */
	int method;
	size_t count;
	unsigned wakes; /* calls of lws_callback_on_writable() */
};

/* From fields: METHOD path, query parts between &, headers `name:value`; an empty field ends them. */
void headers_read(struct lws *wsi, struct span *input);
void headers_finish(struct lws *wsi);

#endif
