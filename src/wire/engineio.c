/* Engine.IO packets. Text packets are a digit and their data in both transports; a binary message is
 * a binary message of the websocket, and `b` and base64 in a polling body or where a client cannot
 * do better. In polling bodies 0x1e separates packets.
 *
 * No JSON text holds a raw 0x1e: control characters are escaped in strings, and between tokens only
 * space, tab, CR and LF may stand. The databases' own texts are JSON in that strict sense: PostgreSQL
 * refuses control characters in `json`, what a SQLite column holds goes through rules/object.c, what
 * is published through jansson. So events are not searched for it; other packets are.
 */
#include "wire/engineio.h"

#include <string.h>

#include "base/utf8.h"
#include "wire/base64.h"
#include "wire/formats.h"
#include "wire/frame.h"

static bool read_text(struct span text, struct buf *room, struct engineio_packet *packet)
{
	unsigned digit;

	if (text.len == 0)
		return false;
	if (*text.p == 'b') {
		buf_clear(room);
		if (!base64_decode(room, (struct span){text.p + 1, text.len - 1}))
			return false;
		*packet = (struct engineio_packet){ENGINEIO_MESSAGE, true, buf_as_span(room)};
		return true;
	}
	digit = (unsigned)(unsigned char)*text.p - '0';
	if (digit > ENGINEIO_NOOP || !utf8_valid(text.p, text.len))
		return false;
	*packet = (struct engineio_packet){
		(enum engineio_type)digit, false, (struct span){text.p + 1, text.len - 1}};
	return true;
}

bool engineio_read_frame(struct span bytes, bool binary, struct buf *room, struct engineio_packet *packet)
{
	if (!binary)
		return read_text(bytes, room, packet);
	*packet = (struct engineio_packet){ENGINEIO_MESSAGE, true, bytes};
	return true;
}

/* Up to a separator, which is taken too, or to the end, which leaves an absent payload. */
static struct span next_text(struct span *payload)
{
	const char *stop = payload->len ? memchr(payload->p, ENGINEIO_SEPARATOR, payload->len) : NULL;
	struct span text = *payload;

	if (!stop) {
		*payload = (struct span){NULL, 0};
		return text;
	}
	text.len = (size_t)(stop - text.p);
	*payload = (struct span){stop + 1, payload->len - text.len - 1};
	return text;
}

enum engineio_result engineio_read_payload(struct span *payload, struct buf *room, struct engineio_packet *packet)
{
	if (!payload->p)
		return ENGINEIO_END;
	return read_text(next_text(payload), room, packet) ? ENGINEIO_PACKET : ENGINEIO_MALFORMED;
}

size_t engineio_begin(struct buf *buf, enum encoding encoding, enum engineio_type type)
{
	const char start[] = {ENGINEIO_SEPARATOR, (char)('0' + type)};
	size_t at = buf->len;

	if (encoding == ENCODING_SOCKETIO_POLLING) {
		buf_bytes(buf, start, 2);
		return at;
	}
	at = frame_begin(buf);
	buf_bytes(buf, start + 1, 1);
	return at;
}

bool engineio_end(struct buf *buf, enum encoding encoding, size_t base, size_t start)
{
	if (encoding == ENCODING_SOCKETIO_POLLING)
		return !buf->full;
	return frame_end(buf, base, start, FRAME_TEXT);
}

static bool write_binary(struct buf *buf, enum encoding encoding, struct span data)
{
	static const char start[] = {ENGINEIO_SEPARATOR, 'b'};
	size_t at;

	if (encoding == ENCODING_SOCKETIO_POLLING) {
		buf_bytes(buf, start, sizeof(start));
		return base64_encode(buf, data);
	}
	at = frame_begin(buf);
	buf_span(buf, data);
	return frame_end(buf, at, at, FRAME_BINARY);
}

bool engineio_write(struct buf *buf, enum encoding encoding, enum engineio_type type, bool binary, struct span data)
{
	size_t start;

	if (binary)
		return write_binary(buf, encoding, data);
	if (encoding == ENCODING_SOCKETIO_POLLING && data.len && memchr(data.p, ENGINEIO_SEPARATOR, data.len))
		return false;
	start = engineio_begin(buf, encoding, type);
	buf_span(buf, data);
	return engineio_end(buf, encoding, start, start);
}

static bool text_to_frame(struct buf *frames, struct span text)
{
	size_t start = frame_begin(frames);

	if (text.len == 0)
		return false;
	if (*text.p == 'b')
		return base64_decode(frames, (struct span){text.p + 1, text.len - 1}) &&
		       frame_end(frames, start, start, FRAME_BINARY);
	if (*text.p < '0' || *text.p > '0' + ENGINEIO_NOOP)
		return false;
	buf_span(frames, text);
	return frame_end(frames, start, start, FRAME_TEXT);
}

bool engineio_payload_to_frames(struct buf *frames, struct span payload)
{
	if (payload.len == 0)
		return true;
	if (*payload.p != ENGINEIO_SEPARATOR)
		return false;
	payload = (struct span){payload.p + 1, payload.len - 1};
	while (payload.p)
		if (!text_to_frame(frames, next_text(&payload)))
			return false;
	return true;
}
