/* UTF-8 validation by the table of well-formed sequences (Unicode 15, table 3-7). */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

static bool follows(const unsigned char *s, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return false;
	return true;
}

size_t utf8_sequence(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;

	if (!len)
		return 0;
	if (s[0] < 0x80)
		return 1;
	n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || len < n || !follows(s, n))
		return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
		(s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static bool eight_of_ascii(const char *text)
{
	uint64_t word;

	memcpy(&word, text, sizeof(word));
	return !(word & 0x8080808080808080u);
}

bool utf8_valid(const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = len - i >= 8 && eight_of_ascii(text + i) ? 8 : utf8_sequence(text + i, len - i);

		if (!n)
			return false;
		i += n;
	}
	return true;
}

size_t utf8_shown(const char *text, size_t len, size_t max)
{
	size_t at = 0, n;

	while (at < len && (n = utf8_sequence(text + at, len - at)) && at + n <= max)
		at += n;
	return at;
}
