/* Quoting, and the templates of triggers/mysql.
 *
 * Names stand in backticks, which no sql_mode changes. A literal is written in quotes only when it holds nothing that any
 * sql_mode reads differently; everything else is written in hexadecimal.
 */
#include "source/mysql/text.h"

#include <string.h>

#include "source/template.h"

void my_text_name(struct buf *out, const char *name)
{
	buf_text(out, "`");
	for (; *name; name++) {
		if (*name == '`')
			buf_text(out, "`");
		buf_bytes(out, name, 1);
	}
	buf_text(out, "`");
}

void my_text_table(struct buf *out, const char *schema, const char *table)
{
	my_text_name(out, schema);
	buf_text(out, ".");
	my_text_name(out, table);
}

void my_text_bytes(struct buf *out, struct span bytes)
{
	static const char digits[] = "0123456789abcdef";

	buf_reserve(out, 2 * bytes.len + 4);
	buf_text(out, "x'");
	for (size_t i = 0; i < bytes.len; i++) {
		char pair[2] = {digits[(unsigned char)bytes.p[i] >> 4], digits[bytes.p[i] & 15]};

		buf_bytes(out, pair, sizeof(pair));
	}
	buf_text(out, "'");
}

static bool is_plain(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c < ' ' || c > '~' || c == '\'' || c == '\\')
			return false;
	}
	return true;
}

void my_text_literal(struct buf *out, struct span text)
{
	if (!text.p) {
		buf_text(out, "NULL");
	} else if (is_plain(text)) {
		buf_text(out, "'");
		buf_span(out, text);
		buf_text(out, "'");
	} else {
		buf_text(out, "_utf8mb4 ");
		my_text_bytes(out, text);
	}
}

char *my_text_fill(const char *text, const char *const *pairs)
{
	char *filled = template_fill(template_statement(text), pairs);
	size_t len = strlen(filled);

	while (len && filled[len - 1] == '\n')
		filled[--len] = 0;
	return filled;
}
