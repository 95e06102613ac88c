/* The strict reading of base64url. libjwt reads leniently; what decides here (the header's alg, the
 * claims) is only what this reading yields, so that no two readers see two tokens.
 */
#include "auth/base64url.h"

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool base64url_decode(struct span text, struct buf *out)
{
	unsigned bits = 0, held = 0;

	if (text.len % 4 == 1)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		int value = digit(text.p[i]);

		if (value < 0)
			return false;
		held = (held << 6 | (unsigned)value) & 0xfff;
		bits += 6;
		if (bits >= 8) {
			unsigned char byte = (unsigned char)(held >> (bits - 8));

			bits -= 8;
			buf_bytes(out, &byte, 1);
		}
	}
	return !out->full && (held & ((1u << bits) - 1)) == 0;
}
