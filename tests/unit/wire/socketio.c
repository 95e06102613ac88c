/* Prevents: a hostile packet that crashes the relay or is taken for another one; a number of a client's that reaches the hub
 * with other digits; a packet that a Socket.IO client cannot read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "wire/engineio.h"
#include "wire/socketio.h"
#include "wire/wire.h"

static const struct read_case {
	const char *text;
	enum socketio_type type;
	unsigned attachments;
	const char *namespace;
	int64_t id; /* -1: none */
	const char *json; /* NULL: none */
} reads[] = {
	{"0", SOCKETIO_CONNECT, 0, "/", -1, NULL},
	{"0{\"token\":\"x\"}", SOCKETIO_CONNECT, 0, "/", -1, "{\"token\":\"x\"}"},
	{"0/admin,", SOCKETIO_CONNECT, 0, "/admin", -1, NULL},
	{"0/admin", SOCKETIO_CONNECT, 0, "/admin", -1, NULL},
	{"0/admin?a=b&c,{}", SOCKETIO_CONNECT, 0, "/admin", -1, "{}"},
	{"0/admin?", SOCKETIO_CONNECT, 0, "/admin", -1, NULL},
	{"0/,{}", SOCKETIO_CONNECT, 0, "/", -1, "{}"},
	{"0/\xc3\xb6,{}", SOCKETIO_CONNECT, 0, "/\xc3\xb6", -1, "{}"},
	{"1", SOCKETIO_DISCONNECT, 0, "/", -1, NULL},
	{"1/admin,", SOCKETIO_DISCONNECT, 0, "/admin", -1, NULL},
	{"2[\"hello\",1]", SOCKETIO_EVENT, 0, "/", -1, "[\"hello\",1]"},
	{"2[\"hello\"]", SOCKETIO_EVENT, 0, "/", -1, "[\"hello\"]"},
	{"2[\"\"]", SOCKETIO_EVENT, 0, "/", -1, "[\"\"]"},
	{"2[5,{}]", SOCKETIO_EVENT, 0, "/", -1, "[5,{}]"},
	{"2[1.5]", SOCKETIO_EVENT, 0, "/", -1, "[1.5]"},
	{"2[\"Connect\"]", SOCKETIO_EVENT, 0, "/", -1, "[\"Connect\"]"},
	{"20[\"a\"]", SOCKETIO_EVENT, 0, "/", 0, "[\"a\"]"},
	{"2/admin,456[\"project:delete\",123]", SOCKETIO_EVENT, 0, "/admin", 456, "[\"project:delete\",123]"},
	{"2999999999999999999[\"a\"]", SOCKETIO_EVENT, 0, "/", 999999999999999999, "[\"a\"]"},
	{"2007[\"a\"]", SOCKETIO_EVENT, 0, "/", 7, "[\"a\"]"},
	{"2[\"n\",0.10,123456789012345678901234567890]", SOCKETIO_EVENT, 0, "/", -1,
		"[\"n\",0.10,123456789012345678901234567890]"},
	{"3/admin,456[]", SOCKETIO_ACK, 0, "/admin", 456, "[]"},
	{"3[1]", SOCKETIO_ACK, 0, "/", -1, "[1]"},
	{"51-[\"hello\",{\"_placeholder\":true,\"num\":0}]", SOCKETIO_BINARY_EVENT, 1, "/", -1,
		"[\"hello\",{\"_placeholder\":true,\"num\":0}]"},
	{"510-/a,7[\"x\"]", SOCKETIO_BINARY_EVENT, 10, "/a", 7, "[\"x\"]"},
	{"61-/admin,456[{\"_placeholder\":true,\"num\":0}]", SOCKETIO_BINARY_ACK, 1, "/admin", 456,
		"[{\"_placeholder\":true,\"num\":0}]"},
};

static void test_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(reads) / sizeof(*reads); i++) {
		const struct read_case *c = &reads[i];
		struct socketio_packet packet;
		struct err err = {""};

		if (socketio_read(span_of(c->text), &packet, &err) != STATUS_OK)
			fail_msg("%s: %s", c->text, err.text);
		if (packet.type != c->type || packet.attachments != c->attachments ||
			!span_is(packet.namespace, c->namespace) || packet.has_id != (c->id >= 0) ||
			packet.id != (uint64_t)(c->id < 0 ? 0 : c->id))
			fail_msg("%s: read as something else", c->text);
		assert_int_equal(packet.json.p != NULL, c->json != NULL);
		assert_int_equal(packet.root != NULL, c->json != NULL);
		assert_true(!c->json || span_is(packet.json, c->json));
		socketio_packet_finish(&packet);
		assert_null(packet.root);
		socketio_packet_finish(&packet);
	}
}

