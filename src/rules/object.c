/* A member of the outermost object is copied first and taken back when its name turns out to be
 * filtered; its name is compared after its escapes are undone, so that "pass\u0077ord" is found.
 * Every occurrence of a repeated name goes. All else is the scanner's (base/json.h).
 */
#include "rules/object.h"

#include <stdlib.h>

#include "base/json.h"
#include "rules/names.h"

static bool is_dropped(struct span name, const char *const *drop, size_t drop_count)
{
	AUTO_BUF struct buf plain = buf_init(BUF_NO_MAX); /* not longer than the text */

	if (!drop_count)
		return false;
	json_unescape(&plain, name);
	for (size_t i = 0; i < drop_count; i++)
		if (name_alike(span_of(drop[i]), buf_as_span(&plain)))
			return true;
	return false;
}

static bool outermost(struct json_scan *s, const char *const *drop, size_t drop_count)
{
	struct buf *out = s->out;

	bool kept = false;

	if (!json_take(s, '{'))
		return false;
	if (json_take(s, '}'))
		return true;
	for (;;) {
		size_t mark = out->len;
		struct span name;

		if (kept)
			buf_text(out, ",");
		if (!json_member(s, &name) || !json_value(s))
			return false;
		if (is_dropped(name, drop, drop_count))
			out->len = mark;
		else
			kept = true;
		json_skip_space(s);
		if (s->p == s->end || *s->p != ',')
			return json_take(s, '}');
		s->p++; /* written when another member is kept */
	}
}

enum status object_without(
	struct span text, const char *const *drop, size_t drop_count, char **ret, struct err *err)
{
	AUTO_BUF struct buf out = buf_init(BUF_NO_MAX); /* not longer than text */
	struct json_scan s = {.p = text.p, .end = text.p + text.len, .out = &out};

	json_skip_space(&s);
	if (s.p == s.end || *s.p != '{')
		return err_set(err, STATUS_INVALID, "data is not a JSON object");
	if (outermost(&s, drop, drop_count)) {
		json_skip_space(&s);
		if (s.p == s.end) {
			*ret = buf_take(&out);
			return STATUS_OK;
		}
	}
	return err_set(err, STATUS_INVALID,
		"data is not a JSON object: byte %zu is not what JSON allows there, or nested "
		"deeper than %d",
		(size_t)(s.p - text.p) + 1, JSON_DEPTH_MAX);
}
