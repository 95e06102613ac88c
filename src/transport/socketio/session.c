/* A CONNECT to `/` opens a session of the hub; its `auth` has the token, and what the query of /ws may have: after, topics,
 * types. What the query of the handshake said stands in for what `auth` leaves out. The session's id is the Socket.IO id, and the
 * packet that tells it goes out ahead of the session's first message, also of one that says why there will be no other.
 *
 * A client does not come back by itself after a DISCONNECT packet, which is for whoever may not come in, nor where its CONNECT is
 * answered with CONNECT_ERROR: that is for one that asks for what cannot be, a bad pattern, and would ask for it again each second. So
 * CONNECT is not answered before the session has something to say. In every other case the transport is closed, and it comes back.
 *
 * The session outlives the connection that it began on: it is embedded here and not in struct conn, and moves with its Engine.IO
 * session from thread to thread.
 */
#include "transport/socketio/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hub/hub.h"
#include "transport/begin.h"
#include "transport/conn.h"
#include "transport/reply.h"
#include "transport/socketio/long_poll.h"
#include "transport/socketio/share.h"
#include "transport/thread.h"
#include "wire/wire.h"

static const struct span root = {"/", 1};

/* In the Engine.IO session's memory. */
struct client {
	struct socketio socketio; /* first */
	struct opening *opening;  /* of the handshake, until CONNECT */
	struct passage *passage;  /* on the way to another thread */
	char address[46];         /* of the handshake's peer */
	bool accepted;            /* the CONNECT was answered, one way or the other */
	struct session session;
};

static struct client *client_of(struct engineio *engine)
{
	return engine_memory(engine);
}

static struct engineio *engine_under(struct session *session)
{
	return engine_of((char *)session - offsetof(struct client, session));
}

static void forget_opening(struct client *client)
{
	if (!client->opening)
		return;
	opening_finish(client->opening);
	free(client->opening);
	client->opening = NULL;
}

/* -- what the hub calls -- */

static void accept_client(struct engineio *engine)
{
	struct client *client = client_of(engine);

	if (client->accepted)
		return;
	client->accepted = true;
	socketio_accept(engine, root, client->session.id);
}

static bool client_greeted(const struct session *session)
{
	return client_of(engine_under((struct session *)(uintptr_t)session))->accepted;
}

static enum send_result client_send(struct session *session, const char *bytes, size_t len)
{
	struct engineio *engine = engine_under(session);

	accept_client(engine);
	engine_said(engine);
	return engine_send(engine, bytes, len);
}

static size_t client_room(struct session *session)
{
	return engine_room(engine_under(session));
}

static enum send_result client_send_event(struct session *session, struct event *event, const struct frame *frame)
{
	struct engineio *engine = engine_under(session);

	accept_client(engine);
	return engine_send_event(engine, event, frame);
}

static void client_want_writable(struct session *session)
{
	engine_want(engine_under(session));
}

static void refuse_connect(struct engineio *engine, const char *message)
{
	client_of(engine)->accepted = true;
	socketio_refuse(engine, root, message, 400);
}

static void client_close(struct session *session, enum close_reason reason)
{
	struct engineio *engine = engine_under(session);

	if (reason == CLOSE_BAD_MESSAGE && !client_of(engine)->accepted && session_unsaid(session))
		refuse_connect(engine, session_unsaid(session));
	if (close_reason_http(reason) == 401 && !engine->closing && socketio_connected(engine, root))
		socketio_disconnect(engine, root);
	engine_close(engine, reason);
}

static unsigned long client_progress(struct session *session)
{
	return engine_progress(engine_under(session));
}

static unsigned long client_in_flight(struct session *session)
{
	return engine_in_flight(engine_under(session));
}

static const struct transport_ops over_polling = {
	.name = "socketio",
	.encoding = ENCODING_SOCKETIO_POLLING,
	.fetches = true,
	.greeted = client_greeted,
	.send = client_send,
	.send_event = client_send_event,
	.want_writable = client_want_writable,
	.close = client_close,
	.progress = client_progress,
	.in_flight = client_in_flight,
};

