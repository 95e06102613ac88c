/* Prevents: a REAL that loses digits or is no JSON, a name or literal with a
 * quote that ends it early, a template whose blanks are filled twice. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "source/sqlite/text.h"
#include "source/sqlite/value.h"

static void reals(void **state)
{
	static const struct {
		double number;
		const char *text;
	} cases[] = {{0.0, "0.0"}, {1.0, "1.0"}, {-1.5, "-1.5"}, {0.1, "0.1"}, {0.1 + 0.2, "0.30000000000000004"}, {1e15, "1e+15"},
		{123456789012345.0, "123456789012345.0"}, {5e-324, "4.94065645841247e-324"}, {1.7976931348623157e308, "1.7976931348623157e+308"},
		{INFINITY, "\"Infinity\""}, {-INFINITY, "\"-Infinity\""}, {NAN, "\"NaN\""}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		AUTO_BUF struct buf out = buf_init(BUF_NO_MAX);

		value_add_real(&out, cases[i].number);
		assert_string_equal(out.bytes, cases[i].text);
		if (isfinite(cases[i].number))
			assert_true(strtod(out.bytes, NULL) == cases[i].number);
	}
}

static void forms(void **state)
{
	(void)state;
	assert_int_equal(value_form_of("BOOLEAN"), FORM_BOOLEAN);
	assert_int_equal(value_form_of("json"), FORM_JSON);
	assert_int_equal(value_form_of("TEXT"), FORM_PLAIN);
	assert_int_equal(value_form_of(NULL), FORM_PLAIN);
}

static void quotes(void **state)
{
	static const char *const names[] = {"a", "a\"b", "\"", "\"\"", "it's", "a, b", ""};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		AUTO_BUF struct buf out = buf_init(BUF_NO_MAX);
		AUTO_FREE char *name = NULL, *literal = NULL;
		const char *at;

		text_name(&out, names[i]);
		buf_text(&out, "|");
		text_literal(&out, names[i]);
		at = out.bytes;
		name = text_unquote(&at, '"');
		assert_int_equal(*at++, '|');
		literal = text_unquote(&at, '\'');
		assert_int_equal(*at, 0);
		assert_string_equal(name, names[i]);
		assert_string_equal(literal, names[i]);
	}
}

static void unended(void **state)
{
	static const char *const texts[] = {"", "a", "\"a", "\"a\"\"", "'a'"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const char *at = texts[i];

		assert_null(text_unquote(&at, '"'));
		assert_ptr_equal(at, texts[i]);
	}
}

static void templates(void **state)
{
	AUTO_FREE char *text = text_fill("-- about @name@\nCREATE @name@ ON @table@ @ @other@\n",
		(const char *const[]){"name", "\"a@table@b\"", "table", "\"t\"", NULL});

	(void)state;
	assert_string_equal(text, "CREATE \"a@table@b\" ON \"t\" @ @other@");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(reals), cmocka_unit_test(forms),
		cmocka_unit_test(quotes), cmocka_unit_test(unended), cmocka_unit_test(templates)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
