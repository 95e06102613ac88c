/* Quoting, and the templates of triggers/sqlite.
 *
 * Names are always quoted, so that none is taken for a keyword, and SQLite, which writes new names into triggers when a
 * column or table is renamed, quotes those in the same way.
 */
#include "source/sqlite/text.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/template.h"

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

char *text_fill(const char *text, const char *const *pairs)
{
	const char *statement = template_statement(text);
	AUTO_FREE char *line = mem_text_n(statement, strcspn(statement, "\n"));

	return template_fill(line, pairs);
}
