/* Prevents: a consumer that is told what clients said to each other though it never asked, or not what it asked for; patterns
 * that come back from the database as other ones; a name that is a path, or no name.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "rules/wants.h"

static bool wants_one(struct wants *wants, const char *topic, const char *type, const char *source_type)
{
	struct event event = {.topic = span_of(topic), .type = span_of(type), .source_type = span_of(source_type)};

	return wants_event(wants, &event);
}

static void test_what_is_wanted(void **state)
{
	static const struct {
		const char *topics, *types, *topic, *type, *source_type;
		bool wanted;
	} cases[] = {
		{"[]", "[]", "orders", "insert", "database", true},
		{NULL, "", "orders", "insert", "sql", true},
		{"[]", "[]", "orders", "insert", "api", true},
		{"[]", "[]", "orders", "insert", "websocket", false},
		{"[]", "[]", "orders", "insert", "socketio", false},
		{"[\"ord\"]", "[]", "orders", "insert", "database", true},
		{"[\"ord$\"]", "[]", "orders", "insert", "database", false},
		{"[\"rders\"]", "[]", "orders", "insert", "database", false},
		{"[\"a\",\"o\"]", "[\"insert\"]", "orders", "insert", "database", true},
		{"[\"a\",\"o\"]", "[\"ins\"]", "orders", "insert", "database", false},
		{"[]", "{\"types\":[],\"source_types\":[\"websocket\"]}", "orders", "insert", "websocket", true},
		{"[]", "{\"types\":[],\"source_types\":[\"websocket\"]}", "orders", "insert", "database", false},
		{"[]", "{\"types\":[\"a\"],\"source_types\":[\"websocket\",\"database\"]}", "orders", "a", "database", true},
		{"[]", "{\"types\":[\"a\"],\"source_types\":[\"websocket\",\"database\"]}", "orders", "b", "database", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct wants *wants = NULL;
		struct err err = {""};

		assert_int_equal(wants_create(cases[i].topics, cases[i].types, 10, 100, &wants, &err), STATUS_OK);
		if (wants_one(wants, cases[i].topic, cases[i].type, cases[i].source_type) != cases[i].wanted)
			fail_msg("case %zu", i);
		wants_destroy(wants);
	}
	wants_destroy(NULL);
}

/* Somebody wrote it there. It must not pass for everything. */
static void test_what_is_kept_and_makes_no_sense(void **state)
{
	static const char *const bad[] = {"x", "[", "[1]", "\"a\"", "[\"(\"]"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct wants *wants = NULL;
		struct err err = {""};

		assert_int_equal(wants_create(bad[i], "[]", 10, 100, &wants, &err), STATUS_INVALID);
		if (i < 3)
			assert_int_equal(wants_create("[]", bad[i], 10, 100, &wants, &err), STATUS_INVALID);
		assert_null(wants);
	}
}

static void test_kept_and_told(void **state)
{
	static const struct {
		const char *topics, *types, *source_types; /* as asked for */
		const char *kept_topics, *kept_types;
		const char *key; /* of what is refused */
	} cases[] = {
		{NULL, NULL, NULL, "[]", "[]", NULL},
		{"null", "null", "null", "[]", "[]", NULL},
		{"[ \"a\" ]", "[ \"b\" ]", "[]", "[\"a\"]", "[\"b\"]", NULL},
		{"[\"a\"]", NULL, "[\"sql\"]", "[\"a\"]", "{\"types\":[],\"source_types\":[\"sql\"]}", NULL},
		{"\"a\"", NULL, NULL, NULL, NULL, "topics"},
		{"[1]", NULL, NULL, NULL, NULL, "topics"},
		{"[\"(\"]", NULL, NULL, NULL, NULL, "topics"},
		{"[\"a\",\"b\",\"c\"]", NULL, NULL, NULL, NULL, "topics"},
		{"[\"aaaaaaaaaaa\"]", NULL, NULL, NULL, NULL, "topics"},
		{"[\"a\"]", "[\"b\",\"c\",\"d\"]", NULL, NULL, NULL, "types"},
		{NULL, "{}", NULL, NULL, NULL, "types"},
		{NULL, NULL, "[\"postgres\"]", NULL, NULL, "source_types"},
		{NULL, NULL, "\"sql\"", NULL, NULL, "source_types"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		json_t *lists[3];
		const char *texts[] = {cases[i].topics, cases[i].types, cases[i].source_types}, *key = NULL;
		char *topics = NULL, *types = NULL, *list, *source_types;
		struct err err = {""};
		enum status status;

		for (size_t n = 0; n < 3; n++)
			lists[n] = texts[n] ? json_loads(texts[n], JSON_DECODE_ANY, NULL) : NULL;
		status = wants_texts(lists[0], lists[1], lists[2], 2, 10, &topics, &types, &key, &err);
		if (cases[i].key) {
			assert_int_not_equal(status, STATUS_OK);
			assert_string_equal(key, cases[i].key);
			assert_true(err.text[0]);
		} else {
			assert_int_equal(status, STATUS_OK);
			assert_string_equal(topics, cases[i].kept_topics);
			assert_string_equal(types, cases[i].kept_types);
			wants_split(types, &list, &source_types);
			assert_string_equal(list, texts[1] && strcmp(texts[1], "null") != 0 ? "[\"b\"]" : "[]");
			if (json_array_size(lists[2]))
				assert_string_equal(source_types, cases[i].source_types);
			else
				assert_null(source_types);
			free(list);
			free(source_types);
		}
		free(topics);
		free(types);
		for (size_t n = 0; n < 3; n++)
			json_decref(lists[n]);
	}
}

static void test_names(void **state)
{
	static const char *const bad[] = {"", "a b", "a/b", "a.b", "caf\xc3\xa9", "a\n", "*",
		"12345678901234567890123456789012345678901234567890123456789012345"};
	static const char *const good[] = {"a", "A-b_9", "live", "LIVE",
		"1234567890123456789012345678901234567890123456789012345678901234"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(wants_name_good(span_of(bad[i])));
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(wants_name_good(span_of(good[i])));
	assert_false(wants_name_good((struct span){"a\0b", 3}));
	assert_true(wants_live(span_of("LIVE")));
	assert_false(wants_live(span_of("live")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_wanted),
		cmocka_unit_test(test_what_is_kept_and_makes_no_sense),
		cmocka_unit_test(test_kept_and_told),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
