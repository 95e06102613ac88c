/* Prevents: a polling body of a hostile client read beyond its end or taken for something that it is not; a packet that a
 * real client cannot read; a packet lost or changed when a session upgrades from polling to a websocket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "wire/engineio.h"

#define S(text) {text, sizeof(text) - 1}

/* What a body says, one packet after another as `digit[b]data|`; `!` where it is malformed. */
static void tell(struct span body, struct buf *said)
{
	AUTO_BUF struct buf room = buf_init(body.len);
	struct engineio_packet packet;
	enum engineio_result result;

	while ((result = engineio_read_payload(&body, &room, &packet)) == ENGINEIO_PACKET) {
		buf_printf(said, "%d%s", (int)packet.type, packet.binary ? "b" : "");
		buf_span(said, packet.data);
		buf_text(said, "|");
	}
	if (result == ENGINEIO_MALFORMED)
		buf_text(said, "!");
}

static const struct payload_case {
	struct span body;
	const char *said;
} payloads[] = {
	{S("2"), "2|"},
	{S("4hello"), "4hello|"},
	{S("4hello\x1e" "2\x1e" "4w\xc3\xb6rld"), "4hello|2|4w\xc3\xb6rld|"},
	{S("0\x1e" "1\x1e" "2\x1e" "3\x1e" "4\x1e" "5\x1e" "6"), "0|1|2|3|4|5|6|"},
	{S("bAQIDBA=="), "4b\1\2\3\4|"},
	{S("b"), "4b|"},
	{S("4x\x1e" "bQUI=\x1e" "bQUJD\x1e" "3probe"), "4x|4bAB|4bABC|3probe|"},
	{S("4b"), "4b|"},
	{S(""), "!"},
	{S("\x1e"), "!"},
	{S("\x1e" "2"), "!"},
	{S("2\x1e"), "2|!"},
	{S("2\x1e\x1e" "2"), "2|!"},
	{S("7"), "!"},
	{S("9"), "!"},
	{S("a"), "!"},
	{S("/"), "!"},
	{S(" 2"), "!"},
	{S("-1"), "!"},
	{S("\0"), "!"},
	{S("\xb4"), "!"},
	{S("2\x1e" "8\x1e" "2"), "2|!"},
	{S("4\xff"), "!"},
	{S("4\xc3"), "!"},
	{S("4\xed\xa0\x80"), "!"},
	{S("4\xc0\xaf"), "!"},
	{S("4x\xc3\x1e\xb6"), "!"},
	{S("bQ"), "!"},
	{S("bQU"), "!"},
	{S("bQQ="), "!"},
	{S("bQ==="), "!"},
	{S("b===="), "!"},
	{S("b="), "!"},
	{S("bQR=="), "!"}, /* bits left over */
	{S("bQUJ="), "!"},
	{S("bQ=Q="), "!"},
	{S("bQQ==QQ=="), "!"},
	{S("bQQ==\n"), "!"},
	{S("bQU J"), "!"},
	{S("b-_-_"), "!"}, /* of base64url */
	{S("b+/+/"), "4b\xfb\xff\xbf|"},
};

static void test_payloads(void **state)
{
	struct span absent = {NULL, 0};

	(void)state;
	for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++) {
		AUTO_BUF struct buf said = buf_init(1000);

		tell(payloads[i].body, &said);
		if (!span_is(buf_as_span(&said), payloads[i].said))
			fail_msg("%zu: %s says %s", i, payloads[i].body.p, said.bytes);
	}
	AUTO_BUF struct buf said = buf_init(1000);

	tell(absent, &said);
	assert_int_equal(said.len, 0);
}

static void test_room_is_a_bound(void **state)
{
	AUTO_BUF struct buf room = buf_init(2);
	struct span body = S("bQUI=\x1e" "bQUJD");
	struct engineio_packet packet;

	(void)state;
	assert_int_equal(engineio_read_payload(&body, &room, &packet), ENGINEIO_PACKET);
	assert_int_equal(engineio_read_payload(&body, &room, &packet), ENGINEIO_MALFORMED);
}

static void test_frames_read(void **state)
{
	AUTO_BUF struct buf room = buf_init(100);
	struct engineio_packet packet;

	(void)state;
	assert_true(engineio_read_frame((struct span)S("2probe"), false, &room, &packet));
	assert_int_equal(packet.type, ENGINEIO_PING);
	assert_true(!packet.binary && span_is(packet.data, "probe"));
	assert_true(engineio_read_frame((struct span)S("4"), false, &room, &packet));
	assert_true(packet.type == ENGINEIO_MESSAGE && packet.data.len == 0 && packet.data.p);
	assert_true(engineio_read_frame((struct span)S("2\x1e\xff"), true, &room, &packet));
	assert_true(packet.type == ENGINEIO_MESSAGE && packet.binary && span_is(packet.data, "2\x1e\xff"));
	assert_true(engineio_read_frame((struct span)S("bQUI="), false, &room, &packet));
	assert_true(packet.type == ENGINEIO_MESSAGE && packet.binary && span_is(packet.data, "AB"));
	assert_true(engineio_read_frame((struct span){NULL, 0}, true, &room, &packet));
	assert_false(engineio_read_frame((struct span){NULL, 0}, false, &room, &packet));
	assert_false(engineio_read_frame((struct span)S("7"), false, &room, &packet));
	assert_false(engineio_read_frame((struct span)S("4\xff"), false, &room, &packet));
	assert_false(engineio_read_frame((struct span)S("bQ"), false, &room, &packet));
}

