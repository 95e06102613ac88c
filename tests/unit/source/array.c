/* Prevents: a user id that holds a comma, a quote, a backslash or the word NULL being cut, merged
 * or lost on its way from users text[] to the receivers of an event; and a malformed literal read
 * past its end. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "source/postgres/array.h"

static const struct {
	const char *literal;
	bool ok;
	size_t count;
	const char *items[4];
} cases[] = {
	{"{}", true, 0, {NULL}},
	{"{7}", true, 1, {"7"}},
	{"{7,8}", true, 2, {"7", "8"}},
	{"{NULL,8,null}", true, 1, {"8"}},
	{"{\"NULL\"}", true, 1, {"NULL"}},
	{"{\"a,b\",\"c}d\",\"\"}", true, 3, {"a,b", "c}d", ""}},
	{"{\"a\\\"b\",\"c\\\\d\"}", true, 2, {"a\"b", "c\\d"}},
	{"{{1,2},{3,4}}", true, 4, {"1", "2", "3", "4"}},
	{"[0:1]={1,2}", true, 2, {"1", "2"}},
	{"{NULLS}", true, 1, {"NULLS"}},
	{"", false, 0, {NULL}},
	{"{", false, 0, {NULL}},
	{"{\"a", false, 0, {NULL}},
	{"{\"a\\", false, 0, {NULL}},
	{"{a", false, 0, {NULL}},
	{"7", false, 0, {NULL}},
	{"{7}}", false, 0, {NULL}},
	{"[0:1]", false, 0, {NULL}},
};

static void parses(void **state)
{
	struct pg_array array = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		/* An exact-sized copy: the sanitizer sees any byte read behind it. */
		size_t len = strlen(cases[i].literal);
		char *copy = mem_alloc(len);

		memcpy(copy, cases[i].literal, len);
		assert_int_equal(pg_array_parse(&array, (struct span){copy, len}), cases[i].ok);
		if (cases[i].ok) {
			assert_int_equal(array.count, cases[i].count);
			for (size_t k = 0; k < array.count; k++)
				assert_true(span_is(array.items[k], cases[i].items[k]));
		}
		free(copy);
	}
	pg_array_finish(&array);
}

static void writes_what_it_reads(void **state)
{
	static const char *const ids[] = {"a", "", "NULL", "x\"y", "b\\c", "{d,e}", "\xc3\xa9"};
	struct pg_array array = {0};
	struct buf literal = buf_init(1024);

	(void)state;
	buf_text(&literal, "{");
	for (size_t i = 0; i < 7; i++)
		pg_array_append(&literal, ids[i]);
	pg_array_append(&literal, NULL);
	buf_text(&literal, "}");
	assert_true(pg_array_parse(&array, buf_as_span(&literal)));
	assert_int_equal(array.count, 7);
	for (size_t i = 0; i < 7; i++)
		assert_true(span_is(array.items[i], ids[i]));
	pg_array_finish(&array);
	buf_finish(&literal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses), cmocka_unit_test(writes_what_it_reads)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
