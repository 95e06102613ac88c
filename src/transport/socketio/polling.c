/* Polls and posts as requests of HTTP; what waits for a poll, and the poll that waits, are in long_poll.c.
 *
 * The checks and their order, the numbers and words of refusals are Engine.IO's own. Two polls at once end the session, as
 * does a body that holds something malformed: what comes after it cannot be trusted.
 *
 * A poll that waits keeps its connection, read on by libwebsockets, so that a client that goes is seen at once.
 */
#include "transport/socketio/polling.h"

#include <string.h>

#include "transport/conn.h"
#include "transport/exchange.h"
#include "transport/socketio/errand.h"
#include "transport/socketio/heartbeat.h"
#include "transport/socketio/long_poll.h"
#include "transport/socketio/registry.h"
#include "transport/socketio/share.h"
#include "transport/thread.h"

#define TEXT "text/plain; charset=UTF-8"
#define SHORT_BYTES 16384

static void take(struct engineio_request *request, struct span name, struct span value)
{
	if (span_is(name, "EIO")) {
		request->version = span_is(value, "4");
	} else if (span_is(name, "transport")) {
		request->websocket = span_is(value, "websocket");
		request->polling = span_is(value, "polling");
	} else if (span_is(name, "sid") && value.len && !request->has_sid) {
		request->has_sid = true;
		if (value.len == SID_LEN)
			memcpy(request->sid, value.p, SID_LEN);
	}
}

static void take_part(void *context, const char *part, size_t len)
{
	const char *equals = memchr(part, '=', len);

	if (equals)
		take(context, (struct span){part, (size_t)(equals - part)},
			(struct span){equals + 1, (size_t)(part + len - equals - 1)});
}

void engine_request_read(struct engineio_request *request, struct lws *wsi)
{
	*request = (struct engineio_request){0};
	query_each(wsi, take_part, request);
	request->octets = request_lists(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, "application/octet-stream");
}

const char *engine_error_text(enum engineio_error error)
{
	static const char *const texts[] = {"Transport unknown", "Session ID unknown", "Bad handshake method", "Bad request",
		"Forbidden", "Unsupported protocol version"};

	return texts[error];
}

void engine_error_body(struct buf *buf, enum engineio_error error)
{
	buf_printf(buf, "{\"code\":%d,\"message\":\"%s\"}", (int)error, engine_error_text(error));
}

static void refusal(struct buf *body, struct reply *reply, enum engineio_error error)
{
	engine_error_body(body, error);
	*reply = (struct reply){.status = error == ENGINEIO_FORBIDDEN ? 403 : 400, .body = buf_as_span(body)};
}

void polling_refuse(struct conn *conn, enum engineio_error error)
{
	AUTO_BUF struct buf body = buf_init(256);
	struct reply reply;

	refusal(&body, &reply, error);
	exchange_reply(conn, &reply);
}

static void refuse_later(struct conn *conn, enum engineio_error error)
{
	AUTO_BUF struct buf body = buf_init(256);
	struct reply reply;

	refusal(&body, &reply, error);
	exchange_reply_later(conn, &reply);
}

static void handshake(struct conn *conn)
{
	AUTO_BUF struct buf body = buf_init(1024);
	bool draining = conn->thread->draining;
	struct engineio *engine = draining ? NULL : engine_create(conn, false);

	if (!engine) {
		reply_error_body(&body, 503, draining ? "The server is shutting down" : "Too many clients: try again later");
		exchange_answer_later(conn, 503, buf_as_span(&body));
		return;
	}
	engine_write_open(engine, &body);
	exchange_reply_later(conn, &(struct reply){.status = 200, .type = TEXT, .body = {body.bytes + 1, body.len - 1}});
	engine_begin(engine, conn);
}

static enum engineio_error check(const struct conn *conn)
{
	const struct engineio_request *request = &conn->exchange->engineio;

	if (!conn->exchange->head.origin_allowed)
		return ENGINEIO_FORBIDDEN;
	if (!request->polling && !request->websocket)
		return ENGINEIO_UNKNOWN_TRANSPORT;
	if (request->has_sid && !request->sid[0])
		return ENGINEIO_UNKNOWN_SID;
	if (request->websocket || (request->has_sid && !request->version))
		return ENGINEIO_BAD_REQUEST;
	if (!request->has_sid && !request->version)
		return ENGINEIO_BAD_VERSION;
	return ENGINEIO_FINE;
}

/* To the session. False: there is none. */
static bool ask(struct conn *conn, enum errand_kind kind, struct buf *body)
{
	struct exchange *exchange = conn->exchange;
	struct errand *errand = errand_create(conn, kind, exchange->engineio.sid);

	if (body) {
		errand->body = *body;
		*body = buf_init(0);
	}
	exchange->errand = errand;
	if (errand_send(errand))
		return true;
	exchange->errand = NULL;
	errand_free(errand);
	return false;
}

