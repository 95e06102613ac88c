/* The event's JSON envelope (CONTRACT section 2). The database's own JSON texts (data, old,
 * old_key) are spliced in as they came; only the short strings around them are escaped. What
 * differs by class is decided here and nowhere else:
 *
 * - both: everything, `old` where the source sent one;
 *
 * - entered: without `old`, because the row was somebody else's then;
 *
 * - left: type delete and the old key alone.
 */
#include "wire/formats.h"

static void member_text(struct buf *buf, const char *prefix, size_t len, struct span text)
{
	buf_bytes(buf, prefix, len);
	buf_json_string(buf, text);
}

#define MEMBER_TEXT(buf, prefix, text) member_text(buf, prefix, sizeof(prefix) - 1, text)

static struct span data_shown(const struct event *event, enum event_class class)
{
	struct span data = class == CLASS_LEFT ? event->old_key : event->data;

	return data.len ? data : span_of("{}");
}

static void write_row(struct buf *buf, const struct event *event, enum event_class class)
{
	BUF_LITERAL(buf, ",\"data\":");
	buf_span(buf, data_shown(event, class));
	if (class != CLASS_BOTH || !event->old.len)
		return;
	BUF_LITERAL(buf, ",\"old\":");
	buf_span(buf, event->old);
}

bool envelope_write(struct buf *buf, const struct event *event, enum event_class class)
{
	BUF_LITERAL(buf, "{\"id\":\"");
	wire_digits(buf, event->id);
	MEMBER_TEXT(buf, "\",\"table\":", event->topic);
	MEMBER_TEXT(buf, ",\"type\":", event_type_shown(event, class));
	write_row(buf, event, class);
	MEMBER_TEXT(buf, ",\"source\":", event->source);
	MEMBER_TEXT(buf, ",\"source_type\":", event->source_type);
	BUF_LITERAL(buf, ",\"timestamp\":");
	wire_integer(buf, event->timestamp);
	BUF_LITERAL(buf, ",\"version\":");
	wire_integer(buf, event->version);
	if (event->transaction_id.p)
		MEMBER_TEXT(buf, ",\"transaction_id\":", event->transaction_id);
	if (event->actor.p)
		MEMBER_TEXT(buf, ",\"actor\":", event->actor);
	if (event->incomplete)
		BUF_LITERAL(buf, ",\"incomplete\":true");
	return BUF_LITERAL(buf, "}");
}
