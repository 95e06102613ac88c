/* Prevents: a client's message that is taken for something that it is not, a published event with
 * fields of the wrong kind, a resume point misread, an error sentence that repeats a token, digits
 * of a published number changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <string.h>

#include "wire/wire.h"

#define REFUSED (-1)

static const struct {
	const char *text;
	int kind;
} messages[] = {
	{"{\"event\":\"auth\",\"data\":{\"token\":\"t\"}}", CLIENT_AUTH},
	{"{\"event\":\"subscribe\",\"data\":{}}", CLIENT_SUBSCRIBE},
	{"{\"event\":\"unsubscribe\"}", CLIENT_UNSUBSCRIBE},
	{"{\"event\":\"unsubscribe\",\"data\":null}", CLIENT_UNSUBSCRIBE},
	{"{\"event\":\"event\",\"data\":{}}", CLIENT_EVENT},
	{"{\"event\":\"event\",\"data\":{\"n\":123456789012345678901234567890}}", CLIENT_EVENT},
	{"{\"event\":\"ready\",\"data\":{\"consumer\":\"a\"}}", CLIENT_READY},
	{"{\"event\":\"ack\",\"data\":{\"seq\":0}}", CLIENT_ACK},
	{"{\"event\":\"Auth\"}", CLIENT_UNKNOWN},
	{"{\"event\":\"\"}", CLIENT_UNKNOWN},
	{" {\"event\":\"auth\",\"other\":1} ", CLIENT_AUTH},
	{"", REFUSED},
	{"auth", REFUSED},
	{"null", REFUSED},
	{"\"auth\"", REFUSED},
	{"[]", REFUSED},
	{"[{\"event\":\"auth\"}]", REFUSED},
	{"{}", REFUSED},
	{"{\"event\":1}", REFUSED},
	{"{\"event\":null,\"data\":{}}", REFUSED},
	{"{\"event\":[\"auth\"],\"data\":{}}", REFUSED},
	{"{\"event\":\"auth\",\"data\":[]}", REFUSED},
	{"{\"event\":\"auth\",\"data\":\"secret-token\"}", REFUSED},
	{"{\"event\":\"auth\",\"data\":{\"token\":\"secret-token\"", REFUSED},
	{"{\"event\":\"auth\",\"data\":{\"token\":secret-token}}", REFUSED},
	{"{\"event\":\"auth\",\"event\":\"event\"}", REFUSED},
	{"{\"event\":\"event\",\"data\":{\"a\":1,\"a\":2}}", REFUSED},
	{"{\"event\":\"event\",\"data\":{\"a\":1e999}}", REFUSED},
	{"{\"event\":\"auth\",\"data\":{\"token\":\"a\\u0000b\"}}", REFUSED},
	{"{\"event\":\"auth\",\"data\":{\"token\":\"\xff\xfe\"}}", REFUSED},
	{"{\"event\":\"auth\",\"data\":{\"token\":\"\\ud800\"}}", REFUSED},
	{"{\"event\":\"auth\"} {\"event\":\"auth\"}", REFUSED},
};

static void test_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
		struct client_message message = {0};
		struct err err = {""};
		enum status status = wire_parse(span_of(messages[i].text), &message, &err);

		if ((status == STATUS_OK ? (int)message.kind : REFUSED) != messages[i].kind)
			fail_msg("%s: %s %d %s", messages[i].text, status_text(status),
				message.kind, err.text);
		if (status == STATUS_OK)
			assert_true(json_is_object(message.data));
		else
			assert_true(err.text[0] && !strstr(err.text, "secret"));
		client_message_finish(&message);
	}
}

static void test_nesting_is_bounded(void **state)
{
	AUTO_BUF struct buf deep = buf_init(1 << 20);
	struct client_message message;
	struct err err;

	(void)state;
	buf_text(&deep, "{\"event\":\"event\",\"data\":");
	for (int i = 0; i < 100000; i++)
		buf_text(&deep, "[");
	assert_int_equal(wire_parse(buf_as_span(&deep), &message, &err), STATUS_INVALID);
}

static const struct {
	const char *text, *journal;
	uint64_t id;
	bool good;
} positions[] = {
	{"0123456789abcdef:42", "0123456789abcdef", 42, true},
	{"0123456789abcdef:0", "0123456789abcdef", 0, true},
	{"42", "", 42, true},
	{"0", "", 0, true},
	{"18446744073709551615", "", UINT64_MAX, true},
	{"0123456789abcdef:18446744073709551615", "0123456789abcdef", UINT64_MAX, true},
	{"18446744073709551616", "", 0, false},
	{"99999999999999999999", "", 0, false},
	{"000000000000000000001", "", 0, false},
	{"", "", 0, false},
	{":", "", 0, false},
	{":42", "", 0, false},
	{"0123456789abcdef:", "", 0, false},
	{"0123456789abcde:42", "", 0, false},
	{"0123456789ABCDEF:42", "", 0, false},
	{"0123456789abcdeg:42", "", 0, false},
	{"0123456789abcdef:42:1", "", 0, false},
	{"0123456789abcdef:-1", "", 0, false},
	{"+1", "", 0, false},
	{"-1", "", 0, false},
	{" 1", "", 0, false},
	{"1 ", "", 0, false},
	{"0x10", "", 0, false},
	{"1e3", "", 0, false},
	{"latest", "", 0, false},
};

static void test_positions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(positions) / sizeof(*positions); i++) {
		char journal[JOURNAL_LEN + 1] = "untouched";
		uint64_t id = 7;
		bool good = wire_parse_position(span_of(positions[i].text), journal, &id);

		if (good != positions[i].good)
			fail_msg("\"%s\"", positions[i].text);
		if (good && (id != positions[i].id || strcmp(journal, positions[i].journal) != 0))
			fail_msg("\"%s\": %s %" PRIu64, positions[i].text, journal, id);
		if (!good)
			assert_true(id == 7 && strcmp(journal, "untouched") == 0);
	}
	assert_false(wire_parse_position(
		(struct span){"1\0002", 3}, (char[JOURNAL_LEN + 1]){0}, &(uint64_t){0}));
}

#define TD "\"data\":{},\"type\":\"t\",\"table\":\"x\""
#define CHARS_16                                                                                   \
	"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9" \
	"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
#define CHARS_64 CHARS_16 CHARS_16 CHARS_16 CHARS_16

/* key: the field that is refused; NULL: good. user: as text. */
static const struct {
	const char *body, *key, *user;
	bool broadcast;
} published[] = {
	{"{" TD ",\"userId\":\"7\"}", NULL, "7", false},
	{"{" TD ",\"userId\":7}", NULL, "7", false},
	{"{" TD ",\"userId\":-1}", NULL, "-1", false},
	{"{" TD ",\"userId\":1.5}", NULL, "1.5", false},
	{"{" TD ",\"userId\":7.0}", NULL, "7", false},
	{"{" TD ",\"userId\":9007199254740993}", NULL, "9007199254740993", false},
	{"{\"data\":{\"n\":99999999999999999999},\"type\":\"t\",\"table\":\"x\",\"userId\":42,"
	 "\"timestamp\":5}",
		NULL, "42", false},
	{"{" TD ",\"userId\":\"*\"}", NULL, "", true},
	{"{" TD ",\"userId\":\"**\"}", NULL, "**", false},
	{"{" TD ",\"userId\":\"constructor\"}", NULL, "constructor", false},
	{"{" TD ",\"userId\":\"7\",\"timestamp\":1,\"source\":\"s\",\"version\":2}", NULL, "7",
		false},
	{"{" TD ",\"userId\":\"7\",\"timestamp\":null,\"source\":null,\"version\":null}", NULL, "7",
		false},
	{"{\"data\":{},\"type\":\"" CHARS_64 "\",\"table\":\"" CHARS_64 "\",\"userId\":\"7\"}",
		NULL, "7", false},
	{"{}", "data", NULL, false},
	{"{\"data\":[],\"type\":\"\",\"table\":\"\"}", "data", NULL, false},
	{"{\"data\":\"{}\",\"type\":\"t\",\"table\":\"x\"}", "data", NULL, false},
	{"{\"data\":null,\"type\":\"t\",\"table\":\"x\"}", "data", NULL, false},
	{"{\"data\":{},\"table\":\"\"}", "type", NULL, false},
	{"{\"data\":{},\"type\":\"\",\"table\":\"x\"}", "type", NULL, false},
	{"{\"data\":{},\"type\":7,\"table\":\"x\"}", "type", NULL, false},
	{"{\"data\":{},\"type\":\"" CHARS_64 "a\",\"table\":\"x\"}", "type", NULL, false},
	{"{\"data\":{},\"type\":\"t\"}", "table", NULL, false},
	{"{\"data\":{},\"type\":\"t\",\"table\":[\"x\"]}", "table", NULL, false},
	{"{\"data\":{},\"type\":\"t\",\"table\":\"" CHARS_64 "a\"}", "table", NULL, false},
	{"{" TD "}", "userId", NULL, false},
	{"{" TD ",\"userId\":null}", "userId", NULL, false},
	{"{" TD ",\"userId\":\"\"}", "userId", NULL, false},
	{"{" TD ",\"userId\":true}", "userId", NULL, false},
	{"{" TD ",\"userId\":[\"7\"]}", "userId", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"timestamp\":\"now\"}", "timestamp", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"timestamp\":0}", "timestamp", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"timestamp\":-5}", "timestamp", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"timestamp\":1.5}", "timestamp", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"timestamp\":1e300}", "timestamp", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"source\":\"\"}", "source", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"source\":{}}", "source", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"version\":\"1\"}", "version", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"version\":-1}", "version", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"version\":2147483648}", "version", NULL, false},
	/* nearly a name of ours */
	{"{" TD ",\"user_id\":\"7\"}", "userId", NULL, false},
	{"{" TD ",\"userid\":\"7\",\"userId\":\"*\"}", "userId", NULL, false},
	{"{" TD ",\"USER-ID\":null,\"userId\":\"*\"}", "userId", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"time_stamp\":1}", "timestamp", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"Source\":\"s\"}", "source", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"_version\":2}", "version", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"Table\":\"y\"}", "table", NULL, false},
	{"{" TD ",\"userId\":\"7\",\"security_token\":\"y\"}", "securityToken", NULL, false},
	/* something else: it says nothing here */
	{"{" TD ",\"userId\":\"7\",\"id\":\"9\",\"source_type\":\"api\",\"old\":{},\"actor\":\"1\",\"user\":\"8\",\"userIds\":[],\"\":1,\"_\":2}", NULL, "7", false},
};

