/* Quoting, and the templates of triggers/sqlite.
 *
 * Names are always quoted, so that none is taken for a keyword, and SQLite, which writes new names into triggers when a
 * column or table is renamed, quotes those in the same way.
 */
#include "source/sqlite/text.h"

#include <string.h>

static void quoted(struct buf *out, const char *text, char quote)
{
	buf_bytes(out, &quote, 1);
	for (; *text; text++) {
		if (*text == quote)
			buf_bytes(out, &quote, 1);
		buf_bytes(out, text, 1);
	}
	buf_bytes(out, &quote, 1);
}

void text_name(struct buf *out, const char *name)
{
	quoted(out, name, '"');
}

void text_literal(struct buf *out, const char *text)
{
	quoted(out, text, '\'');
}

char *text_unquote(const char **at, char quote)
{
	AUTO_BUF struct buf out = buf_init(BUF_NO_MAX); /* bounded by the statement */
	const char *p = *at;

	if (*p != quote)
		return NULL;
	for (p++; *p && (*p != quote || p[1] == quote); p++) {
		if (*p == quote)
			p++;
		buf_bytes(&out, p, 1);
	}
	if (!*p)
		return NULL;
	*at = p + 1;
	return buf_take(&out);
}

static const char *value_of(const char *name, size_t len, const char *const *pairs)
{
	for (; pairs[0]; pairs += 2)
		if (strlen(pairs[0]) == len && memcmp(pairs[0], name, len) == 0)
			return pairs[1];
	return NULL;
}

char *text_fill(const char *text, const char *const *pairs)
{
	AUTO_BUF struct buf out = buf_init(BUF_NO_MAX); /* bounded by the template and the names */
	const char *end;

	while (text[0] == '-' && text[1] == '-')
		text += strcspn(text, "\n") + 1;
	end = text + strcspn(text, "\n");
	while (text < end) {
		size_t plain = strcspn(text, "@\n"), len = text[plain] == '@' ? strcspn(text + plain + 1, "@") : 0;
		const char *value = len ? value_of(text + plain + 1, len, pairs) : NULL;

		buf_bytes(&out, text, plain);
		text += plain;
		if (value) {
			buf_text(&out, value);
			text += len + 2;
		} else if (text < end) {
			buf_bytes(&out, text++, 1);
		}
	}
	return buf_take(&out);
}
