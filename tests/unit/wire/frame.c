/* Prevents: a message that a client cannot read because a fragment's header is wrong, and a heartbeat that cannot be
 * answered while a large event is on its way, because no control frame may stand where a piece of it ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "wire/frame.h"

static char text[12 * FRAME_PIECE];

static size_t add(struct buf *buf, size_t base, size_t len, bool another)
{
	size_t start = frame_begin(buf);

	buf_bytes(buf, text, len);
	if (another)
		frame_pad(buf, base, start);
	assert_true(frame_end(buf, base, start, FRAME_TEXT));
	return buf->len;
}

/* A first and a second message whose payloads have these lengths: both are read back, the first with at most two spaces
 * behind it. */
static void check_two(size_t first, size_t second)
{
	AUTO_BUF struct buf buf = buf_init(BUF_NO_MAX), payload = buf_init(BUF_NO_MAX);
	size_t base = 6, middle, end;
	int opcode;

	buf_text(&buf, "before");
	middle = add(&buf, base, first, true);
	add(&buf, base, second, false);
	end = take_message(buf_as_span(&buf), base, base, &opcode, &payload);
	assert_int_equal(end, middle);
	assert_int_equal(opcode, FRAME_TEXT);
	if (payload.len < first || payload.len > first + 2 || memcmp(payload.bytes, text, first) != 0 ||
		strspn(payload.bytes + first, " ") != payload.len - first)
		fail_msg("%zu, %zu: the first is not what it was", first, second);
	if (first + 4 + 129 < FRAME_PIECE)
		assert_int_equal(payload.len, first);
	buf_clear(&payload);
	assert_int_equal(take_message(buf_as_span(&buf), base, middle, &opcode, &payload), buf.len);
	assert_int_equal(payload.len, second);
	assert_memory_equal(payload.bytes, text, second);
}

/* Every distance that the first may leave to the next multiple, and lengths around each change of header. */
static void test_multiples_go_on_across_two_messages(void **state)
{
	static const size_t seconds[] = {0, 1, 125, 126, FRAME_PIECE - 536, FRAME_PIECE - 4, FRAME_PIECE - 3, 140000};

	(void)state;
	for (size_t k = 0; k < sizeof(seconds) / sizeof(*seconds); k++) {
		for (size_t left = 0; left <= 140; left++) {
			check_two(FRAME_PIECE - 4 - left, seconds[k]);
			check_two(2 * FRAME_PIECE - 8 - left, seconds[k]);
		}
		for (size_t more = 1; more <= 140; more++)
			check_two(FRAME_PIECE - 4 + more, seconds[k]);
		for (size_t first = 1; first < 2 * FRAME_PIECE; first += 4001)
			check_two(first, seconds[k]);
	}
}

/* A second message at every distance from a multiple, with nobody to pad the first. It is still a message. */
static void test_unpadded_is_still_a_message(void **state)
{
	(void)state;
	for (size_t left = 1; left <= 140; left++) {
		AUTO_BUF struct buf buf = buf_init(BUF_NO_MAX), payload = buf_init(BUF_NO_MAX);
		size_t start = FRAME_PIECE - left, room = left == 1 || left == 2 || left == 128 || left == 129;
		int opcode;

		buf_bytes(&buf, text, start);
		add(&buf, 0, 70000, false);
		take_message(buf_as_span(&buf), room ? start : 0, start, &opcode, &payload);
		assert_int_equal(payload.len, 70000);
		assert_memory_equal(payload.bytes, text, 70000);
	}
}

static void test_full_buffer_is_told(void **state)
{
	(void)state;
	for (size_t max = 0; max < 70008; max += max < 10 ? 1 : max < 69990 ? 6997 : 1) {
		AUTO_BUF struct buf buf = buf_init(max);
		size_t start = frame_begin(&buf);

		buf_bytes(&buf, text, 70000);
		frame_pad(&buf, start, start);
		assert_false(frame_end(&buf, start, start, FRAME_BINARY));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_multiples_go_on_across_two_messages),
		cmocka_unit_test(test_unpadded_is_still_a_message),
		cmocka_unit_test(test_full_buffer_is_told),
	};

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 23);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
