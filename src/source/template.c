/* One pass over the text: a value may hold what looks like a blank. */
#include "source/template.h"

#include <string.h>

#include "base/buf.h"

const char *template_statement(const char *text)
{
	while (text[0] == '-' && text[1] == '-')
		text += strcspn(text, "\n") + 1;
	return text;
}

static const char *value_of(const char *name, size_t len, const char *const *pairs)
{
	for (; pairs[0]; pairs += 2)
		if (strlen(pairs[0]) == len && memcmp(pairs[0], name, len) == 0)
			return pairs[1];
	return NULL;
}

char *template_fill(const char *text, const char *const *pairs)
{
	AUTO_BUF struct buf out = buf_init(BUF_NO_MAX); /* bounded by the templates and the catalogue */

	while (*text) {
		size_t plain = strcspn(text, "@"), len;
		const char *value = NULL;

		buf_bytes(&out, text, plain);
		text += plain;
		if (!*text)
			break;
		len = strcspn(text + 1, "@");
		if (text[1 + len] == '@')
			value = value_of(text + 1, len, pairs);
		if (value) {
			buf_text(&out, value);
			text += len + 2;
		} else {
			buf_bytes(&out, text++, 1);
		}
	}
	return buf_take(&out);
}
