/* From (event, encoding, class) to bytes, made once and kept in the event. Several network threads
 * may frame the same event at the same moment: each makes its own copy, one wins the
 * compare-and-swap, the others free theirs.
 */
#include "wire/wire.h"

#include <stdlib.h>

#include "base/mem.h"
#include "wire/formats.h"

#define ENVELOPE_ROOM 320 /* names, quotes and numbers around the texts of an ordinary event */

static bool write_changes(
	struct buf *buf, enum encoding encoding, const struct event *event, enum event_class class)
{
	switch (encoding) {
	case ENCODING_SSE:
		return sse_changes(buf, event, class);
	case ENCODING_SOCKETIO:
	case ENCODING_SOCKETIO_POLLING:
		return emit_changes(buf, encoding, event, class);
	default:
		return json_changes(buf, event, class);
	}
}

/* The frame is built in place: its length field first, then the bytes, so that nothing is copied.
 */
static struct frame *make_frame(
	enum encoding encoding, const struct event *event, enum event_class class)
{
	static const struct frame empty;
	struct buf buf = buf_init(BUF_NO_MAX); /* bounded by the event, which the source bounds */
	struct frame *frame;
	size_t messages = encoding == ENCODING_SOCKETIO || encoding == ENCODING_SOCKETIO_POLLING ? 2 : 1;

	buf_reserve(&buf, sizeof(empty) + messages * (event->size + ENVELOPE_ROOM));
	buf_bytes(&buf, &empty, sizeof(empty));
	write_changes(&buf, encoding, event, class);
	frame = (struct frame *)(void *)buf.bytes;
	frame->len = buf.len - sizeof(empty);
	if (buf.room - buf.len > 64)
		frame = mem_resize(frame,
			buf.len + 1); /* frames live as long as the tail: give the rest back */
	return frame;
}

const struct frame *wire_frame(struct event *event, enum encoding encoding, enum event_class class)
{
	_Atomic(struct frame *) *slot = &event->frames[encoding][class];
	struct frame *frame = atomic_load_explicit(slot, memory_order_acquire), *made;

	if (frame)
		return frame;
	made = make_frame(encoding, event, class);
	if (atomic_compare_exchange_strong_explicit(
		    slot, &frame, made, memory_order_acq_rel, memory_order_acquire))
		return made;
	free(made);
	return frame;
}

bool wire_message(
	struct buf *buf, enum encoding encoding, const char *name, struct span json, struct span id)
{
	switch (encoding) {
	case ENCODING_SSE:
		return sse_message(buf, name, json, id);
	case ENCODING_SOCKETIO:
	case ENCODING_SOCKETIO_POLLING:
		return emit_message(buf, encoding, name, json);
	default:
		return json_message(buf, name, json);
	}
}
