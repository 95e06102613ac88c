/* Prevents: bytes that a browser cannot read: a wrong frame header, a stream event broken by a line
 * break inside data, an envelope that shows a class more than it may see, one event framed
 * differently for two receivers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "wire/wire.h"

static struct event *make(const struct event_parts *over)
{
	struct event_parts parts = {.id = 1042,
		.timestamp = 1700000000000,
		.version = 1,
		.journal = span_of("0123456789abcdef"),
		.topic = span_of("orders"),
		.type = span_of("update"),
		.data = span_of("{\"id\":1}"),
		.source = span_of("postgres"),
		.source_type = span_of("database")};

	if (over) {
		parts.old = over->old;
		parts.old_key = over->old_key;
		parts.transaction_id = over->transaction_id;
		parts.actor = over->actor;
		parts.incomplete = over->incomplete;
		if (over->data.p)
			parts.data = over->data;
		if (over->topic.p)
			parts.topic = over->topic;
	}
	return event_create(&parts);
}

#define TAIL                                                                                       \
	"\"source\":\"postgres\",\"source_type\":\"database\",\"timestamp\":1700000000000,"        \
	"\"version\":1"

static const struct envelope_case {
	const char *name;
	const char *old, *old_key, *transaction_id, *actor, *topic, *data;
	bool incomplete;
	enum event_class class;
	const char *expected;
} envelopes[] = {
	{"plain", NULL, NULL, NULL, NULL, NULL, NULL, false, CLASS_BOTH,
		"{\"id\":\"1042\",\"table\":\"orders\",\"type\":\"update\",\"data\":{\"id\":1}"
		"," TAIL "}"},
	{"everything", "{\"id\":0}", "{\"id\":0}", "7731", "7", NULL, NULL, true, CLASS_BOTH,
		"{\"id\":\"1042\",\"table\":\"orders\",\"type\":\"update\",\"data\":{\"id\":1},"
		"\"old\":{\"id\":0}," TAIL
		",\"transaction_id\":\"7731\",\"actor\":\"7\",\"incomplete\":true}"},
	{"entered has no old", "{\"id\":0}", "{\"id\":0}", NULL, NULL, NULL, NULL, false,
		CLASS_ENTERED,
		"{\"id\":\"1042\",\"table\":\"orders\",\"type\":\"update\",\"data\":{\"id\":1}"
		"," TAIL "}"},
	{"left has the key alone", "{\"id\":0,\"x\":2}", "{\"id\":0}", NULL, NULL, NULL, NULL,
		false, CLASS_LEFT,
		"{\"id\":\"1042\",\"table\":\"orders\",\"type\":\"delete\",\"data\":{\"id\":0}"
		"," TAIL "}"},
	{"left without a key", NULL, NULL, NULL, NULL, NULL, NULL, false, CLASS_LEFT,
		"{\"id\":\"1042\",\"table\":\"orders\",\"type\":\"delete\",\"data\":{}," TAIL "}"},
	{"names are escaped", NULL, NULL, NULL, "a\nb", "My \"Table\"", NULL, false, CLASS_BOTH,
		"{\"id\":\"1042\",\"table\":\"My "
		"\\\"Table\\\"\",\"type\":\"update\",\"data\":{\"id\":1}," TAIL
		",\"actor\":\"a\\nb\"}"},
	{"digits are not touched", NULL, NULL, NULL, NULL, NULL,
		"{\"n\":0.10, \"m\":123456789012345678901234567890}", false, CLASS_BOTH,
		"{\"id\":\"1042\",\"table\":\"orders\",\"type\":\"update\",\"data\":{\"n\":0.10, "
		"\"m\":123456789012345678901234567890}," TAIL "}"},
};

static struct event *make_case(const struct envelope_case *c)
{
	struct event_parts parts = {.old = span_of(c->old),
		.old_key = span_of(c->old_key),
		.transaction_id = span_of(c->transaction_id),
		.actor = span_of(c->actor),
		.topic = span_of(c->topic),
		.data = span_of(c->data),
		.incomplete = c->incomplete};

	return make(&parts);
}

static void test_envelopes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(envelopes) / sizeof(*envelopes); i++) {
		const struct envelope_case *c = &envelopes[i];
		AUTO_BUF struct buf buf = buf_init(65536);
		struct event *event = make_case(c);
		json_t *parsed;

		assert_true(envelope_write(&buf, event, c->class));
		if (!span_is(buf_as_span(&buf), c->expected))
			fail_msg("%s:\n got %s\nwant %s", c->name, buf.bytes, c->expected);
		parsed = json_loads(buf.bytes, JSON_DECODE_INT_AS_REAL, NULL);
		assert_non_null(parsed);
		json_decref(parsed);
		event_unref(event);
	}
}

/* The payload of messages of every header size, and of fragments, is exactly the message. */
static void test_websocket_messages(void **state)
{
	static const size_t sizes[] = {
		0, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 60000, 65500, 65510, 65511, 65512, 65513,
		65514, 65520, 70000, 131042, 131043, 131044, 131160, 131170, 500000};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		AUTO_BUF struct buf buf = buf_init(1 << 20), json = buf_init(1 << 20),
				    text = buf_init(1 << 20);
		AUTO_BUF struct buf payload = buf_init(1 << 20);
		int opcode;

		for (size_t k = 0; k < sizes[i]; k++)
			buf_text(&text, "a");
		buf_json_string(&json, buf_as_span(&text));
		buf_text(&buf, "before");
		assert_true(wire_message(
			&buf, ENCODING_WEBSOCKET, "x", buf_as_span(&json), (struct span){NULL, 0}));
		assert_int_equal(take_message(buf_as_span(&buf), 6, 6, &opcode, &payload), buf.len);
		assert_int_equal(opcode, 1);
		assert_int_equal(payload.len, json.len + strlen("{\"event\":\"x\",\"data\":}"));
		assert_memory_equal(payload.bytes, "{\"event\":\"x\",\"data\":", 20);
		assert_memory_equal(payload.bytes + 20, json.bytes, json.len);
		assert_int_equal(payload.bytes[payload.len - 1], '}');
	}
}

