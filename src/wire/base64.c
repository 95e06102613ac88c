/* Base64 both ways, four characters for three bytes. A browser's, Node's and Java's encoders all
 * write the canonical form, so a text that is not is malformed and not repaired.
 */
#include "wire/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool base64_encode(struct buf *buf, struct span bytes)
{
	const unsigned char *in = (const unsigned char *)bytes.p;
	char *out;

	if (!buf_reserve(buf, (bytes.len + 2) / 3 * 4))
		return false;
	out = buf->bytes + buf->len;
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t group = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);

		*out++ = alphabet[group >> 18];
		*out++ = alphabet[group >> 12 & 63];
		*out++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
		*out++ = left > 2 ? alphabet[group & 63] : '=';
	}
	buf->len = (size_t)(out - buf->bytes);
	*out = 0;
	return true;
}

/* 64 and more: not of the alphabet. */
static uint32_t sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* Four characters, of which the last `padding` are '=' and count as zero bits. False: malformed. */
static bool decode_group(const char *in, size_t padding, char *out)
{
	uint32_t group = 0;

	for (size_t i = 0; i < 4; i++) {
		uint32_t bits = i < 4 - padding ? sextet(in[i]) : 0;

		if (bits > 63)
			return false;
		group = group << 6 | bits;
	}
	for (size_t i = 0; i < 3 - padding; i++)
		*out++ = (char)(group >> (16 - 8 * i));
	return (group & ((1u << 8 * padding) - 1)) == 0;
}

bool base64_decode(struct buf *buf, struct span text)
{
	size_t padding = 0;
	char *out;

	if (text.len % 4)
		return false;
	while (padding < 2 && padding < text.len && text.p[text.len - padding - 1] == '=')
		padding++;
	if (!buf_reserve(buf, text.len / 4 * 3 - padding))
		return false;
	out = buf->bytes + buf->len;
	for (size_t i = 0; i < text.len; i += 4) {
		size_t padded = i + 4 == text.len ? padding : 0;

		if (!decode_group(text.p + i, padded, out))
			return false;
		out += 3 - padded;
	}
	buf->len = (size_t)(out - buf->bytes);
	*out = 0;
	return true;
}