static const struct transport_ops over_websocket = {
	.name = "socketio",
	.encoding = ENCODING_SOCKETIO,
	.greeted = client_greeted,
	.send = client_send,
	.room = client_room,
	.want_writable = client_want_writable,
	.close = client_close,
	.progress = client_progress,
	.in_flight = client_in_flight,
};

static const struct transport_ops *ops_of(const struct engineio *engine)
{
	return engine_encoding(engine) == ENCODING_SOCKETIO ? &over_websocket : &over_polling;
}

/* -- CONNECT -- */

/* Of `auth`: a list of strings, or one alone. Borrowed; *texts is to be freed. False: it is neither, and must not pass for
 * everything. */
static bool take_strings(const json_t *auth, const char *key, const struct span **texts, size_t *count)
{
	const json_t *value = json_object_get(auth, key);
	size_t n = json_is_string(value) ? 1 : json_array_size(value);
	struct span *own;

	if (!value || json_is_null(value))
		return true;
	own = mem_zero(n + 1, sizeof(*own));
	*texts = own;
	*count = n;
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_is_string(value) ? value : json_array_get(value, i);

		if (!json_is_string(one))
			return false;
		own[i] = (struct span){json_string_value(one), json_string_length(one)};
	}
	return json_is_string(value) || json_is_array(value);
}

static struct span text_of(const json_t *auth, const char *key, struct span otherwise)
{
	const json_t *value = json_object_get(auth, key);

	if (json_is_string(value))
		return (struct span){json_string_value(value), json_string_length(value)};
	return !value || json_is_null(value) ? otherwise : span_of(""); /* which no token is */
}

/* Refused before it could speak: why, as it would have said itself. */
static void explain(struct engineio *engine, enum close_reason reason, const char *message)
{
	AUTO_BUF struct buf json = buf_init(4096), bytes = buf_init(8192);

	if (!client_of(engine)->accepted) {
		client_of(engine)->accepted = true;
		socketio_accept(engine, root, engine->sid);
	}
	reply_error_body(&json, close_reason_http(reason), message);
	if (wire_message(&bytes, engine_encoding(engine), "error", buf_as_span(&json), (struct span){NULL, 0}))
		engine_send(engine, bytes.bytes, bytes.len);
}

static void refuse(struct engineio *engine, enum close_reason reason, const char *message)
{
	if (reason == CLOSE_BAD_MESSAGE)
		refuse_connect(engine, message);
	else
		explain(engine, reason, message);
	client_close(&client_of(engine)->session, reason);
}

static void open_session(struct engineio *engine, const struct session_request *request)
{
	struct client *client = client_of(engine);
	enum close_reason reason = CLOSE_NONE;
	const char *message = "";

	if (!session_open(&client->session, engine->home->hub, ops_of(engine), request, &reason, &message))
		refuse(engine, reason, message);
}

/* A number is a position too, as everywhere. */
static struct span after_of(const json_t *auth, struct span otherwise, struct buf *digits)
{
	const json_t *after = json_object_get(auth, "after");

	if (json_is_object(after) || json_is_array(after) || json_is_boolean(after) || json_is_real(after))
		return span_of("?"); /* which is no position; an empty one is none */
	if (!json_is_integer(after))
		return text_of(auth, "after", otherwise);
	buf_number(digits, json_integer_value(after));
	return buf_as_span(digits);
}

static void on_connect(struct engineio *engine, struct span namespace, const json_t *auth)
{
	struct client *client = client_of(engine);
	AUTO_BUF struct buf digits = buf_init(32);
	struct session_request request = client->opening ? client->opening->request : (struct session_request){0};
	const struct span *topics = NULL, *types = NULL;
	struct err err = {""};

	if (!span_equal(namespace, root)) {
		socketio_refuse(engine, namespace, "Invalid namespace", 0);
		return;
	}
	if (!socketio_admit(engine, namespace))
		return;
	client->session = (struct session){0};
	client->accepted = false;
	request.token = text_of(auth, "token", request.token.p ? request.token : span_of(""));
	request.after = after_of(auth, request.after, &digits);
	request.address = client->address;
	if (wire_check_auth(auth, true, &err) != STATUS_OK) {
		refuse(engine, CLOSE_BAD_MESSAGE, err.text);
	} else if (!take_strings(auth, "topics", &topics, &request.topic_count) ||
		!take_strings(auth, "types", &types, &request.type_count)) {
		refuse(engine, CLOSE_BAD_MESSAGE, "topics and types must be strings, or lists of strings.");
	} else {
		request.topics = topics ? topics : request.topics;
		request.types = types ? types : request.types;
		open_session(engine, &request);
	}
	free((void *)(uintptr_t)topics);
	free((void *)(uintptr_t)types);
	forget_opening(client);
}

