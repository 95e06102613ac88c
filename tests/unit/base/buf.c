/* Prevents: a buffer that writes past its room or its maximum, and a JSON string that no browser
 * can parse, or that parses to other text than went in, or base64 that a browser reads back to other bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void test_appends(void **state)
{
	struct buf b = buf_init(1000);

	(void)state;
	assert_true(buf_text(&b, "a"));
	assert_true(buf_bytes(&b, "\0b", 2));
	assert_true(buf_number(&b, INT64_MIN));
	assert_true(buf_number(&b, 0));
	assert_true(buf_printf(&b, "<%s:%d>", "x", 7));
	assert_true(buf_span(&b, (struct span){NULL, 0}));
	assert_int_equal(b.len, 3 + 20 + 1 + 5);
	assert_memory_equal(b.bytes, "a\0b-92233720368547758080<x:7>", b.len + 1); /* its NUL too */
	buf_clear(&b);
	assert_int_equal(b.len, 0);
	assert_true(buf_text(&b, "again"));
	assert_string_equal(b.bytes, "again");
	buf_finish(&b);
	assert_null(b.bytes);
	assert_int_equal(b.max, 1000);
}

/* Exactly the maximum fits; past it nothing changes, and that is remembered until the buffer is
 * cleared. */
static void test_maximum(void **state)
{
	struct buf b = buf_init(10);

	(void)state;
	assert_true(buf_text(&b, "12345"));
	assert_false(buf_text(&b, "123456"));
	assert_true(b.full);
	assert_string_equal(b.bytes, "12345");
	assert_false(buf_text(&b, "1")); /* a hole would be worse than an end */
	buf_clear(&b);
	assert_true(buf_text(&b, "1234567890"));
	assert_false(buf_printf(&b, "%s", "x"));
	assert_string_equal(b.bytes, "1234567890");
	buf_clear(&b);
	assert_false(buf_reserve(&b, SIZE_MAX));
	buf_finish(&b);
	b = buf_init(0);
	assert_true(buf_text(&b, ""));
	assert_false(buf_text(&b, "x"));
	buf_finish(&b);
}

static void test_growth(void **state)
{
	struct buf b = buf_init(BUF_NO_MAX);
	size_t total = 0;

	(void)state;
	for (size_t n = 0; n < 400; n++) {
		char chunk[400];

		memset(chunk, 'a' + (int)(n % 26), n);
		assert_true(buf_bytes(&b, chunk, n));
		total += n;
		assert_int_equal(b.len, total);
		assert_int_equal(b.bytes[total], 0);
	}
	assert_memory_equal(b.bytes, "bccdddeeee", 10); /* one of b, two of c, .. */
	buf_finish(&b);
}

static void test_take(void **state)
{
	struct buf b = buf_init(10);
	char *empty = buf_take(&b), *text;

	(void)state;
	assert_string_equal(empty, "");
	buf_text(&b, "x");
	text = buf_take(&b);
	assert_string_equal(text, "x");
	assert_null(b.bytes);
	assert_int_equal(b.max, 10);
	assert_string_equal(buf_as_span(&b).p, "");
	free(empty);
	free(text);
	buf_finish(&b);
}

static void test_json_string(void **state)
{
	const struct {
		struct span text;
		const char *json;
	} cases[] = {
		{{"", 0}, "\"\""},
		{{NULL, 0}, "\"\""},
		{{"plain", 5}, "\"plain\""},
		{{"a\"b\\c/", 6}, "\"a\\\"b\\\\c/\""},
		{{"\n\r\t\b\0\x1f\x7f", 7}, "\"\\n\\r\\t\\u0008\\u0000\\u001f\\u007f\""},
		{{"\xc3\xa9\xf0\x9f\x98\x80", 6}, "\"\xc3\xa9\xf0\x9f\x98\x80\""},
		{{"a\xff", 2}, "\"a\xef\xbf\xbd\""},
		{{"\xc3", 1}, "\"\xef\xbf\xbd\""},   /* cut off */
		{{"\xc3(", 2}, "\"\xef\xbf\xbd(\""}, /* the good byte stays */
		{{"\xed\xa0\x80x", 4},
			"\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\""}, /* a surrogate */
		{{"</script>", 9}, "\"</script>\""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf b = buf_init(100);

		assert_true(buf_json_string(&b, cases[i].text));
		assert_string_equal(b.bytes, cases[i].json);
		buf_finish(&b);
	}
}

/* Plain text is passed by eight bytes at a time: whatever stands among it, at each place, is written as it is alone. */
static void test_json_among_plain(void **state)
{
	static const char plain[] = " !~xyzAZ09[]^_`{|}";
	size_t len = sizeof(plain) - 1;

	(void)state;
	for (size_t at = 0; at < len; at++)
		for (int c = 0; c < 256; c++) {
			struct buf b = buf_init(100), alone = buf_init(100), expected = buf_init(100);
			char text[sizeof(plain)], one = (char)c;

			memcpy(text, plain, sizeof(plain));
			text[at] = one;
			buf_json_string(&alone, (struct span){&one, 1});
			buf_printf(&expected, "\"%.*s%.*s%s\"", (int)at, plain, (int)alone.len - 2, alone.bytes + 1, plain + at + 1);
			assert_true(buf_json_string(&b, (struct span){text, len}));
			assert_string_equal(b.bytes, expected.bytes);
			buf_finish(&b);
			buf_finish(&alone);
			buf_finish(&expected);
		}
}

/* Whatever goes in, a JSON parser takes it, and gets the same text where it was valid. */
static void test_json_random(void **state)
{
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct buf b = buf_init(1000);
		char text[32];
		size_t len = (size_t)rand_r(&seed) % sizeof(text);
		json_t *parsed;

		for (size_t i = 0; i < len; i++)
			text[i] = (char)(rand_r(&seed) >> 7);
		assert_true(buf_json_string(&b, (struct span){text, len}));
		parsed = json_loadb(b.bytes, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		assert_non_null(parsed);
		if (utf8_valid(text, len)) {
			assert_int_equal(json_string_length(parsed), len);
			assert_memory_equal(json_string_value(parsed), text, len);
		}
		json_decref(parsed);
		buf_finish(&b);
	}
}

static void test_json_base64(void **state)
{
	static const struct {
		struct span bytes;
		const char *text;
	} cases[] = {{{"", 0}, "\"\""}, {{"f", 1}, "\"Zg==\""}, {{"fo", 2}, "\"Zm8=\""}, {{"foo", 3}, "\"Zm9v\""},
		{{"foobar", 6}, "\"Zm9vYmFy\""}, {{"\0", 1}, "\"AA==\""}, {{"\xff\xfe\xfd", 3}, "\"//79\""}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO_BUF struct buf out = buf_init(BUF_NO_MAX);

		assert_true(buf_json_base64(&out, cases[i].bytes));
		assert_string_equal(out.bytes, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_maximum),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_json_string),
		cmocka_unit_test(test_json_among_plain),
		cmocka_unit_test(test_json_random),
		cmocka_unit_test(test_json_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
