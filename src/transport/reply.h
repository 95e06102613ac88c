/* Answers: the status line, the headers that every answer has, and the body, in one piece. */
#ifndef ESINK_REPLY_H
#define ESINK_REPLY_H

#include <stdbool.h>

#include "base/buf.h"
#include "esink/span.h"

struct head;
struct page_file;

struct reply {
	int status;
	const char *type;  /* Content-Type; NULL: JSON */
	struct span body;
	const struct page_file *file; /* a part of the live page: its bytes are the body; NULL: none */
	const char *allow; /* the route's methods, for 405 and OPTIONS; NULL: not said */
	bool preflight;
	bool stream;       /* headers only, the body follows until the connection ends */
	bool close;
	bool apart;        /* the body is not written here: it is sent behind this, from where it lies */
};

/* head NULL: the request could not be read. */
void reply_write(struct buf *buf, const struct reply *reply, const struct head *head, bool tls);

/* {"code":status,"message":message} */
void reply_error_body(struct buf *buf, int status, const char *message);
/* {"code":400,"type":"ValidationError","key":key,"message":message} */
void reply_invalid_body(struct buf *buf, const char *key, const char *message);

#endif