/* -- what the client says -- */

static void on_packet(struct engineio *engine, const struct socketio_packet *packet, const struct buf *attachments)
{
	struct client *client = client_of(engine);
	AUTO_BUF struct buf text = buf_init(BUF_NO_MAX); /* by the packet */

	(void)attachments;
	if (packet->type == SOCKETIO_BINARY_EVENT)
		session_receive(&client->session, span_of("{\"event\":\"binary\"}")); /* which is answered as unknown */
	else if (packet->type == SOCKETIO_EVENT && socketio_client_message(packet, &text))
		session_receive(&client->session, buf_as_span(&text));
}

static bool is_within(const struct engineio *engine)
{
	return client_of((struct engineio *)(uintptr_t)engine)->session.within;
}

static void on_disconnect(struct engineio *engine, struct span namespace)
{
	(void)namespace;
	engine_forget_event(engine);
	session_disconnected(&client_of(engine)->session, CLOSE_CLIENT);
	if (is_within(engine)) /* nothing could be said any more */
		engine_close(engine, CLOSE_CLIENT);
}

/* -- what Engine.IO tells -- */

static void on_opened(struct engineio *engine, struct conn *conn)
{
	struct client *client = client_of(engine);

	client->opening = mem_zero(1, sizeof(*client->opening));
	opening_read(client->opening, conn);
	memcpy(client->address, client->opening->address, sizeof(client->address));
}

static void on_writable(struct engineio *engine)
{
	session_writable(&client_of(engine)->session);
	engine_said(engine);
}

static void on_paused(struct engineio *engine)
{
	session_pause(&client_of(engine)->session);
}

static enum event_class class_of(const struct share *share)
{
	enum event_class class = 0;

	while (class < CLASS_COUNT - 1 && atomic_load(&share->event->frames[ENCODING_SOCKETIO_POLLING][class]) != share->frame)
		class++;
	return class;
}

/* A large event that still waited for a poll is not copied for the websocket either. */
static void on_upgraded(struct engineio *engine)
{
	struct client *client = client_of(engine);

	if (client->session.state != SESSION_CLOSED) {
		session_speak_through(&client->session, &over_websocket);
		if (engine->share)
			session_owe(&client->session, engine->share->event, class_of(engine->share));
	}
	engine_forget_event(engine);
}

static void on_ended(struct engineio *engine, enum close_reason reason)
{
	struct client *client = client_of(engine);

	session_disconnected(&client->session, reason);
	forget_opening(client);
	socketio_finish(engine);
}

static void on_depart(struct engineio *engine)
{
	struct client *client = client_of(engine);

	if (client->session.state != SESSION_CLOSED)
		client->passage = session_depart(&client->session);
}

static bool on_arrive(struct engineio *engine, struct thread *thread)
{
	struct client *client = client_of(engine);

	if (client->passage && !session_arrive(&client->session, thread->hub, client->passage))
		return false;
	client->passage = NULL;
	return true;
}

static void on_vanish(struct engineio *engine, enum close_reason reason)
{
	struct client *client = client_of(engine);

	if (client->passage)
		session_vanish(&client->session, client->passage, reason);
	forget_opening(client);
	socketio_finish(engine);
}

const struct socketio_app socketio_sessions = {
	.engine = {
		.size = sizeof(struct client),
		.opened = on_opened,
		.received = socketio_received,
		.writable = on_writable,
		.paused = on_paused,
		.within = is_within,
		.idle = socketio_idle,
		.upgraded = on_upgraded,
		.ended = on_ended,
		.depart = on_depart,
		.arrive = on_arrive,
		.vanish = on_vanish,
	},
	.connect = on_connect,
	.packet = on_packet,
	.disconnect = on_disconnect,
};
