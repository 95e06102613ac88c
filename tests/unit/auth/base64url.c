/* Prevents: two readers of one token that see different bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "auth/base64url.h"
#include "tokens.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void test_cases(void **state)
{
	const struct {
		const char *text, *bytes; /* bytes NULL: refused */
	} cases[] = {
		{"", ""},
		{"YQ", "a"},
		{"YWI", "ab"},
		{"YWJj", "abc"},
		{"YWJjZA", "abcd"},
		{"-_-_", "\xfb\xff\xbf"},
		{"YQ==", NULL},
		{"YR", NULL}, /* bits left over */
		{"YWJ", NULL},
		{"Y", NULL},
		{"YWJjZ", NULL},
		{"+/+/", NULL},
		{"YW I", NULL},
		{"YWI\n", NULL},
		{"YWI.", NULL},
		{"\xff\xff\xff\xff", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buf out = buf_init(100);
		bool good = base64url_decode(span_of(cases[i].text), &out);

		if (good != !!cases[i].bytes ||
			(good && !span_is(buf_as_span(&out), cases[i].bytes)))
			fail_msg("%s", cases[i].text);
		buf_finish(&out);
	}
}

static void test_round_trip(void **state)
{
	unsigned char bytes[300];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 131);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		struct buf out = buf_init(300);
		char *text = encode(bytes, len);

		assert_true(base64url_decode(span_of(text), &out));
		assert_int_equal(out.len, len);
		assert_true(len == 0 || memcmp(out.bytes, bytes, len) == 0);
		buf_finish(&out);
		free(text);
	}
}

/* Each character of a long text may be any of 256: the 64 of the alphabet are taken, wherever they stand. */
static void test_alphabet(void **state)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	(void)state;
	for (size_t at = 0; at < 10; at++) {
		for (int c = 0; c < 256; c++) {
			char text[10] = {'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A'};
			struct buf out = buf_init(20);
			const char *digit = c ? strchr(digits, c) : NULL;
			size_t value = digit ? (size_t)(digit - digits) : 64;

			text[at] = (char)c;
			if (base64url_decode((struct span){text, 10}, &out) != (value < 64 && (at < 9 || value % 16 == 0)))
				fail_msg("character %d at %zu", c, at);
			if (out.len && at == 3)
				assert_int_equal((unsigned char)out.bytes[2], value);
			buf_finish(&out);
		}
	}
}

static void test_bound(void **state)
{
	struct buf out = buf_init(2);

	(void)state;
	assert_false(base64url_decode(span_of("YWJj"), &out));
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_alphabet),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
