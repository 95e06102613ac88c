/* Prevents: a row of the journal that tells what today's rules withhold, because of what stands in
 * its values; and one that the rules allow but that is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/ruleset.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

struct row_case {
	const char *filters, *columns;
	const char *row, *left; /* left NULL: as it is */
};

static const struct row_case cases[] = {
	{"t.s", NULL, "{\"a\":1,\"s\":2}", "{\"a\":1}"},
	{"t.s", NULL, "{\"s\":2}", "{}"},
	{"t.s", NULL, "{}", NULL},
	{"t.s", NULL, "{\"a\":\"s\"}", NULL},
	{"t.s", NULL, "{\"a\":{\"s\":1}}", NULL},
	{"t.s", NULL, "{\"a\":[{\"s\":1},\"}\",\"]\"],\"s\":1}", "{\"a\":[{\"s\":1},\"}\",\"]\"]}"},
	{"t.s", NULL, "{\"a\":\"\\\"\",\"s\":1}", "{\"a\":\"\\\"\"}"},
	{"t.s", NULL, "{\"a\":\"\\\\\",\"s\":1}", "{\"a\":\"\\\\\"}"},
	{"t.s", NULL, "{\"a\":\"\\\\\\\",\\\"s\\\":1\"}", NULL},
	{"t.s", NULL, "{\"S\":1,\"b\":2}", "{\"b\":2}"},
	{"t.s", NULL, "{ \"a\" : { \"x\" : [ ] } , \"s\" : null }", "{\"a\":{\"x\":[]}}"},
	{"t.\"a\"\"b\"", NULL, "{\"a\\\"b\":1,\"c\":2}", "{\"c\":2}"},
	{"u.s", NULL, "{\"s\":1}", NULL},
	{NULL, "t.a", "{\"a\":1,\"s\":2}", "{\"a\":1}"},
	{"t.a", "t.a,t.b", "{\"a\":1,\"b\":2,\"s\":3}", "{\"b\":2}"},
	{NULL, "u.a", "{\"s\":2}", NULL},
};

static void check(const struct row_case *c)
{
	struct ruleset_text text = {.table_names = "t", .filters = c->filters, .columns = c->columns};
	struct relation relation = {"public", "t", true, NULL, 0};
	struct ruleset *set = ruleset_create(&text, NULL);
	struct row_memo memo = {0};

	assert_non_null(set);
	for (int again = 0; again < 2; again++) { /* the second time it may be remembered */
		char *filtered = NULL;

		assert_int_equal(ruleset_filter_row(set, &relation, &memo,
					 (struct span){c->row, strlen(c->row)}, &filtered, NULL),
			STATUS_OK);
		if (c->left)
			assert_string_equal(filtered, c->left);
		else
			assert_null(filtered);
		free(filtered);
	}
	row_memo_finish(&memo);
	ruleset_destroy(set);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		check(&cases[i]);
}

/* A harmless shape that was seen does not make another one harmless. */
static void test_memo(void **state)
{
	struct ruleset_text text = {.table_names = "t", .filters = "t.s"};
	struct relation relation = {"public", "t", true, NULL, 0};
	struct ruleset *set = ruleset_create(&text, NULL);
	struct row_memo memo = {0};
	char row[64];

	(void)state;
	for (int i = 0; i < 40; i++) {
		char *filtered = NULL;

		snprintf(row, sizeof(row), i % 3 ? "{\"a%d\":1}" : "{\"a%d\":1,\"s\":1}", i % 7);
		assert_int_equal(ruleset_filter_row(set, &relation, &memo,
					 (struct span){row, strlen(row)}, &filtered, NULL),
			STATUS_OK);
		assert_int_equal(filtered == NULL, i % 3 != 0);
		free(filtered);
	}
	row_memo_finish(&memo);
	ruleset_destroy(set);
}

/* What no trigger makes ends the walk; nothing is read behind the text. */
static void test_broken(void **state)
{
	static const char *const rows[] = {"", "{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":\"", "{\"a\":\"\\",
		"}", "]]]", "{\"a\":]]],\"s\":1}", "{\"s\":", "\"s\"", "{\"a\":{{{{"};
	struct ruleset_text text = {.table_names = "t", .filters = "t.s"};
	struct relation relation = {"public", "t", true, NULL, 0};
	struct ruleset *set = ruleset_create(&text, NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *copy = malloc(strlen(rows[i]) + 1), *filtered = NULL;
		struct row_memo memo = {0};

		memcpy(copy, rows[i], strlen(rows[i]));
		if (ruleset_filter_row(set, &relation, &memo, (struct span){copy, strlen(rows[i])},
			    &filtered, NULL) == STATUS_OK)
			assert_true(!filtered || !strstr(filtered, "\"s\""));
		free(filtered);
		free(copy);
		row_memo_finish(&memo);
	}
	ruleset_destroy(set);
}

static void test_view(void **state)
{
	struct ruleset_text text = {.table_names = "a,shop.b,c,d",
		.routing = "{\"a\":\"x\",\"shop.b\":\"*\",\"gone\":\"*\"}", .filters = "a.s", .columns = "c.x"};
	struct ruleset *set = ruleset_create(&text, NULL);
	struct relation relation = {"public", "a", true, NULL, 0};
	struct table_view view = ruleset_view(set, &relation);

	(void)state;
	assert_true(view.watched && view.users && !view.everyone && view.filtered);
	relation = (struct relation){"shop", "b", false, NULL, 0};
	view = ruleset_view(set, &relation);
	assert_true(view.watched && view.users && view.everyone && !view.filtered);
	relation = (struct relation){"public", "c", true, NULL, 0};
	view = ruleset_view(set, &relation);
	assert_true(view.watched && !view.users && !view.everyone && view.filtered);
	relation = (struct relation){"public", "gone", true, NULL, 0};
	view = ruleset_view(set, &relation);
	assert_true(!view.watched && !view.users && !view.everyone);
	relation = (struct relation){"public", "b", true, NULL, 0};
	view = ruleset_view(set, &relation);
	assert_true(!view.watched && !view.users);
	ruleset_destroy(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_memo),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_view),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
