/* MariaDB's JSON is text with a check that may be switched off, and its own parser lets pass what a browser's does not, so
 * nothing is spliced into an event that did not pass the scanner (base/json.h). */
#include "source/mysql/json.h"

#include <string.h>

#include "base/json.h"

bool my_json_add(struct buf *out, struct span text)
{
	struct json_scan s = {.p = text.p, .end = text.p + text.len, .out = out};
	size_t before = out->len;
	bool good = json_value(&s);

	json_skip_space(&s);
	if (good && s.p == s.end)
		return true;
	out->len = before;
	if (out->bytes)
		out->bytes[before] = 0;
	return false;
}

/* With its quotes. */
static size_t string_length(const char *p)
{
	const char *from = p++;

	while (*p != '"')
		p += *p == '\\' ? 2 : 1;
	return (size_t)(p - from) + 1;
}

/* A half of a pair of surrogates is no character, and the scanner's stand-in for it no user. */
static bool is_made_up(struct span said, struct span written)
{
	static const char stand_in[] = "\xef\xbf\xbd";

	return memmem(said.p, said.len, stand_in, 3) && !memmem(written.p, written.len, stand_in, 3);
}

void my_json_each(struct span text, struct buf *scratch, void (*take_user)(void *context, struct span user), void *context)
{
	const char *p = text.p, *end = text.p + text.len;
	int depth = 0;

	while (p < end) {
		const char *from = p;

		if (*p == '"') {
			size_t at = scratch->len, len = string_length(p);
			struct span written = {p + 1, len - 2}, said;

			json_unescape(scratch, written);
			said = (struct span){scratch->bytes + at, scratch->len - at};
			p += len;
			if (depth <= 1 && (p >= end || *p != ':') && !is_made_up(said, written))
				take_user(context, said);
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
