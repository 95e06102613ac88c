/* TEST sessions: the one thing that they ever get is a sample event, made here and of no journal.
 * They are in no index, so no rule, broadcast, publication or history reaches them.
 */
#include "base/clock.h"
#include "hub/internal.h"
#include "rules/topics.h"

static struct event *sample(const struct hub *hub)
{
	struct event_parts parts = {.timestamp = clock_wall_ms(),
		.version = 1,
		.journal = span_of(hub->journal),
		.topic = span_of("esink_test"),
		.type = span_of("insert"),
		.data = span_of("{\"message\":\"A sample event of esink.\"}"),
		.source = span_of("esink"),
		.source_type = span_of("api")};

	return event_create(&parts);
}

void sample_send(struct session *session)
{
	struct event *event = sample(session->hub);
	const struct frame *frame = wire_frame(event, session->ops->encoding, CLASS_BOTH);

	session->sample_at = session->hub->now + SAMPLE_MS;
	if (!session->subscription ||
		subscription_wants(session->subscription, event->topic, event->type))
		session_tell(session, frame->bytes, frame->len);
	event_unref(event);
}