static void test_published(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(published) / sizeof(*published); i++) {
		struct err err = {""};
		json_t *body = wire_load(span_of(published[i].body), &err);
		struct published out = {.version = 99};
		const char *key = NULL;
		enum status status = wire_parse_published(body, true, &out, &key, &err);

		if ((status == STATUS_OK) == (published[i].key != NULL))
			fail_msg("%s: %s %s", published[i].body, status_text(status), err.text);
		if (status == STATUS_OK) {
			assert_string_equal(out.user, published[i].user);
			assert_int_equal(out.broadcast, published[i].broadcast);
			assert_true(out.has_user);
		} else {
			assert_string_equal(key, published[i].key);
			assert_int_equal(strncmp(err.text, key, strlen(key)), 0);
			assert_int_equal(out.version, 99);
		}
		json_decref(body);
	}
}

static void test_published_user_bound(void **state)
{
	(void)state;
	for (size_t len = 255; len <= 256; len++) {
		char user[300];
		json_t *body = json_loads("{" TD "}", 0, NULL);
		struct published out;
		const char *key;

		memset(user, 'u', sizeof(user));
		json_object_set_new(body, "userId", json_stringn(user, len));
		assert_int_equal(wire_parse_published(body, true, &out, &key, NULL),
			len == 255 ? STATUS_OK : STATUS_INVALID);
		json_object_set_new(body, "user_id", json_null()); /* none of a client's `event` */
		assert_int_equal(wire_parse_published(body, false, &out, &key, NULL), STATUS_OK);
		assert_false(out.has_user);
		json_decref(body);
	}
}

