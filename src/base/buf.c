/* The growing byte buffer; see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"

void buf_finish(struct buf *buf)
{
	free(buf->bytes);
	*buf = (struct buf){.max = buf->max};
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	buf->full = false;
}

bool buf_reserve(struct buf *buf, size_t more)
{
	if (buf->full || more > buf->max || buf->len > buf->max - more) {
		buf->full = true;
		return false;
	}
	if (buf->len + more + 1 > buf->room) {
		size_t room = buf->room ? buf->room * 2 : 128;

		if (room < buf->len + more + 1)
			room = buf->len + more + 1;
		buf->bytes = mem_resize(buf->bytes, room);
		buf->room = room;
	}
	return true;
}

bool buf_bytes(struct buf *buf, const void *bytes, size_t len)
{
	if (!buf_reserve(buf, len))
		return false;
	if (len)
		memcpy(buf->bytes + buf->len, bytes, len);
	buf->len += len;
	buf->bytes[buf->len] = 0;
	return true;
}

bool buf_text(struct buf *buf, const char *text)
{
	return buf_bytes(buf, text, strlen(text));
}

bool buf_span(struct buf *buf, struct span span)
{
	return buf_bytes(buf, span.p, span.len);
}

bool buf_number(struct buf *buf, int64_t number)
{
	char digits[24], *at = digits + sizeof(digits);
	uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

	do
		*--at = (char)('0' + left % 10);
	while (left /= 10);
	if (number < 0)
		*--at = '-';
	return buf_bytes(buf, at, (size_t)(digits + sizeof(digits) - at));
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args, again;
	int len;
	bool ok = false;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	if (len >= 0 && buf_reserve(buf, (size_t)len)) {
		vsnprintf(buf->bytes + buf->len, (size_t)len + 1, format, again);
		buf->len += (size_t)len;
		ok = true;
	}
	va_end(again);
	va_end(args);
	return ok;
}

static bool json_char(struct buf *buf, unsigned char c)
{
	switch (c) {
	case '"':
		return buf_text(buf, "\\\"");
	case '\\':
		return buf_text(buf, "\\\\");
	case '\n':
		return buf_text(buf, "\\n");
	case '\r':
		return buf_text(buf, "\\r");
	case '\t':
		return buf_text(buf, "\\t");
	default:
		return buf_printf(buf, "\\u%04x", c);
	}
}

static bool json_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

#define EVERY(byte) (0x0101010101010101u * (byte))

/* Whether some byte of a word is 0; exact where no byte is above 0x7f. */
static uint64_t some_zero(uint64_t word)
{
	return (word - EVERY(1)) & ~word & EVERY(0x80u);
}

/* As json_plain(), of eight at a time: a row can hold hundreds of kilobytes of text. */
static bool eight_plain(const char *text)
{
	uint64_t word;

	memcpy(&word, text, sizeof(word));
	return !((word | (word + EVERY(1)) | (word - EVERY(0x20))) & EVERY(0x80u)) && !some_zero(word ^ EVERY('"')) &&
		!some_zero(word ^ EVERY('\\'));
}

static size_t plain_from(struct span text, size_t at)
{
	while (text.len - at >= 8 && eight_plain(text.p + at))
		at += 8;
	while (at < text.len && json_plain((unsigned char)text.p[at]))
		at++;
	return at;
}

bool buf_json_string(struct buf *buf, struct span text)
{
	size_t i = 0;

	buf_text(buf, "\"");
	while (i < text.len) {
		size_t start = i;

		i = plain_from(text, i);
		buf_bytes(buf, text.p + start, i - start);
		if (i >= text.len)
			break;
		if ((unsigned char)text.p[i] < 0x80) {
			json_char(buf, (unsigned char)text.p[i++]);
			continue;
		}
		size_t n = utf8_sequence(text.p + i, text.len - i);

		if (n)
			buf_bytes(buf, text.p + i, n);
		else
			buf_text(buf, "\xef\xbf\xbd");
		i += n ? n : 1;
	}
	return buf_text(buf, "\"");
}

bool buf_json_base64(struct buf *buf, struct span bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = (const unsigned char *)bytes.p;

	buf_reserve(buf, bytes.len / 3 * 4 + 8);
	buf_text(buf, "\"");
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		unsigned n = (unsigned)in[i] << 16 | (left > 1 ? (unsigned)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
		char quad[4] = {digits[n >> 18], digits[n >> 12 & 63], left > 1 ? digits[n >> 6 & 63] : '=',
			left > 2 ? digits[n & 63] : '='};

		buf_bytes(buf, quad, sizeof(quad));
	}
	return buf_text(buf, "\"");
}

char *buf_take(struct buf *buf)
{
	char *bytes;

	if (!buf->bytes)
		return mem_text("");
	bytes = buf->bytes;
	*buf = (struct buf){.max = buf->max};
	return bytes;
}
