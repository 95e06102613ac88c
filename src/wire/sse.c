/* Server-sent events: `id:`, `event:` and one `data:` line, ended by an empty line.
 *
 * A line break inside data would end the field, and the database's JSON text may hold some: a json
 * column keeps its author's layout. In valid JSON a raw CR or LF can only stand between tokens, so
 * each becomes a space; the value stays the same. A NUL cannot occur in it, and `id:` and `event:`
 * hold only what we write ourselves.
 */
#include "wire/formats.h"

static void flatten(char *text, size_t len)
{
	char *end = text + len;

	for (char *at = text; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
		*at = ' ';
	for (char *at = text; (at = memchr(at, '\r', (size_t)(end - at))) != NULL; at++)
		*at = ' ';
}

static bool end_data(struct buf *buf, size_t start)
{
	if (buf->full)
		return false;
	flatten(buf->bytes + start, buf->len - start);
	return buf_text(buf, "\n\n");
}

bool sse_changes(struct buf *buf, const struct event *event, enum event_class class)
{
	size_t start;

	BUF_LITERAL(buf, "id: ");
	buf_text(buf, event->journal);
	BUF_LITERAL(buf, ":");
	wire_digits(buf, event->id);
	BUF_LITERAL(buf, "\nevent: changes\ndata: ");
	start = buf->len;
	envelope_write(buf, event, class);
	return end_data(buf, start);
}

bool sse_message(struct buf *buf, const char *name, struct span json, struct span id)
{
	size_t start;

	if (id.p) {
		buf_text(buf, "id: ");
		buf_span(buf, id);
		buf_text(buf, "\n");
	}
	buf_printf(buf, "event: %s\ndata: ", name);
	start = buf->len;
	buf_span(buf, json);
	return end_data(buf, start);
}
