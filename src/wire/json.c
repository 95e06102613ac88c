/* Websocket text messages: {"event":NAME,"data":JSON} behind an unmasked server header (RFC 6455
 * section 5.2), complete, so that they can be concatenated and written to the socket as they are.
 *
 * A message larger than FRAME_PIECE is cut into fragments of exactly that size on the wire, header
 * included: between two of them a pong may stand, so that a slow client need not be handed the
 * whole at once.
 *
 * The header's size depends on the payload's. The payload is appended behind room for a header of
 * four bytes and moved down when two do.
 */
#include "wire/formats.h"

#define TEXT 1
#define CONTINUATION 0
#define LAST 0x80 /* FIN */
#define HEADER_MAX 4
#define FRAGMENT (FRAME_PIECE - HEADER_MAX)

static size_t write_header(char *header, int opcode, size_t len)
{
	header[0] = (char)opcode;
	if (len < 126) {
		header[1] = (char)len;
		return 2;
	}
	header[1] = 126;
	header[2] = (char)(len >> 8);
	header[3] = (char)len;
	return 4;
}

static size_t begin(struct buf *buf)
{
	static const char room[HEADER_MAX];
	size_t start = buf->len;

	buf_bytes(buf, room, sizeof(room));
	return start;
}

/* One header in front of each FRAGMENT bytes of payload. First everything moves up to where the last fragment belongs,
 * then each fragment down to its place. */
static bool cut(struct buf *buf, size_t start, size_t payload)
{
	static const char room[HEADER_MAX];
	size_t count = payload / FRAGMENT + (payload % FRAGMENT != 0), left = payload;
	char *to, *from;

	for (size_t i = 1; i < count; i++)
		if (!buf_bytes(buf, room, sizeof(room)))
			return false;
	to = buf->bytes + start;
	from = to + count * HEADER_MAX;
	memmove(from, to + HEADER_MAX, payload);
	for (size_t i = 0; i < count; i++) {
		size_t len = left < FRAGMENT ? left : FRAGMENT;

		to += write_header(to, (i ? CONTINUATION : TEXT) | (i + 1 < count ? 0 : LAST), len);
		memmove(to, from, len);
		to += len;
		from += len;
		left -= len;
	}
	buf->len = (size_t)(to - buf->bytes);
	*to = 0;
	return true;
}

static bool end(struct buf *buf, size_t start)
{
	char header[HEADER_MAX];
	size_t payload, header_len;

	if (buf->full)
		return false;
	payload = buf->len - start - HEADER_MAX;
	if (payload > FRAGMENT)
		return cut(buf, start, payload);
	header_len = write_header(header, TEXT | LAST, payload);
	if (header_len < HEADER_MAX)
		memmove(buf->bytes + start + header_len, buf->bytes + start + HEADER_MAX, payload);
	memcpy(buf->bytes + start, header, header_len);
	buf->len = start + header_len + payload;
	buf->bytes[buf->len] = 0;
	return true;
}

bool json_changes(struct buf *buf, const struct event *event, enum event_class class)
{
	size_t start = begin(buf);

	BUF_LITERAL(buf, "{\"event\":\"changes\",\"data\":");
	envelope_write(buf, event, class);
	buf_text(buf, "}");
	return end(buf, start);
}

bool json_message(struct buf *buf, const char *name, struct span json)
{
	size_t start = begin(buf);

	buf_text(buf, "{\"event\":");
	buf_json_string(buf, span_of(name));
	buf_text(buf, ",\"data\":");
	buf_span(buf, json);
	buf_text(buf, "}");
	return end(buf, start);
}
