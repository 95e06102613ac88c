/* Finds a member's or an element's own bytes in JSON text that jansson has accepted. Numbers go through jansson as
 * doubles, so a published 0.10 would leave as 0.10000000000000001: what is only passed on is cut
 * out of the text instead.
 *
 * A scanner, not a parser: it knows strings, brackets and scalars, and relies on the text being
 * valid for the rest. On invalid text it still ends and reads nothing beyond the span.
 */
#include "wire/wire.h"

struct scan {
	const char *at, *end;
};

static void skip_space(struct scan *scan)
{
	while (scan->at < scan->end && strchr(" \t\r\n", *scan->at) && *scan->at)
		scan->at++;
}

static bool take(struct scan *scan, char c)
{
	skip_space(scan);
	if (scan->at >= scan->end || *scan->at != c)
		return false;
	scan->at++;
	return true;
}

/* At the opening quote; leaves behind the closing one. */
static void skip_string(struct scan *scan)
{
	scan->at++;
	while (scan->at < scan->end && *scan->at != '"')
		scan->at += *scan->at == '\\' && scan->end - scan->at > 1 ? 2 : 1;
	if (scan->at < scan->end)
		scan->at++;
}

static bool ends_scalar(char c)
{
	return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_value(struct scan *scan)
{
	size_t depth = 0;

	do {
		skip_space(scan);
		if (scan->at >= scan->end)
			return;
		if (*scan->at == '"') {
			skip_string(scan);
		} else if (*scan->at == '{' || *scan->at == '[') {
			depth++;
			scan->at++;
		} else if (*scan->at == '}' || *scan->at == ']') {
			depth -= depth > 0;
			scan->at++;
		} else if (*scan->at == ',' || *scan->at == ':') {
			scan->at++;
		} else {
			while (scan->at < scan->end && !ends_scalar(*scan->at) && *scan->at != ':')
				scan->at++;
		}
	} while (depth);
}

static bool find_member(struct scan *scan, const char *key)
{
	if (!take(scan, '{'))
		return false;
	do {
		const char *start;
		struct span name;

		skip_space(scan);
		if (scan->at >= scan->end || *scan->at != '"')
			return false;
		start = scan->at;
		skip_string(scan);
		name = (struct span){start + 1, (size_t)(scan->at - start) - 1};
		if (name.len)
			name.len--; /* the closing quote */
		if (!take(scan, ':'))
			return false;
		skip_space(scan);
		if (span_is(name, key))
			return true;
		skip_value(scan);
	} while (take(scan, ','));
	return false;
}

static bool value_here(struct scan *scan, struct span *raw)
{
	const char *start = scan->at;

	skip_value(scan);
	if (scan->at == start)
		return false;
	*raw = (struct span){start, (size_t)(scan->at - start)};
	return true;
}

bool wire_raw_member(struct span text, const char *const *path, struct span *raw)
{
	struct scan scan = {text.p, text.p + text.len};

	for (; *path; path++)
		if (!find_member(&scan, *path))
			return false;
	return value_here(&scan, raw);
}

bool wire_raw_element(struct span text, size_t index, struct span *raw)
{
	struct scan scan = {text.p, text.p + text.len};
	struct span value;

	if (!take(&scan, '[') || take(&scan, ']'))
		return false;
	do {
		skip_space(&scan);
		if (!value_here(&scan, &value))
			return false;
		if (index-- == 0) {
			*raw = value;
			return true;
		}
	} while (take(&scan, ','));
	return false;
}
