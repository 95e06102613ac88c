/* Prevents: an event that a Socket.IO client gets once instead of twice, or broken, or under a name that its library takes for
 * something else; a large one in which no heartbeat fits between two pieces.
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

static struct event *make(struct span topic, struct span data)
{
	struct event_parts parts = {.id = 7,
		.timestamp = 1,
		.version = 1,
		.journal = span_of("0123456789abcdef"),
		.topic = topic,
		.type = span_of("insert"),
		.data = data,
		.source = span_of("s"),
		.source_type = span_of("database")};

	return event_create(&parts);
}

static void expect(struct buf *expected, const char *name, struct span envelope)
{
	buf_clear(expected);
	buf_text(expected, "42[");
	buf_json_string(expected, span_of(name));
	buf_text(expected, ",");
	buf_span(expected, envelope);
	buf_text(expected, "]");
}

/* The one, or the two messages of the event; the first may have spaces behind it. */
static void check_frames(struct event *event, const char *name)
{
	const struct frame *frame = wire_frame(event, ENCODING_SOCKETIO, CLASS_BOTH);
	AUTO_BUF struct buf envelope = buf_init(BUF_NO_MAX), expected = buf_init(BUF_NO_MAX), payload = buf_init(BUF_NO_MAX);
	struct span bytes = {frame->bytes, frame->len};
	size_t at = 0;
	int opcode;

	envelope_write(&envelope, event, CLASS_BOTH);
	if (name) {
		at = take_message(bytes, 0, 0, &opcode, &payload);
		expect(&expected, name, buf_as_span(&envelope));
		assert_true(payload.len >= expected.len && payload.len <= expected.len + 2);
		assert_memory_equal(payload.bytes, expected.bytes, expected.len);
		assert_int_equal(strspn(payload.bytes + expected.len, " "), payload.len - expected.len);
		assert_int_equal(opcode, 1);
		buf_clear(&payload);
	}
	assert_int_equal(take_message(bytes, 0, at, &opcode, &payload), frame->len);
	expect(&expected, "changes", buf_as_span(&envelope));
	assert_true(span_equal(buf_as_span(&payload), buf_as_span(&expected)));
	assert_int_equal(opcode, 1);
}

static void check_polling(struct event *event, const char *name)
{
	const struct frame *frame = wire_frame(event, ENCODING_SOCKETIO_POLLING, CLASS_BOTH);
	AUTO_BUF struct buf envelope = buf_init(BUF_NO_MAX), expected = buf_init(BUF_NO_MAX), room = buf_init(0);
	struct span body = {frame->bytes + 1, frame->len - 1};
	struct engineio_packet packet;

	envelope_write(&envelope, event, CLASS_BOTH);
	assert_int_equal(frame->bytes[0], ENGINEIO_SEPARATOR);
	for (int i = name ? 0 : 1; i < 2; i++) {
		assert_int_equal(engineio_read_payload(&body, &room, &packet), ENGINEIO_PACKET);
		assert_int_equal(packet.type, ENGINEIO_MESSAGE);
		expect(&expected, i ? "changes" : name, buf_as_span(&envelope));
		assert_true(span_equal(packet.data, (struct span){expected.bytes + 1, expected.len - 1}));
	}
	assert_int_equal(engineio_read_payload(&body, &room, &packet), ENGINEIO_END);
}

static void check(const char *topic, struct span data, bool named)
{
	struct event *event = make(span_of(topic), data);

	check_frames(event, named ? topic : NULL);
	check_polling(event, named ? topic : NULL);
	event_unref(event);
}

static void test_names(void **state)
{
	static const char *const alone[] = {"connected", "error", "changes", "subscribed", "position", "connect", "connect_error",
		"disconnect", "disconnecting", "newListener", "removeListener"};
	static const char *const named[] = {"orders", "Changes", "change", "connections", "a\"b\\c", ("a\x1e" "b"), "t\xc3\xb6",
		"\xe2\x80\xa8", "x", "app.orders", "auth"};

	(void)state;
	for (size_t i = 0; i < sizeof(alone) / sizeof(*alone); i++)
		check(alone[i], span_of("{\"a\": 1}"), false);
	for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++)
		check(named[i], span_of("{\n\t\"a\": 1}"), true);
}

/* Every length near a multiple, of the first message and of both. */
static void test_lengths(void **state)
{
	static const size_t around[] = {300, FRAME_PIECE / 2, FRAME_PIECE, FRAME_PIECE * 3 / 2, FRAME_PIECE * 2};
	char *filler = malloc(3 * FRAME_PIECE);

	(void)state;
	for (size_t i = 0; i < 3 * FRAME_PIECE; i++)
		filler[i] = (char)('a' + i % 23);
	for (size_t k = 0; k < sizeof(around) / sizeof(*around); k++)
		for (size_t len = around[k] - 300; len < around[k] - 80; len++) {
			AUTO_BUF struct buf data = buf_init(BUF_NO_MAX);

			buf_text(&data, "{\"a\":\"");
			buf_bytes(&data, filler, len);
			buf_text(&data, "\"}");
			check("orders", buf_as_span(&data), true);
		}
	free(filler);
}

/* Each class has its own envelope here too, and an envelope shorter than a long header is moved, not broken. */
static void test_left(void **state)
{
	struct event *event = make(span_of("t"), span_of("{\"secret\":1}"));
	const struct frame *frame = wire_frame(event, ENCODING_SOCKETIO, CLASS_LEFT);
	AUTO_BUF struct buf payload = buf_init(1000);
	int opcode;
	size_t at;

	(void)state;
	at = take_message((struct span){frame->bytes, frame->len}, 0, 0, &opcode, &payload);
	assert_int_equal(take_message((struct span){frame->bytes, frame->len}, 0, at, &opcode, &payload), frame->len);
	assert_null(strstr(payload.bytes, "secret"));
	assert_non_null(strstr(payload.bytes, "]42[\"changes\",{\"id\":\"7\",\"table\":\"t\",\"type\":\"delete\",\"data\":{},"));
	event_unref(event);
}

static void test_messages(void **state)
{
	AUTO_BUF struct buf buf = buf_init(1000), small = buf_init(12);

	(void)state;
	assert_true(wire_message(&buf, ENCODING_SOCKETIO, "error", span_of("{\"code\":401}"), (struct span){NULL, 0}));
	assert_true(wire_message(&buf, ENCODING_SOCKETIO_POLLING, "position", span_of("{}"), span_of("j:1")));
	assert_string_equal(buf.bytes, "\x81\x18" "42[\"error\",{\"code\":401}]\x1e" "42[\"position\",{}]");
	assert_false(wire_message(&small, ENCODING_SOCKETIO, "error", span_of("{}"), (struct span){NULL, 0}));
	buf_clear(&small);
	assert_false(wire_message(&small, ENCODING_SOCKETIO_POLLING, "error", span_of("{}"), (struct span){NULL, 0}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_left),
		cmocka_unit_test(test_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
