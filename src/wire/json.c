/* Websocket text frames: {"event":NAME,"data":JSON} behind an unmasked server header (RFC 6455
 * section 5.2), complete, so that frames can be concatenated and written to the socket as they are.
 *
 * The header's size depends on the payload's. The payload is appended behind room for the longest
 * header and moved down when a shorter one does: a memmove of up to 64 kB once per event and class;
 * a larger payload has the longest header and stays.
 */
#include "wire/formats.h"

#define TEXT_FRAME 0x81 /* FIN, opcode 1 */
#define HEADER_MAX 10

size_t wire_websocket_header(unsigned char header[10], size_t len)
{
	header[0] = TEXT_FRAME;
	if (len < 126) {
		header[1] = (unsigned char)len;
		return 2;
	}
	if (len < 65536) {
		header[1] = 126;
		header[2] = (unsigned char)(len >> 8);
		header[3] = (unsigned char)len;
		return 4;
	}
	header[1] = 127;
	for (int i = 0; i < 8; i++)
		header[2 + i] = (unsigned char)((uint64_t)len >> (8 * (7 - i)));
	return 10;
}

static size_t begin(struct buf *buf)
{
	static const char room[HEADER_MAX];
	size_t start = buf->len;

	buf_bytes(buf, room, sizeof(room));
	return start;
}

static bool end(struct buf *buf, size_t start)
{
	unsigned char header[HEADER_MAX];
	size_t payload, header_len;

	if (buf->full)
		return false;
	payload = buf->len - start - HEADER_MAX;
	header_len = wire_websocket_header(header, payload);
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
