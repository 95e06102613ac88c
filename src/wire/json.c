/* Messages of a websocket's client: {"event":NAME,"data":JSON}, each one websocket text message.
 */
#include "wire/formats.h"
#include "wire/frame.h"

bool json_changes(struct buf *buf, const struct event *event, enum event_class class)
{
	size_t start = frame_begin(buf);

	BUF_LITERAL(buf, "{\"event\":\"changes\",\"data\":");
	envelope_write(buf, event, class);
	BUF_LITERAL(buf, "}");
	return frame_end(buf, start, start, FRAME_TEXT);
}

bool json_message(struct buf *buf, const char *name, struct span json)
{
	size_t start = frame_begin(buf);

	buf_text(buf, "{\"event\":");
	buf_json_string(buf, span_of(name));
	buf_text(buf, ",\"data\":");
	buf_span(buf, json);
	buf_text(buf, "}");
	return frame_end(buf, start, start, FRAME_TEXT);
}
