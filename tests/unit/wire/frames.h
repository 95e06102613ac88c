/* A reader of the websocket messages that src/wire writes, as strict as a client may be. */
#ifndef ESINK_TESTS_FRAMES_H
#define ESINK_TESTS_FRAMES_H

#include "wire/wire.h"

/* The message at `at`: its opcode, its payload appended. Every multiple of FRAME_PIECE from base is the end of a fragment or
 * not reached. Returns where the message ends. */
static inline size_t take_message(struct span bytes, size_t base, size_t at, int *opcode, struct buf *payload)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	size_t begin = at, len;

	for (bool last = false; !last;) {
		assert_true(at + 2 <= bytes.len);
		last = p[at] & 0x80;
		assert_int_equal(p[at] & 0x70, 0);
		if (at == begin)
			*opcode = p[at] & 0x0f;
		else
			assert_int_equal(p[at] & 0x0f, 0);
		assert_true(p[at + 1] <= 126); /* no mask; nothing needs eight bytes of length */
		len = p[at + 1];
		if (len == 126) {
			assert_true(at + 4 <= bytes.len);
			len = (size_t)p[at + 2] << 8 | p[at + 3];
			assert_true(len >= 126);
		}
		assert_true(len > 0 || (last && at == begin));
		assert_true((at - base) / FRAME_PIECE == (at + (len < 126 ? 2 : 4) + len - 1 - base) / FRAME_PIECE);
		at += len < 126 ? 2 : 4;
		assert_true(at + len <= bytes.len);
		buf_bytes(payload, p + at, len);
		at += len;
	}
	return at;
}

#endif
