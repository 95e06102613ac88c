/* Websocket frames. A message larger than FRAME_PIECE is cut into fragments that end at multiples of
 * FRAME_PIECE, headers included: between two of them a pong may stand, so that a slow client need
 * not be handed the whole at once. Where two messages are handed over together, the multiples go on
 * across both, and the first fragment of the second is shorter.
 *
 * The header's size depends on the payload's. The payload is appended behind room for a header of
 * four bytes and moved down when two do. So a fragment of 128 or 129 bytes does not exist, nor one
 * of 1, nor, but for an empty one, of 2: a message must not end that close before a multiple when
 * another follows. White space behind its JSON sees to it.
 */
#include "wire/frame.h"

#include <string.h>

#include "wire/wire.h"

#define LAST 0x80 /* FIN */
#define HEADER_MAX 4
#define FRAGMENT (FRAME_PIECE - HEADER_MAX)
#define SHORT_MAX 125 /* payload behind a header of two bytes */

static size_t header_size(size_t payload)
{
	return payload > SHORT_MAX ? HEADER_MAX : 2;
}

static size_t write_header(char *header, int opcode, size_t len)
{
	header[0] = (char)opcode;
	if (len <= SHORT_MAX) {
		header[1] = (char)len;
		return 2;
	}
	header[1] = 126;
	header[2] = (char)(len >> 8);
	header[3] = (char)len;
	return 4;
}

/* The payload of a fragment of exactly that many bytes. 0: there is none. */
static size_t filling(size_t room)
{
	if (room > SHORT_MAX + 2)
		return room - HEADER_MAX > SHORT_MAX ? room - HEADER_MAX : 0;
	return room > 2 ? room - 2 : 0;
}

static size_t room_at(size_t offset)
{
	return FRAME_PIECE - offset % FRAME_PIECE;
}

/* What a message's first fragment holds, at that offset from the base. */
static size_t first_payload(size_t offset, size_t payload)
{
	size_t room = room_at(offset), fill;

	if (header_size(payload) + payload <= room)
		return payload;
	fill = filling(room);
	return fill ? fill : FRAGMENT; /* frame_pad() was not called: multiples from here on */
}

size_t frame_begin(struct buf *buf)
{
	static const char room[HEADER_MAX];
	size_t start = buf->len;

	buf_bytes(buf, room, sizeof(room));
	return start;
}

/* First everything moves up to where the last fragment belongs, then each fragment down to its place. */
static bool cut(struct buf *buf, size_t start, size_t payload, size_t first, int opcode)
{
	static const char room[HEADER_MAX];
	size_t count = 1 + (payload - first + FRAGMENT - 1) / FRAGMENT, left = payload;
	char *to, *from;

	for (size_t i = 1; i < count; i++)
		if (!buf_bytes(buf, room, sizeof(room)))
			return false;
	to = buf->bytes + start;
	from = to + count * HEADER_MAX;
	memmove(from, to + HEADER_MAX, payload);
	for (size_t i = 0; i < count; i++) {
		size_t len = i == 0 ? first : left < FRAGMENT ? left : FRAGMENT;

		to += write_header(to, (i ? FRAME_CONTINUATION : opcode) | (i + 1 < count ? 0 : LAST), len);
		memmove(to, from, len);
		to += len;
		from += len;
		left -= len;
	}
	buf->len = (size_t)(to - buf->bytes);
	*to = 0;
	return true;
}

bool frame_end(struct buf *buf, size_t base, size_t start, enum frame_opcode opcode)
{
	char header[HEADER_MAX];
	size_t payload, header_len, first;

	if (buf->full)
		return false;
	payload = buf->len - start - HEADER_MAX;
	first = first_payload(start - base, payload);
	if (first < payload)
		return cut(buf, start, payload, first, (int)opcode);
	header_len = write_header(header, (int)opcode | LAST, payload);
	if (header_len < HEADER_MAX)
		memmove(buf->bytes + start + header_len, buf->bytes + start + HEADER_MAX, payload);
	memcpy(buf->bytes + start, header, header_len);
	buf->len = start + header_len + payload;
	buf->bytes[buf->len] = 0;
	return true;
}

/* Where the message will end, from the base. */
static size_t end_of(size_t offset, size_t payload)
{
	size_t first = first_payload(offset, payload), left = payload - first;
	size_t whole = left / FRAGMENT, rest = left % FRAGMENT;

	return offset + header_size(first) + first + whole * FRAME_PIECE + (rest ? header_size(rest) + rest : 0);
}

void frame_pad(struct buf *buf, size_t base, size_t start)
{
	while (!buf->full && !filling(room_at(end_of(start - base, buf->len - start - HEADER_MAX))))
		buf_bytes(buf, " ", 1);
}