#define S(text) {text, sizeof(text) - 1}

static const struct span malformed[] = {
	S(""), S("7"), S("9{}"), S("a"), S(" 0"), S("\0"), S("-1"), S("{}"), S("\xb2"),
	/* the shape of the type */
	S("0[]"), S("0null"), S("0\"x\""), S("0 1"), S("0true"), S("1{}"), S("1[]"), S("1 "), S("1null"), S("2"), S("2{}"), S("2[]"),
	S("2[null]"), S("2[true]"), S("2[{}]"), S("2[[\"a\"]]"), S("2\"a\""), S("2null"), S("3"), S("31"), S("3{}"), S("3null"),
	S("4"), S("4{\"message\":\"x\"}"), S("4\"x\""), S("5"), S("6"),
	/* names with a meaning of their own */
	S("2[\"connect\"]"), S("2[\"connect_error\"]"), S("2[\"disconnect\"]"), S("2[\"disconnecting\",1]"),
	S("2[\"newListener\"]"), S("2[\"removeListener\"]"), S("51-[\"connect\"]"), S("2[\"\\u0063onnect\"]"),
	/* attachments */
	S("5[\"a\"]"), S("5-[\"a\"]"), S("51[\"a\"]"), S("51"), S("51-"), S("511-[\"a\"]"), S("5001-[\"a\"]"),
	S("599999999999999999999-[\"a\"]"),
	S("5-1-[\"a\"]"), S("50-[\"a\"]"), S("500-[\"a\"]"), S("51.0-[\"a\"]"), S("5 1-[\"a\"]"), S("51e0-[\"a\"]"), S("21-[\"a\"]"), S("6[1]"), S("61-{}"),
	/* ids */
	S("21000000000000000000[\"a\"]"), S("2-1[\"a\"]"), S("2+1[\"a\"]"), S("21.5[\"a\"]"), S("2 [\"a\"]"), S("0 {}"), S("0/a, {}"), S("21 2[\"a\"]"), S("21"),
	/* namespaces */
	S("2/admin[\"a\"]"), S("2admin,[\"a\"]"), S("0/a\x1e" "b,"), S("0/a\nb,"), S("0/a\0b,"), S("0/a,/b,"), S("0,{}"),
	/* JSON */
	S("2[\"a\""), S("2[\"a\"]]"), S("2[\"a\"]x"), S("2[\"a\",]"), S("2['a']"),
	S("2[\"a\",{\"b\":1,\"b\":2}]"), S("0{\"a\":1,\"a\":1}"),
	S("2[\"a\",\"\\u0000\"]"), S("2[\"a\"]\0"), S("2[\"\xff\"]"),
	S("2[\"a\",1e999]"), S("2[\"a\x1e\"]"), S("2[NaN]"), S("2[\"a\",01]"),
};

static void test_malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(malformed) / sizeof(*malformed); i++) {
		struct socketio_packet packet = {.id = 77};
		struct err err = {""};

		if (socketio_read(malformed[i], &packet, &err) != STATUS_INVALID)
			fail_msg("%zu: %s is let through", i, malformed[i].p);
		assert_true(*err.text);
		assert_int_equal(packet.id, 77);
	}
}

/* Depth is the parser's stack. */
static void test_deep_is_malformed(void **state)
{
	(void)state;
	for (size_t depth = 100; depth <= 1000000; depth *= 10) {
		AUTO_BUF struct buf text = buf_init(BUF_NO_MAX);
		struct socketio_packet packet;
		struct err err;

		buf_text(&text, "2[\"a\"");
		for (size_t i = 0; i < depth; i++)
			buf_text(&text, i ? "[" : ",[");
		for (size_t i = 0; i < depth; i++)
			buf_text(&text, "]");
		buf_text(&text, "]");
		if (socketio_read(buf_as_span(&text), &packet, &err) == STATUS_OK) {
			assert_true(depth <= 1000);
			socketio_packet_finish(&packet);
		} else {
			assert_true(depth > 1000);
		}
	}
}

static const struct message_case {
	const char *packet, *text; /* NULL: not one */
} messages[] = {
	{"2[\"event\",{\"a\":0.10}]", "{\"event\":\"event\",\"data\":{\"a\":0.10}}"},
	{"2[\"unsubscribe\"]", "{\"event\":\"unsubscribe\",\"data\":{}}"},
	{"2[ \"a\\u0062\" , {\"b\" : [1, \"],\\\"\"]}\n, 3 ]", "{\"event\":\"a\\u0062\",\"data\":{\"b\" : [1, \"],\\\"\"]}}"},
	{"2[\"event\",\"{\\\"a\\\":1}\"]", "{\"event\":\"event\",\"data\":\"{\\\"a\\\":1}\"}"},
	{"2[\"event\",null,{}]", "{\"event\":\"event\",\"data\":null}"},
	{"25[\"event\",12345678901234567890123]", "{\"event\":\"event\",\"data\":12345678901234567890123}"},
	{"2[7,[]]", "{\"event\":7,\"data\":[]}"},
	{"51-[\"event\",{\"_placeholder\":true,\"num\":0}]", "{\"event\":\"event\",\"data\":{\"_placeholder\":true,\"num\":0}}"},
	{"3[\"a\",{}]", NULL},
	{"0{}", NULL},
	{"1", NULL},
};

