/* One pass that checks and copies, token by token: a number keeps its digits. MariaDB's JSON is text with a check that may be
 * switched off, and its own parser lets pass what a browser's does not, so nothing is spliced into an event that did not pass
 * here. What is inside is walked without recursion, with a bit per level that says whether it is an object.
 */
#include "source/mysql/json.h"

#include <string.h>

#include "base/utf8.h"

#define DEPTH_MAX 2048

struct scan {
	const char *p, *end;
	struct buf *out;
	size_t depth;
	unsigned char is_object[DEPTH_MAX / 8];
};

static void skip_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* The bytes of the escape at p; 0: none that JSON knows. */
static size_t escape(const char *p, const char *end)
{
	if (end - p < 2)
		return 0;
	if (p[1] != 'u')
		return p[1] && strchr("\"\\/bfnrt", p[1]) ? 2 : 0;
	return end - p >= 6 && is_hex(p[2]) && is_hex(p[3]) && is_hex(p[4]) && is_hex(p[5]) ? 6 : 0;
}

static bool string(struct scan *s)
{
	const char *from = s->p++;
	size_t n = 1;

	for (; s->p < s->end && *s->p != '"'; s->p += n) {
		n = (unsigned char)*s->p < 0x20 ? 0 : *s->p == '\\' ? escape(s->p, s->end) : utf8_sequence(s->p, (size_t)(s->end - s->p));
		if (!n)
			return false;
	}
	if (s->p >= s->end)
		return false;
	s->p++;
	return buf_bytes(s->out, from, (size_t)(s->p - from));
}

static bool digits(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > from;
}

static bool has(struct scan *s, const char *set)
{
	if (s->p >= s->end || !*s->p || !strchr(set, *s->p))
		return false;
	s->p++;
	return true;
}

static bool number(struct scan *s)
{
	const char *from = s->p;

	has(s, "-");
	if (!has(s, "0") && !digits(s))
		return false;
	if (has(s, ".") && !digits(s))
		return false;
	if (has(s, "eE")) {
		has(s, "+-");
		if (!digits(s))
			return false;
	}
	return buf_bytes(s->out, from, (size_t)(s->p - from));
}

static bool word(struct scan *s, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(s->end - s->p) < len || memcmp(s->p, text, len) != 0)
		return false;
	s->p += len;
	return buf_text(s->out, text);
}

static bool take(struct scan *s, char c)
{
	skip_space(s);
	if (s->p >= s->end || *s->p != c)
		return false;
	s->p++;
	return buf_bytes(s->out, &c, 1);
}

static bool in_object(const struct scan *s)
{
	return s->depth && s->is_object[(s->depth - 1) / 8] >> (s->depth - 1) % 8 & 1;
}

static bool enter(struct scan *s, bool object)
{
	unsigned char bit = (unsigned char)(1u << s->depth % 8);

	if (s->depth >= DEPTH_MAX)
		return false;
	if (object)
		s->is_object[s->depth / 8] |= bit;
	else
		s->is_object[s->depth / 8] &= (unsigned char)~bit;
	s->depth++;
	return true;
}

static bool name(struct scan *s)
{
	skip_space(s);
	return s->p < s->end && *s->p == '"' && string(s) && take(s, ':');
}

/* Behind a value: closes what ends here; *more: another value follows. */
static bool after_value(struct scan *s, bool *more)
{
	*more = false;
	while (s->depth) {
		if (take(s, ',')) {
			*more = true;
			return !in_object(s) || name(s);
		}
		if (!take(s, in_object(s) ? '}' : ']'))
			return false;
		s->depth--;
	}
	return true;
}

/* One scalar, or the opening of an array or object up to its first value. *inside: a value must follow at once. */
static bool begin_value(struct scan *s, bool *inside)
{
	*inside = false;
	skip_space(s);
	if (s->p >= s->end)
		return false;
	switch (*s->p) {
	case '{':
		if (!take(s, '{'))
			return false;
		if (take(s, '}'))
			return true;
		*inside = true;
		return enter(s, true) && name(s);
	case '[':
		if (!take(s, '['))
			return false;
		if (take(s, ']'))
			return true;
		*inside = true;
		return enter(s, false);
	case '"':
		return string(s);
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

bool my_json_add(struct buf *out, struct span text)
{
	struct scan s = {.p = text.p, .end = text.p + text.len, .out = out};
	size_t before = out->len;
	bool good = true, more = true, inside;

	while (good && more) {
		good = begin_value(&s, &inside);
		if (good && !inside)
			good = after_value(&s, &more);
	}
	skip_space(&s);
	if (good && s.p == s.end)
		return true;
	out->len = before;
	if (out->bytes)
		out->bytes[before] = 0;
	return false;
}

/* -- users ------------------------------------------------------------------------------------------------------------ */

static unsigned hex4(const char *p)
{
	unsigned value = 0;

	for (int i = 0; i < 4; i++)
		value = value * 16 + (unsigned)(p[i] <= '9' ? p[i] - '0' : (p[i] | 32) - 'a' + 10);
	return value;
}

static void add_code(struct buf *out, unsigned code)
{
	char utf8[4];
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; code >>= 6)
		utf8[i] = (char)(0x80 | (code & 63));
	utf8[0] = (char)(n == 1 ? code : code | (0xf00u >> n & 0xff));
	buf_bytes(out, utf8, n);
}

/* What the string at p says; p is moved behind it. */
static void unescape(const char **p, struct buf *out)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";

	for ((*p)++; **p != '"'; (*p)++) {
		const char *known;
		unsigned code;

		if (**p != '\\') {
			buf_bytes(out, *p, 1);
			continue;
		}
		(*p)++;
		known = strchr(from, **p);
		if (**p != 'u') {
			buf_bytes(out, known ? &to[known - from] : *p, 1);
			continue;
		}
		code = hex4(*p + 1);
		*p += 4;
		if (code >= 0xd800 && code < 0xdc00 && (*p)[1] == '\\' && (*p)[2] == 'u') {
			code = 0x10000 + ((code - 0xd800) << 10) + (hex4(*p + 3) & 0x3ff);
			*p += 6;
		}
		add_code(out, code);
	}
	(*p)++;
}

void my_json_each(struct span text, struct buf *scratch, void (*take_user)(void *context, struct span user), void *context)
{
	const char *p = text.p, *end = text.p + text.len;
	int depth = 0;

	while (p < end) {
		const char *from = p;

		if (*p == '"') {
			size_t at = scratch->len;

			unescape(&p, scratch);
			if (depth <= 1 && (p >= end || *p != ':'))
				take_user(context, (struct span){scratch->bytes + at, scratch->len - at});
		} else if (*p == '-' || (*p >= '0' && *p <= '9')) {
			while (p < end && strchr("+-.eE0123456789", *p))
				p++;
			if (depth <= 1)
				take_user(context, (struct span){from, (size_t)(p - from)});
		} else {
			depth += *p == '[' ? 1 : *p == '{' ? 2 : *p == ']' ? -1 : *p == '}' ? -2 : 0;
			p++;
		}
	}
}
