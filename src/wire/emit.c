/* Events and named messages as Socket.IO events of the namespace `/`: 42["NAME",JSON].
 *
 * An event is two of them, with the same envelope: one named after the table, for listeners of that
 * table, then `changes`. A table whose name means something else to the client is told as `changes`
 * alone. Both are one frame: the hub hands it over as one event, whole or piece by piece.
 */
#include "wire/engineio.h"
#include "wire/formats.h"
#include "wire/frame.h"
#include "wire/socketio.h"

/* The relay's own messages, as CONTRACT section 3 has them. */
static bool relay_says(struct span name)
{
	static const struct span names[] = {
		{"changes", 7}, {"connected", 9}, {"error", 5}, {"position", 8}, {"subscribed", 10}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (span_equal(name, names[i]))
			return true;
	return false;
}

static size_t begin(struct buf *buf, enum encoding encoding, struct span name)
{
	size_t start = engineio_begin(buf, encoding, ENGINEIO_MESSAGE);

	BUF_LITERAL(buf, "2[");
	buf_json_string(buf, name);
	BUF_LITERAL(buf, ",");
	return start;
}

/* `changes` behind the table's message, which starts at base and has its envelope at `at`. In frames of several fragments
 * the envelope no longer lies in one piece, so it is set aside before. */
static bool end_both(struct buf *buf, enum encoding encoding, size_t base, size_t at, size_t len)
{
	AUTO_BUF struct buf aside = buf_init(BUF_NO_MAX); /* bounded by buf */
	size_t behind, start;

	if (encoding == ENCODING_SOCKETIO) {
		if (buf->len - base > FRAME_PIECE)
			buf_bytes(&aside, buf->bytes + at, len);
		frame_pad(buf, base, base);
	}
	behind = buf->len - at;
	if (!engineio_end(buf, encoding, base, base))
		return false;
	at = buf->len - behind; /* a short header has moved it */
	start = begin(buf, encoding, span_of("changes"));
	if (!buf_reserve(buf, len)) /* from here on it stays where it is */
		return false;
	buf_bytes(buf, aside.bytes ? aside.bytes : buf->bytes + at, len);
	BUF_LITERAL(buf, "]");
	return engineio_end(buf, encoding, base, start);
}

bool emit_changes(struct buf *buf, enum encoding encoding, const struct event *event, enum event_class class)
{
	bool alone = relay_says(event->topic) || socketio_reserved(event->topic);
	size_t base = begin(buf, encoding, alone ? span_of("changes") : event->topic), at = buf->len, len;

	envelope_write(buf, event, class);
	len = buf->len - at;
	BUF_LITERAL(buf, "]");
	if (buf->full)
		return false;
	return alone ? engineio_end(buf, encoding, base, base) : end_both(buf, encoding, base, at, len);
}

bool emit_message(struct buf *buf, enum encoding encoding, const char *name, struct span json)
{
	size_t start = begin(buf, encoding, span_of(name));

	buf_span(buf, json);
	BUF_LITERAL(buf, "]");
	return engineio_end(buf, encoding, start, start);
}