static void test_client_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
		AUTO_BUF struct buf text = buf_init(1000), small = buf_init(10);
		struct socketio_packet packet;
		struct err err = {""};

		assert_int_equal(socketio_read(span_of(messages[i].packet), &packet, &err), STATUS_OK);
		assert_int_equal(socketio_client_message(&packet, &text), messages[i].text != NULL);
		assert_false(socketio_client_message(&packet, &small));
		if (messages[i].text)
			assert_string_equal(text.bytes, messages[i].text);
		socketio_packet_finish(&packet);
	}
}

static void test_elements(void **state)
{
	static const struct {
		const char *text;
		size_t index;
		const char *raw;
	} cases[] = {{"[1,2]", 0, "1"}, {"[1,2]", 1, "2"}, {"[1,2]", 2, NULL}, {"[]", 0, NULL}, {" [ ] ", 0, NULL},
		{"[[1,[2]],{\"a\":[3,4]} , \"x,]\"]", 0, "[1,[2]]"}, {"[[1,[2]],{\"a\":[3,4]} , \"x,]\"]", 1, "{\"a\":[3,4]}"},
		{"[[1,[2]],{\"a\":[3,4]} , \"x,]\"]", 2, "\"x,]\""}, {"{\"a\":1}", 0, NULL}, {"[1,2]", SIZE_MAX, NULL}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct span raw = {NULL, 0};

		assert_int_equal(wire_raw_element(span_of(cases[i].text), cases[i].index, &raw), cases[i].raw != NULL);
		assert_true(span_equal(raw, span_of(cases[i].raw)));
	}
}

/* Written, then read again by our own reader of polling bodies. */
static void test_written(void **state)
{
	static const struct {
		struct socketio_packet packet;
		const char *text;
	} cases[] = {
		{{.type = SOCKETIO_CONNECT, .json = S("{\"sid\":\"x\"}")}, "40{\"sid\":\"x\"}"},
		{{.type = SOCKETIO_CONNECT, .namespace = S("/"), .json = S("{}")}, "40{}"},
		{{.type = SOCKETIO_DISCONNECT}, "41"},
		{{.type = SOCKETIO_DISCONNECT, .namespace = S("/admin")}, "41/admin,"},
		{{.type = SOCKETIO_ACK, .namespace = S("/admin"), .has_id = true, .id = 12, .json = S("[]")}, "43/admin,12[]"},
		{{.type = SOCKETIO_ACK, .has_id = true, .json = S("[1]")}, "430[1]"},
		{{.type = SOCKETIO_EVENT, .id = 12, .json = S("[\"a\"]")}, "42[\"a\"]"},
		{{.type = SOCKETIO_CONNECT_ERROR, .namespace = S("/x"), .json = S("{\"message\":\"Invalid namespace\"}")},
			"44/x,{\"message\":\"Invalid namespace\"}"},
		{{.type = SOCKETIO_BINARY_EVENT, .attachments = 2, .json = S("[\"a\"]")}, "452-[\"a\"]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		AUTO_BUF struct buf polling = buf_init(1000), frame = buf_init(1000);

		assert_true(socketio_write(&polling, ENCODING_SOCKETIO_POLLING, &cases[i].packet));
		assert_int_equal(polling.bytes[0], ENGINEIO_SEPARATOR);
		assert_string_equal(polling.bytes + 1, cases[i].text);
		assert_true(socketio_write(&frame, ENCODING_SOCKETIO, &cases[i].packet));
		assert_memory_equal(frame.bytes, "\x81", 1);
		assert_int_equal(frame.bytes[1], strlen(cases[i].text));
		assert_string_equal(frame.bytes + 2, cases[i].text);
	}
	AUTO_BUF struct buf small = buf_init(10);

	assert_false(socketio_write(&small, ENCODING_SOCKETIO, &cases[0].packet));
	buf_clear(&small);
	assert_false(socketio_write(&small, ENCODING_SOCKETIO_POLLING, &cases[0].packet));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_deep_is_malformed),
		cmocka_unit_test(test_client_messages),
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
