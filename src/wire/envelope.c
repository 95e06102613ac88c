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
#include "wire/wire.h"

static void member_text(struct buf *buf, const char *prefix, struct span text)
{
	buf_text(buf, prefix);
	buf_json_string(buf, text);
}

static struct span data_shown(const struct event *event, enum event_class class)
{
	struct span data = class == CLASS_LEFT ? event->old_key : event->data;

	return data.len ? data : span_of("{}");
}

bool envelope_write(struct buf *buf, const struct event *event, enum event_class class)
{
	buf_printf(buf, "{\"id\":\"%llu\"", (unsigned long long)event->id);
	member_text(buf, ",\"table\":", event->topic);
	member_text(buf, ",\"type\":", event_type_shown(event, class));
	buf_text(buf, ",\"data\":");
	buf_span(buf, data_shown(event, class));
	if (class == CLASS_BOTH && event->old.len) {
		buf_text(buf, ",\"old\":");
		buf_span(buf, event->old);
	}
	member_text(buf, ",\"source\":", event->source);
	member_text(buf, ",\"source_type\":", event->source_type);
	buf_text(buf, ",\"timestamp\":");
	buf_number(buf, event->timestamp);
	buf_text(buf, ",\"version\":");
	buf_number(buf, event->version);
	if (event->transaction_id.p)
		member_text(buf, ",\"transaction_id\":", event->transaction_id);
	if (event->actor.p)
		member_text(buf, ",\"actor\":", event->actor);
	if (event->incomplete)
		buf_text(buf, ",\"incomplete\":true");
	return buf_text(buf, "}");
}
