/* Prevents: bytes that one side takes for UTF-8 and the other does not: a browser closes a
 * websocket at the first one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static size_t encode(uint32_t c, unsigned char bytes[4])
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n; i-- > 1; c >>= 6)
		bytes[i] = (unsigned char)(0x80 | (c & 0x3f));
	bytes[0] = (unsigned char)(lead[n] | c);
	return n;
}

/* Every code point: valid, and of the length that it was written with, unless it is a surrogate. */
static void test_every_character(void **state)
{
	(void)state;
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		unsigned char bytes[4];
		size_t n = encode(c, bytes);
		bool surrogate = c >= 0xd800 && c < 0xe000;

		if (utf8_sequence((char *)bytes, n) != (surrogate ? 0 : n))
			fail_msg("U+%X", c);
		if (n > 1 && utf8_sequence((char *)bytes, n - 1) != 0)
			fail_msg("U+%X cut off", c);
	}
}

/* As many valid sequences as there are characters, among all there are of two, three and four
 * bytes. */
static void test_every_sequence(void **state)
{
	size_t two = 0, three = 0;

	(void)state;
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b++) {
			unsigned char bytes[3] = {(unsigned char)a, (unsigned char)b, 0};

			two += utf8_sequence((char *)bytes, 2) == 2;
			for (unsigned c = 0; c < 256; c++) {
				bytes[2] = (unsigned char)c;
				three += utf8_sequence((char *)bytes, 3) == 3;
			}
		}
	}
	assert_int_equal(two, 0x800 - 0x80);
	assert_int_equal(three, 0x10000 - 0x800 - 0x800);
}

static void test_texts(void **state)
{
	const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{"", true},
		{"plain", true},
		{"gr\xc3\xb6\xc3\x9f"
		 "e \xe2\x82\xac \xf0\x9f\x98\x80",
			true},
		{"\x80", false},
		{"\xc0\x80", false}, /* overlong NUL */
		{"\xc1\xbf", false},
		{"\xe0\x9f\xbf", false},
		{"\xf0\x8f\xbf\xbf", false},
		{"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
		{"\xf5\x80\x80\x80", false},
		{"\xff", false},
		{"good, then \xe2\x82", false},
		{"\xe2\x28\xa1", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (utf8_valid(cases[i].text, strlen(cases[i].text)) != cases[i].valid)
			fail_msg("case %zu", i);
	assert_true(utf8_valid("a\0b", 3));
	assert_true(utf8_valid(NULL, 0));
}

/* A bad byte at each place of a long text, whatever is looked at together. */
static void test_places(void **state)
{
	char text[41];

	(void)state;
	for (size_t len = 0; len <= 40; len++) {
		memset(text, 'x', sizeof(text));
		assert_true(utf8_valid(text, len));
		for (size_t at = 0; at < len; at++) {
			text[at] = (char)0x80;
			assert_false(utf8_valid(text, len));
			text[at] = (char)0xc3;
			assert_false(utf8_valid(text, len));
			if (at + 1 < len) {
				text[at + 1] = (char)0xb6;
				assert_true(utf8_valid(text, len));
				text[at + 1] = 'x';
			}
			text[at] = 'x';
		}
	}
}

/* A name that a message shows is cut in the middle of a character, or brings bytes that make the answer no JSON. */
static void test_shown(void **state)
{
	const struct {
		const char *text;
		size_t max, shown;
	} cases[] = {
		{"", 4, 0}, {"abc", 4, 3}, {"abcdef", 4, 4}, {"abc\xc3\xb6", 4, 3}, {"abc\xc3\xb6", 5, 5}, {"ab\xff", 4, 2}, {"\xff", 4, 0}, {"abc", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(utf8_shown(cases[i].text, strlen(cases[i].text), cases[i].max), cases[i].shown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_every_sequence),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