static void test_message_beyond_its_buffer_is_refused(void **state)
{
	AUTO_BUF struct buf buf = buf_init(20);

	(void)state;
	assert_false(wire_message(&buf, ENCODING_WEBSOCKET, "error", span_of("{\"code\":400}"),
		(struct span){NULL, 0}));
	buf_clear(&buf);
	assert_false(wire_message(
		&buf, ENCODING_SSE, "error", span_of("{\"code\":400}"), (struct span){NULL, 0}));
}

static void test_streams(void **state)
{
	struct event_parts parts = {.data = span_of("{\"a\":\n\r\n1,\r\"b\":\"x\\ny\"\n}")};
	struct event *event = make(&parts);
	const struct frame *frame = wire_frame(event, ENCODING_SSE, CLASS_BOTH);
	AUTO_BUF struct buf buf = buf_init(1000);

	(void)state;
	assert_true(span_is((struct span){frame->bytes, frame->len},
		"id: 0123456789abcdef:1042\nevent: changes\ndata: "
		"{\"id\":\"1042\",\"table\":\"orders\",\"type\":\"update\","
		"\"data\":{\"a\":   1, \"b\":\"x\\ny\" }," TAIL "}\n\n"));
	event_unref(event);
	wire_message(&buf, ENCODING_SSE, "position", span_of("{}"), span_of("j:5"));
	wire_message(&buf, ENCODING_SSE, "error", span_of("{\"a\":\n1}"), (struct span){NULL, 0});
	assert_string_equal(buf.bytes,
		"id: j:5\nevent: position\ndata: {}\n\nevent: error\ndata: {\"a\": 1}\n\n");
}

static void test_frames_are_made_once_per_class(void **state)
{
	struct event_parts parts = {.old = span_of("{\"id\":0}")};
	struct event *event = make(&parts);
	const struct frame *both = wire_frame(event, ENCODING_WEBSOCKET, CLASS_BOTH);

	(void)state;
	assert_ptr_equal(both, wire_frame(event, ENCODING_WEBSOCKET, CLASS_BOTH));
	assert_ptr_not_equal(both, wire_frame(event, ENCODING_WEBSOCKET, CLASS_LEFT));
	assert_ptr_not_equal(both, wire_frame(event, ENCODING_SSE, CLASS_BOTH));
	assert_memory_equal(
		both->bytes + 4, "{\"event\":\"changes\",\"data\":{\"id\":\"1042\"", 38);
	event_unref(event);
}

static void *frame_it(void *event)
{
	return (void *)(uintptr_t)wire_frame(event, ENCODING_WEBSOCKET, CLASS_BOTH);
}

static void test_threads_agree_on_one_frame(void **state)
{
	(void)state;
	for (int round = 0; round < 50; round++) {
		struct event *event = make(NULL);
		pthread_t threads[4];
		void *frames[4];

		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, frame_it, event), 0);
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], &frames[i]);
		for (int i = 1; i < 4; i++)
			assert_ptr_equal(frames[0], frames[i]);
		event_unref(event);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_envelopes),
		cmocka_unit_test(test_websocket_messages),
		cmocka_unit_test(test_message_beyond_its_buffer_is_refused),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_frames_are_made_once_per_class),
		cmocka_unit_test(test_threads_agree_on_one_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
