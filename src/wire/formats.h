/* One file per byte format, chosen by encoding in wire.c; private to src/wire. */
#ifndef ESINK_WIRE_FORMATS_H
#define ESINK_WIRE_FORMATS_H

#include "wire/wire.h"

/* The `changes` message of event as that class sees it, appended ready to send. */
bool json_changes(struct buf *buf, const struct event *event, enum event_class class);
bool sse_changes(struct buf *buf, const struct event *event, enum event_class class);

bool json_message(struct buf *buf, const char *name, struct span json);
bool sse_message(struct buf *buf, const char *name, struct span json, struct span id);

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
