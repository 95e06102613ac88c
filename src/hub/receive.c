/* What a client says. A message that is not of the vocabulary's shape ends the session; one that
 * is, but asks for something impossible, is answered with `error` and changes nothing. Over Socket.IO the shape is the library's,
 * and what an author can get wrong is what was emitted: that changes nothing either, for the client would come back and say it again.
 *
 * Before `connected` a client may already subscribe (it need not wait for us); the answer is held
 * until then.
 */
#include <stdio.h>

#include "base/clock.h"
#include "hub/internal.h"

static bool too_many(struct session *session)
{
	struct hub *hub = session->hub;

	if (hub->now - session->messages_since >= 1000) {
		session->messages_since = hub->now;
		session->messages = 0;
	}
	session->messages++;
	return hub->config->max_messages_per_second &&
	       session->messages > hub->config->max_messages_per_second;
}

static bool take_after(struct session *session, const json_t *after)
{
	char digits[24];
	struct span text = {json_string_value(after), json_string_length(after)};

	if (!after || json_is_null(after) || (text.p && !text.len))
		return true;
	if (json_is_integer(after)) {
		snprintf(digits, sizeof(digits), "%lld", (long long)json_integer_value(after));
		text = span_of(digits);
	}
	if (!text.p || !wire_parse_position(text, session->after_journal, &session->after))
		return false;
	session->has_after = 1;
	return true;
}

static void auth_message(struct session *session, const json_t *data)
{
	const json_t *token = json_object_get(data, "token");
	struct err err = {""};

	if (session->state == SESSION_AUTHENTICATING || login_renewing(session)) {
		say_error(session, 400, "An earlier auth message is still being looked at.");
		return;
	}
	if (session->state == SESSION_OPENED && wire_check_auth(data, false, &err) != STATUS_OK) {
		session_end_saying(session, 400, err.text, CLOSE_BAD_MESSAGE);
		return;
	}
	if (session->state == SESSION_OPENED &&
		!take_after(session, json_object_get(data, "after"))) {
		session_end_saying(session, 400,
			"after is not a position; expected JOURNAL:ID or an id.",
			CLOSE_BAD_MESSAGE);
		return;
	}
	if (json_is_string(token))
		login(session, (struct span){json_string_value(token), json_string_length(token)});
	else
		session_end_saying(session, 401, "Unauthorized", CLOSE_UNAUTHORIZED);
}

static void dispatch(
	struct session *session, struct span text, const struct client_message *message)
{
	if (session->state == SESSION_OPENED && message->kind != CLIENT_AUTH) {
		session_end_saying(session, 401, "Unauthorized", CLOSE_UNAUTHORIZED);
		return;
	}
	switch (message->kind) {
	case CLIENT_AUTH:
		auth_message(session, message->data);
		break;
	case CLIENT_SUBSCRIBE:
		subscribe_message(session, message->data);
		break;
	case CLIENT_UNSUBSCRIBE:
		unsubscribe_message(session, message->data);
		break;
	case CLIENT_EVENT:
		republish_message(session, text, message->data);
		break;
	case CLIENT_READY:
		push_ready(session, message->data);
		break;
	case CLIENT_ACK:
		push_ack(session, message->data);
		break;
	case CLIENT_UNKNOWN:
		say_error(session, 400,
			"Unknown event; expected auth, subscribe, unsubscribe, event, ready or ack.");
		break;
	}
}

static void misshapen(struct session *session, const struct err *err)
{
	enum encoding encoding = session->ops->encoding;

	if (encoding == ENCODING_SOCKETIO || encoding == ENCODING_SOCKETIO_POLLING)
		say_error(session, 400, "What is emitted must be an event's name and one object, as in emit('subscribe', {topics: ['orders']}).");
	else
		session_end_saying(session, 400, err->text, CLOSE_BAD_MESSAGE);
}

void session_receive(struct session *session, struct span text)
{
	struct client_message message;
	struct err err;

	if (!session_usable(session))
		return;
	session_heard(session);
	session->hub->now = clock_ms();
	if (too_many(session)) {
		session_end_saying(
			session, 429, "Too many messages in one second.", CLOSE_TOO_MANY);
		return;
	}
	if (wire_parse(text, &message, &err) != STATUS_OK) {
		misshapen(session, &err);
		return;
	}
	dispatch(session, text, &message);
	client_message_finish(&message);
}