void polling_get(struct conn *conn)
{
	const struct engineio_request *request = &conn->exchange->engineio;
	enum engineio_error error = check(conn);

	thread_touch(conn->thread);
	if (error == ENGINEIO_FINE && !request->has_sid)
		handshake(conn);
	else if (error != ENGINEIO_FINE)
		refuse_later(conn, error);
	else if (!ask(conn, ERRAND_POLL, NULL))
		refuse_later(conn, ENGINEIO_UNKNOWN_SID);
}

void polling_post(struct conn *conn)
{
	const struct engineio_request *request = &conn->exchange->engineio;
	enum engineio_error error = check(conn);

	thread_touch(conn->thread);
	if (request->octets) /* of protocol 3: as an empty body, which is malformed */
		buf_clear(&conn->exchange->body);
	if (error == ENGINEIO_BAD_VERSION || (error == ENGINEIO_FINE && !request->has_sid))
		refuse_later(conn, ENGINEIO_BAD_METHOD);
	else if (error != ENGINEIO_FINE)
		refuse_later(conn, error);
	else if (conn->exchange->unwelcome || !ask(conn, ERRAND_POST, &conn->exchange->body))
		refuse_later(conn, ENGINEIO_UNKNOWN_SID);
}

bool polling_welcome(const struct conn *conn)
{
	const struct engineio_request *request = &conn->exchange->engineio;

	return check(conn) == ENGINEIO_FINE && request->has_sid &&
		registry_home(conn->thread->shared->engines, span_of(request->sid));
}

void polling_too_large(struct conn *conn)
{
	struct engineio_request request;

	if (conn->exchange->head.route != ROUTE_ENGINEIO)
		return;
	engine_request_read(&request, conn->wsi);
	if (request.polling && request.sid[0])
		errand_abort(conn->thread, request.sid, CLOSE_TOO_LARGE);
}

/* -- at home -- */

void polling_asked(struct errand *errand, struct engineio *engine)
{
	if (!engine || engine->over || engine_overdue(engine)) {
		errand_refuse(errand, ENGINEIO_UNKNOWN_SID);
	} else if (engine->conn) {
		errand_refuse(errand, ENGINEIO_BAD_REQUEST);
	} else if (engine->poll) {
		errand_refuse(errand, ENGINEIO_BAD_REQUEST);
		engine_close(engine, CLOSE_BAD_MESSAGE);
	} else {
		engine_polled(engine, errand);
	}
}

/* False: something in it is malformed. Packets before it count. */
static bool take_packets(struct engineio *engine, struct span payload)
{
	AUTO_BUF struct buf room = buf_init(payload.len);
	struct engineio_packet packet;
	enum engineio_result result;

	while ((result = engineio_read_payload(&payload, &room, &packet)) == ENGINEIO_PACKET)
		engine_packet(engine, &packet);
	return result == ENGINEIO_END;
}

void polling_posted(struct errand *errand, struct engineio *engine)
{
	if (!engine || engine->over) {
		errand_refuse(errand, ENGINEIO_UNKNOWN_SID);
	} else if (engine->conn) {
		errand_refuse(errand, ENGINEIO_BAD_REQUEST);
	} else if (!take_packets(engine, buf_as_span(&errand->body))) {
		engine_close(engine, CLOSE_BAD_MESSAGE);
		errand_refuse(errand, ENGINEIO_BAD_REQUEST);
	} else {
		errand->status = 200;
		errand_return(errand);
	}
}

/* -- back -- */

/* Packets, without the separator ahead of the first. A short one goes out in one piece with its head; of a long one there is no second
 * copy. */
static void answer_poll(struct conn *conn, struct errand *errand)
{
	struct share *share = errand->share;
	struct span packets = share ? share_bytes(share) : buf_as_span(&errand->body);
	struct reply reply = {.status = 200, .type = TEXT, .body = {packets.p + 1, packets.len - 1}, .apart = packets.len > SHORT_BYTES};

	exchange_reply_later(conn, &reply);
	if (!reply.apart)
		buf_finish(&errand->body);
	if (share)
		answers_add_event(&conn->thread->answers, &share->answer, conn, share->event, share->event->size + packets.len);
}

void polling_answered(struct errand *errand)
{
	struct conn *conn = errand->conn;

	errand->answered = true;
	if (errand->status != 200) {
		refuse_later(conn, (enum engineio_error)errand->code);
		return;
	}
	if (errand->kind == ERRAND_POLL)
		answer_poll(conn, errand);
	else
		exchange_reply_later(conn, &(struct reply){.status = 200, .type = "text/html", .body = span_of("ok")});
}
