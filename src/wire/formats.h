/* One file per byte format, chosen by encoding in wire.c; private to src/wire. */
#ifndef ESINK_WIRE_FORMATS_H
#define ESINK_WIRE_FORMATS_H

#include "wire/engineio.h"
#include "wire/wire.h"

/* The `changes` message of event as that class sees it, appended ready to send. */
bool json_changes(struct buf *buf, const struct event *event, enum event_class class);
bool sse_changes(struct buf *buf, const struct event *event, enum event_class class);

bool json_message(struct buf *buf, const char *name, struct span json);
bool sse_message(struct buf *buf, const char *name, struct span json, struct span id);

/* Two messages in one, for both Engine.IO encodings. */
bool emit_changes(struct buf *buf, enum encoding encoding, const struct event *event, enum event_class class);
bool emit_message(struct buf *buf, enum encoding encoding, const char *name, struct span json);

/* A text packet around what is appended between them; base as for frame_end(). Returns its start. */
size_t engineio_begin(struct buf *buf, enum encoding encoding, enum engineio_type type);
bool engineio_end(struct buf *buf, enum encoding encoding, size_t base, size_t start);

/* The path of every event: a formatted print costs more than the rest of an envelope together. */
#define BUF_LITERAL(buf, text) buf_bytes(buf, text, sizeof(text) - 1)

static inline bool wire_digits(struct buf *buf, uint64_t number)
{
	char digits[20], *at = digits + sizeof(digits);

	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	return buf_bytes(buf, at, (size_t)(digits + sizeof(digits) - at));
}

static inline bool wire_integer(struct buf *buf, int64_t number)
{
	if (number < 0)
		buf_bytes(buf, "-", 1);
	return wire_digits(buf, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

#endif
