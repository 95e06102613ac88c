/* Server-sent events: GET /stream. */
#ifndef ESINK_STREAM_H
#define ESINK_STREAM_H

struct conn;

/* The request is in conn->exchange. Becomes a stream, whose answer begins with the hub's first message: until then a
 * refusal is an ordinary answer with a status. */
void stream_begin(struct conn *conn);

#endif