static void test_raw_members(void **state)
{
	static const char *const path[] = {"data", "data", NULL};
	static const struct {
		const char *text, *raw;
	} cases[] = {
		{"{\"data\":{\"data\":{\"n\":0.10}}}", "{\"n\":0.10}"},
		{" { \"x\" : [1,{\"data\":2}] , \"data\" : { \"y\":\"}\\\"{\", \"data\" : { \"n\" "
		 ": [1, 2 ] } , \"z\":1 } }",
			"{ \"n\" : [1, 2 ] }"},
		{"{\"data\":{\"data\":12345678901234567890123}}", "12345678901234567890123"},
		{"{\"data\":{\"data\":\"a\\\\\"}}", "\"a\\\\\""},
		{"{\"data\":{\"data\":true,\"b\":1}}", "true"},
		{"{\"data\":{\"d\\u0061ta\":1}}", NULL},
		{"{\"data\":{}}", NULL},
		{"{\"data\":[]}", NULL},
		{"{}", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct span raw = {NULL, 0};
		bool found = wire_raw_member(span_of(cases[i].text), path, &raw);

		assert_int_equal(found, cases[i].raw != NULL);
		if (found && !span_is(raw, cases[i].raw))
			fail_msg("%s: %.*s", cases[i].text, (int)raw.len, raw.p);
	}
}

/* On text that nobody validated it must still end, and stay inside. */
static void test_raw_members_of_broken_text(void **state)
{
	static const char whole[] = "{\"a\":[1,\"x\\\"\"],\"data\":{\"data\":{\"k\":[{}]}}}";
	static const char *const path[] = {"data", "data", NULL};

	(void)state;
	for (size_t len = 0; len < sizeof(whole); len++) {
		AUTO_BUF struct buf cut = buf_init(100);
		struct span raw;

		buf_bytes(&cut, whole, len);
		(void)wire_raw_member((struct span){cut.bytes, len}, path, &raw);
	}
}

static void test_auth_that_would_get_more_than_it_asks_for(void **state)
{
	static const struct {
		const char *text;
		bool alone, subscribes; /* it is fine where topics and types are no members, and where they are */
	} cases[] = {
		{"{}", true, true},
		{"{\"token\":\"7\",\"after\":\"1\",\"version\":2}", true, true},
		{"{\"topics\":[\"orders\"]}", false, true},
		{"{\"types\":\"insert\"}", false, true},
		{"{\"topics\":null}", true, true},
		{"{\"topic\":\"orders\"}", false, false},
		{"{\"type\":\"web\"}", true, true}, /* of a client, of a token */
		{"{\"topics\":[]}", true, true},
		{"{\"TOPICS\":[\"orders\"]}", false, false},
		{"{\"_topics\":\"orders\"}", false, false},
		{"{\"After\":\"1\"}", false, false},
		{"{\"topicsOf\":\"me\",\"afterwards\":1}", true, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err err = {""};
		json_t *auth = json_loads(cases[i].text, JSON_ALLOW_NUL, NULL);

		assert_non_null(auth);
		if ((wire_check_auth(auth, false, &err) == STATUS_OK) != cases[i].alone ||
			(wire_check_auth(auth, true, &err) == STATUS_OK) != cases[i].subscribes)
			fail_msg("%s: %s", cases[i].text, err.text);
		json_decref(auth);
	}
	assert_int_equal(wire_check_auth(NULL, true, NULL), STATUS_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_auth_that_would_get_more_than_it_asks_for),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_nesting_is_bounded),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_published_user_bound),
		cmocka_unit_test(test_raw_members),
		cmocka_unit_test(test_raw_members_of_broken_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
