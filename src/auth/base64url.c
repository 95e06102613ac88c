/* The strict reading of base64url. libjwt reads leniently; what decides here (the header's alg, the
 * claims) is only what this reading yields, so that no two readers see two tokens.
 */
#include "auth/base64url.h"

#define BAD 64

/* What a character stands for; BAD: nothing. */
static unsigned digit(char c)
{
	static const unsigned char digits[256] = {
		['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
		22, 23, 24, 25, 26, ['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
		41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, ['0'] = 53, 54, 55, 56, 57, 58, 59,
		60, 61, 62, ['-'] = 63, ['_'] = 64};

	return digits[(unsigned char)c] ? digits[(unsigned char)c] - 1u : BAD;
}

/* The two or three characters at the end that stand for one or two bytes. */
static bool decode_end(const char *at, size_t len, char *out)
{
	unsigned bits = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned value = digit(at[i]);

		if (value == BAD)
			return false;
		bits = bits << 6 | value;
	}
	if (len == 2)
		*out = (char)(bits >> 4);
	if (len == 3) {
		out[0] = (char)(bits >> 10);
		out[1] = (char)(bits >> 2);
	}
	return (bits & (len == 2 ? 15 : len == 3 ? 3 : 0)) == 0;
}

bool base64url_decode(struct span text, struct buf *out)
{
	size_t whole = text.len / 4 * 4, left = text.len % 4;
	size_t len = whole / 4 * 3 + (left ? left - 1 : 0);
	char *to;

	if (left == 1 || !buf_reserve(out, len))
		return false;
	to = out->bytes + out->len;
	for (size_t i = 0; i < whole; i += 4, to += 3) {
		unsigned a = digit(text.p[i]), b = digit(text.p[i + 1]), c = digit(text.p[i + 2]),
			 d = digit(text.p[i + 3]);

		if ((a | b | c | d) & BAD)
			return false;
		to[0] = (char)(a << 2 | b >> 4);
		to[1] = (char)(b << 4 | c >> 2);
		to[2] = (char)(c << 6 | d);
	}
	if (!decode_end(text.p + whole, left, to))
		return false;
	out->len += len;
	out->bytes[out->len] = 0;
	return true;
}