static void test_written(void **state)
{
	AUTO_BUF struct buf buf = buf_init(1000);

	(void)state;
	assert_true(engineio_write(&buf, ENCODING_SOCKETIO, ENGINEIO_PONG, false, span_of("probe")));
	assert_true(engineio_write(&buf, ENCODING_SOCKETIO, ENGINEIO_PING, false, (struct span){NULL, 0}));
	assert_true(engineio_write(&buf, ENCODING_SOCKETIO, ENGINEIO_MESSAGE, true, span_of("\1\2")));
	assert_true(span_is(buf_as_span(&buf), "\x81\x06" "3probe\x81\x01" "2\x82\x02\1\2"));
	buf_clear(&buf);
	assert_true(engineio_write(&buf, ENCODING_SOCKETIO_POLLING, ENGINEIO_OPEN, false, span_of("{}")));
	assert_true(engineio_write(&buf, ENCODING_SOCKETIO_POLLING, ENGINEIO_NOOP, false, (struct span){NULL, 0}));
	assert_true(engineio_write(&buf, ENCODING_SOCKETIO_POLLING, ENGINEIO_MESSAGE, true, span_of("\1\2")));
	assert_true(span_is(buf_as_span(&buf), "\x1e" "0{}\x1e" "6\x1e" "bAQI="));
	assert_false(engineio_write(&buf, ENCODING_SOCKETIO_POLLING, ENGINEIO_PONG, false, span_of("a\x1e" "4b")));
	assert_true(span_is(buf_as_span(&buf), "\x1e" "0{}\x1e" "6\x1e" "bAQI="));
}

static const size_t sizes[] = {0, 1, 2, 3, 124, 125, 126, 127, 65530, 65531, 65532, 65533, 131063, 131064, 131065, 300000};

/* Binary and text of every size, written for polling, then as frames: the same bytes arrive. */
static void test_upgrade(void **state)
{
	char *bytes = malloc(300000);

	(void)state;
	for (size_t i = 0; i < 300000; i++)
		bytes[i] = (char)('A' + i % 51);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		AUTO_BUF struct buf polling = buf_init(BUF_NO_MAX), frames = buf_init(BUF_NO_MAX);
		AUTO_BUF struct buf direct = buf_init(BUF_NO_MAX), payload = buf_init(BUF_NO_MAX);
		struct span data = {bytes, sizes[i]};
		int opcode;
		size_t at;

		for (int binary = 0; binary < 2; binary++) {
			assert_true(engineio_write(&polling, ENCODING_SOCKETIO_POLLING, ENGINEIO_MESSAGE, binary, data));
			assert_true(engineio_write(&direct, ENCODING_SOCKETIO, ENGINEIO_MESSAGE, binary, data));
		}
		assert_true(engineio_payload_to_frames(&frames, buf_as_span(&polling)));
		assert_true(span_equal(buf_as_span(&frames), buf_as_span(&direct)));
		at = take_message(buf_as_span(&frames), 0, 0, &opcode, &payload);
		assert_int_equal(opcode, 1);
		assert_int_equal(payload.len, 1 + data.len);
		assert_int_equal(payload.bytes[0], '4');
		assert_memory_equal(payload.bytes + 1, data.p, data.len);
		buf_clear(&payload);
		assert_int_equal(take_message(buf_as_span(&frames), at, at, &opcode, &payload), frames.len);
		assert_int_equal(opcode, 2);
		assert_true(span_equal(buf_as_span(&payload), data));
	}
	free(bytes);
}

static void test_what_is_no_payload_of_ours_is_refused(void **state)
{
	static const struct span wrong[] = {
		S("4x"), S("\x1e"), S("\x1e" "4x\x1e"), S("\x1e\x1e" "4x"), S("\x1e" "7"), S("\x1e" "bQ"), S("\x1e" "x")};
	AUTO_BUF struct buf frames = buf_init(1000), small = buf_init(3);

	(void)state;
	assert_true(engineio_payload_to_frames(&frames, (struct span){NULL, 0}));
	assert_true(engineio_payload_to_frames(&frames, (struct span)S("")));
	assert_int_equal(frames.len, 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_false(engineio_payload_to_frames(&frames, wrong[i]));
	assert_false(engineio_payload_to_frames(&small, (struct span)S("\x1e" "4hello")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_payloads),
		cmocka_unit_test(test_room_is_a_bound),
		cmocka_unit_test(test_frames_read),
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_what_is_no_payload_of_ours_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
