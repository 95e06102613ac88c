/* One pass over a JSON text (RFC 8259) that checks it and copies it token by token.
 *
 * Bytes are copied, never parsed to a value and printed again: a number keeps every digit, a string its escapes, white space
 * between tokens goes. What is inside a value is walked without recursion: one bit per level says whether it is an object, and
 * JSON_DEPTH_MAX, the bound that jansson has too, ends what is only meant to exhaust us. */
#include "base/json.h"

#include <string.h>

#include "base/utf8.h"

void json_skip_space(struct json_scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

bool json_take(struct json_scan *s, char c)
{
	json_skip_space(s);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return buf_bytes(s->out, &c, 1);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The bytes of the escape at p, 0: none that JSON knows. */
static size_t escape_length(const char *p, const char *end)
{
	if (end - p < 2)
		return 0;
	if (p[1] != 'u')
		return strchr("\"\\/bfnrt", p[1]) && p[1] ? 2 : 0;
	if (end - p < 6)
		return 0;
	for (int i = 2; i < 6; i++)
		if (hex_digit(p[i]) < 0)
			return 0;
	return 6;
}

static size_t string_step(const char *p, const char *end)
{
	if ((unsigned char)*p < 0x20)
		return 0;
	return *p == '\\' ? escape_length(p, end) : utf8_sequence(p, (size_t)(end - p));
}

/* content: what stands between the quotes. */
static bool string(struct json_scan *s, struct span *content)
{
	const char *from = s->p++;
	size_t n;

	for (; s->p < s->end && *s->p != '"'; s->p += n) {
		n = string_step(s->p, s->end);
		if (!n)
			return false;
	}
	if (s->p == s->end)
		return false;
	s->p++;
	*content = (struct span){from + 1, (size_t)(s->p - from) - 2};
	return buf_bytes(s->out, from, (size_t)(s->p - from));
}

static bool digits(struct json_scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > from;
}

static bool one_of(struct json_scan *s, const char *set)
{
	if (s->p == s->end || !*s->p || !strchr(set, *s->p))
		return false;
	s->p++;
	return true;
}

static bool number(struct json_scan *s)
{
	const char *from = s->p;

	one_of(s, "-");
	if (!one_of(s, "0") && !digits(s))
		return false;
	if (one_of(s, ".") && !digits(s))
		return false;
	if (one_of(s, "eE")) {
		one_of(s, "+-");
		if (!digits(s))
			return false;
	}
	return buf_bytes(s->out, from, (size_t)(s->p - from));
}

static bool word(struct json_scan *s, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(s->end - s->p) < len || memcmp(s->p, text, len) != 0)
		return false;
	s->p += len;
	return buf_bytes(s->out, text, len);
}

static bool scalar(struct json_scan *s)
{
	struct span content;

	switch (*s->p) {
	case '"':
		return string(s, &content);
	case 't':
		return word(s, "true");
	case 'f':
		return word(s, "false");
	case 'n':
		return word(s, "null");
	default:
		return number(s);
	}
}

static bool inner_is_object(const struct json_scan *s)
{
	return s->is_object[(s->depth - 1) / 8] >> ((s->depth - 1) % 8) & 1;
}

static bool push(struct json_scan *s, bool object)
{
	unsigned char bit = (unsigned char)(1u << (s->depth % 8));

	if (s->depth == JSON_DEPTH_MAX)
		return false;
	if (object)
		s->is_object[s->depth / 8] |= bit;
	else
		s->is_object[s->depth / 8] &= (unsigned char)~bit;
	s->depth++;
	return true;
}

bool json_member(struct json_scan *s, struct span *name)
{
	json_skip_space(s);
	return s->p < s->end && *s->p == '"' && string(s, name) && json_take(s, ':');
}

/* Opens what begins here; what follows is the first value inside, or with *closed nothing: it was
 * empty. */
static bool open_inner(struct json_scan *s, bool *closed)
{
	bool object = *s->p == '{';
	struct span name;

	*closed = false;
	if (!json_take(s, *s->p) || !push(s, object))
		return false;
	if (json_take(s, object ? '}' : ']')) {
		s->depth--;
		*closed = true;
		return true;
	}
	return !object || json_member(s, &name);
}

/* After a value: closes what ends here, and stops before the next value; *more false: the outermost
 * one has ended. */
static bool next_inner(struct json_scan *s, bool *more)
{
	struct span name;

	while (s->depth) {
		bool object = inner_is_object(s);

		if (json_take(s, ',')) {
			*more = true;
			return !object || json_member(s, &name);
		}
		if (!json_take(s, object ? '}' : ']'))
			return false;
		s->depth--;
	}
	*more = false;
	return true;
}

bool json_value(struct json_scan *s)
{
	bool more = true;

	while (more) {
		bool closed = true;

		json_skip_space(s);
		if (s->p == s->end)
			return false;
		if (*s->p == '{' || *s->p == '[') {
			if (!open_inner(s, &closed))
				return false;
		} else if (!scalar(s)) {
			return false;
		}
		if (closed && !next_inner(s, &more))
			return false;
	}
	return true;
}

static void utf8_put(struct buf *out, unsigned long c)
{
	char bytes[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; c >>= 6)
		bytes[i] = (char)(0x80 | (c & 0x3f));
	bytes[0] = (char)(n == 1 ? c : ((0xf00u >> n) & 0xff) | c);
	buf_bytes(out, bytes, n);
}

static unsigned long hex4(const char *p)
{
	unsigned long c = 0;

	for (int i = 0; i < 4; i++)
		c = c * 16 + (unsigned long)hex_digit(p[i]);
	return c;
}

/* Puts the character of the \u escape at p, returns its bytes: 12 for a pair of surrogates. A lone
 * one is U+FFFD. */
static size_t put_unicode(struct buf *out, const char *p, const char *end)
{
	unsigned long c = hex4(p + 2), low;

	if (c >= 0xd800 && c < 0xdc00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
		low = hex4(p + 8);
		if (low >= 0xdc00 && low < 0xe000) {
			utf8_put(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
			return 12;
		}
	}
	utf8_put(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
	return 6;
}

void json_unescape(struct buf *out, struct span text)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *p = text.p, *end = text.p + text.len;

	while (p < end) {
		if (*p != '\\') {
			buf_bytes(out, p++, 1);
		} else if (p[1] == 'u') {
			p += put_unicode(out, p, end);
		} else {
			buf_bytes(out, &meant[strchr(letters, p[1]) - letters], 1);
			p += 2;
		}
	}
}
