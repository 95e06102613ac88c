/* Parsing and writing array literals. An unquoted NULL, in any case, is a null; everything else is
 * an element. */
#include "source/postgres/array.h"

#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"

static void add_item(struct pg_array *array, const char *start, size_t len)
{
	mem_grow(&array->items, &array->room, array->count, sizeof(*array->items));
	array->items[array->count++] = (struct span){start, len};
}

/* Reads one element at i into out; returns the place behind it, or SIZE_MAX. */
static size_t read_item(struct pg_array *array, struct span s, size_t i, char **out)
{
	char *start = *out;
	bool quoted = s.p[i] == '"';

	for (i += quoted; i < s.len; i++) {
		char c = s.p[i];

		if (quoted ? c == '"' : c == ',' || c == '}')
			break;
		if (c == '\\' && ++i >= s.len)
			return SIZE_MAX;
		*(*out)++ = s.p[i];
	}
	if (i >= s.len)
		return SIZE_MAX;
	if (quoted || !(*out - start == 4 && strncasecmp(start, "null", 4) == 0))
		add_item(array, start, (size_t)(*out - start));
	return i + quoted;
}

bool pg_array_parse(struct pg_array *array, struct span s)
{
	char *out;
	size_t i = 0;
	int depth = 0;

	array->count = 0;
	mem_grow(&array->text, &array->text_room, s.len, 1);
	out = array->text;
	/* [2:3]={..}: bounds that do not begin at 1 */
	if (s.len && s.p[0] == '[') {
		while (i < s.len && s.p[i] != '=')
			i++;
		i++;
	}
	for (; i < s.len; i++) {
		if (s.p[i] == '{') {
			depth++;
		} else if (s.p[i] == '}') {
			if (--depth == 0)
				return i + 1 == s.len;
		} else if (depth < 1) {
			return false;
		} else if (s.p[i] != ',') {
			i = read_item(array, s, i, &out);
			if (i == SIZE_MAX)
				return false;
			i--;
		}
	}
	return false;
}

void pg_array_finish(struct pg_array *array)
{
	free(array->items);
	free(array->text);
	*array = (struct pg_array){0};
}

void pg_array_append(struct buf *literal, const char *text)
{
	if (literal->len > 1)
		buf_text(literal, ",");
	if (!text) {
		buf_text(literal, "NULL");
		return;
	}
	buf_text(literal, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_text(literal, "\\");
		buf_bytes(literal, text, 1);
	}
	buf_text(literal, "\"");
}
