/* Requests, in the order of libwebsockets' callbacks: headers -> (answer at once) or (body -> answer). An answer goes out in
 * one write, a long one in several (exchange.h). A POST whose body is welcome is answered when the body has come; a request
 * that is refused unread is answered at once and the connection closed, but its socket lingers (linger.h), so that the answer
 * is not lost to a reset.
 */
#include "transport/http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "transport/consumers.h"
#include "transport/dispatch.h"
#include "transport/events.h"
#include "transport/exchange.h"
#include "transport/linger.h"
#include "transport/listen.h"
#include "transport/page.h"
#include "transport/publish.h"
#include "transport/socketio/upgrade.h"
#include "transport/stream.h"
#include "transport/thread.h"

#define SWALLOWED_BYTES 1048576 /* of a body that nobody asked for */

static const char *allowed(enum route route)
{
	switch (route) {
	case ROUTE_PUBLISH:
	case ROUTE_POLL:
	case ROUTE_MARK:
		return "POST, OPTIONS";
	case ROUTE_CONSUMER:
		return "GET, HEAD, PUT, DELETE, OPTIONS";
	case ROUTE_ENGINEIO:
		return "GET, POST, OPTIONS";
	case ROUTE_WEBSOCKET:
		return "GET, OPTIONS";
	case ROUTE_PING:
		return "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
	default:
		return "GET, HEAD, OPTIONS";
	}
}

static bool is_post_to(const struct head *head, enum route route)
{
	return head->route == route && head->method == METHOD_POST;
}

static bool publishes(const struct head *head)
{
	return is_post_to(head, ROUTE_PUBLISH);
}

static bool takes_body(const struct head *head)
{
	return publishes(head) || is_post_to(head, ROUTE_ENGINEIO) || consumers_take_body(head);
}

/* Without a body libwebsockets tells of a POST all the same as if it had one. */
static bool brings_body(const struct head *head)
{
	return head->method == METHOD_POST || (head->content_length && consumers_take_body(head));
}

static bool reply_error(struct conn *conn, int status, const char *message)
{
	AUTO_BUF struct buf body = buf_init(4096);
	bool method = status == 405 || status == 204;

	reply_error_body(&body, status, message);
	return exchange_reply(conn,
		&(struct reply){.status = status, .body = buf_as_span(&body),
			.allow = method ? allowed(conn->exchange->head.route) : NULL});
}

/* The last answer here: its client may be sending still. */
static void refuse(struct conn *conn, int status, const char *message)
{
	conn->exchange->head.keep_alive = false;
	if (reply_error(conn, status, message))
		linger_begin(conn);
}

static bool reply_ready(struct conn *conn)
{
	const struct server_config *config = &conn->thread->shared->config;
	struct err err = {""};

	if (config->ready(config->ready_context, &err))
		return exchange_reply(conn, &(struct reply){.status = 200, .body = span_of("{\"code\":200}")});
	return reply_error(conn, 503, err.text[0] ? err.text : "Not ready");
}

static bool reply_page(struct conn *conn)
{
	const struct head *head = &conn->exchange->head;
	struct reply reply = {.status = head->has_file ? 304 : 200, .file = head->file, .type = head->file->type,
		.body = head->file->bytes};

	return exchange_reply(conn, &reply);
}

/* Everything that needs no body and begins no session. */
static bool answer(struct conn *conn)
{
	const struct head *head = &conn->exchange->head;
	bool reads = head->method == METHOD_GET || head->method == METHOD_HEAD;

	if (head->route == ROUTE_NONE)
		return reply_error(conn, 404, "Route not found");
	if (head->preflight || (head->method == METHOD_OPTIONS && head->route != ROUTE_PING))
		return exchange_reply(conn,
			&(struct reply){.status = 204, .allow = allowed(head->route), .preflight = head->preflight});
	if (head->route == ROUTE_PING)
		return exchange_reply(conn,
			&(struct reply){.status = 200, .type = "text/plain; charset=utf-8", .body = span_of("pong")});
	if (head->route == ROUTE_READY && reads)
		return reply_ready(conn);
	if (head->route == ROUTE_PAGE && reads)
		return reply_page(conn);
	if (head->route == ROUTE_ENGINEIO) {
		polling_refuse(conn, ENGINEIO_BAD_METHOD);
		return true;
	}
	if (head->route == ROUTE_STREAM && head->method == METHOD_HEAD)
		return exchange_reply(conn, &(struct reply){.status = 200, .stream = true});
	if (head->route == ROUTE_WEBSOCKET && head->method == METHOD_GET)
		return reply_error(conn, 426, "This is a websocket: connect with ws:// or wss://");
	return reply_error(conn, 405, "Method not allowed");
}

/* libwebsockets 4.1 takes a body that it has read together with an earlier request from the wrong place, and may then loop
 * for ever: such a request must not get as far as its body. The first request of a connection is never one; for others
 * the only sign is that libwebsockets, asked whether the loop may sleep, says that somebody's bytes are waiting. */
static bool pipelined_body(const struct conn *conn)
{
	return conn->served && conn->exchange->head.content_length &&
		!lws_service_adjust_timeout(lws_get_context(conn->wsi), 1, 0);
}

static bool asks_for_history(const struct head *head)
{
	return (head->route == ROUTE_EVENTS || head->route == ROUTE_EVENT) && (head->method == METHOD_GET || head->method == METHOD_HEAD);
}

/* The connection is there for health probes alone; 0: it is not, or this is one, which has no body that could take its time. */
static int full(const struct conn *conn, const char **message)
{
	const struct head *head = &conn->exchange->head;

	if (!conn->surplus || ((head->route == ROUTE_PING || head->route == ROUTE_READY) && !head->content_length && !head->encoded))
		return 0;
	listen_full(conn->thread);
	*message = "Too many connections";
	return 503;
}

static const char *too_large(struct exchange *exchange)
{
	snprintf(exchange->refusal, sizeof(exchange->refusal), "The body has %llu bytes, at most %zu are allowed: %s",
		(unsigned long long)exchange->head.content_length, exchange->body.max,
		exchange->head.route == ROUTE_ENGINEIO ? "SOCKETIO_MAX_PAYLOAD" : "MAX_BODY_BYTES");
	return exchange->refusal;
}

/* Refusals that need no more than the headers; 0: none. */
static int refused(struct conn *conn, const char **message)
{
	const struct head *head = &conn->exchange->head;
	int status = full(conn, message);

	if (status)
		return status;
	if (head->malformed) {
		*message = head->malformed;
		return 400;
	}
	if ((publishes(head) || consumers_asked(head)) && !publish_enabled(conn)) {
		*message = "SECURITY_TOKEN is not configured";
		return 403;
	}
	if ((asks_for_history(head) || (consumers_asked(head) && !takes_body(head))) && head->content_length) {
		*message = "A question has no body";
		return 400;
	}
	if (head->encoded || (takes_body(head) && brings_body(head) && !head->has_length)) {
		*message = head->encoded ? "A Transfer-Encoding is not taken: send a Content-Length instead" :
			"Content-Length is missing: send 0 where there is no body";
		return 411;
	}
	if (takes_body(head) && head->content_length > conn->exchange->body.max) {
		*message = too_large(conn->exchange);
		return 413;
	}
	return 0;
}

static bool waits_for_events(const struct head *head)
{
	return head->method == METHOD_GET && (head->route == ROUTE_STREAM || head->route == ROUTE_ENGINEIO);
}

int http_headers(struct lws *wsi)
{
	struct conn *conn = conn_get(wsi);
	struct exchange *exchange;
	const char *message;
	bool body;
	int status;

	if (conn->kind != CONN_HTTP || conn->closing || exchange_unanswered(conn->exchange))
		return 1; /* a second request on a stream, or while the answer to the first is not there */
	exchange = exchange_begin(conn);
	if (!exchange->head.origin_allowed)
		refusals_note(conn, REFUSAL_ORIGIN);
	body = exchange->head.content_length > 0;
	exchange->head.keep_alive &= !conn->surplus;
	status = refused(conn, &message);
	if (pipelined_body(conn)) {
		status = 503;
		message = "A request with a body must wait for the answer to the one before: send it again";
	} else if (brings_body(&exchange->head) && exchange->head.has_length && !exchange->head.malformed &&
		!exchange->head.encoded) {
		return 0; /* http_body_begins() follows */
	}
	if (!status && (waits_for_events(&exchange->head) || asks_for_history(&exchange->head) || consumers_asked(&exchange->head)) && !body)
		return 0; /* http_serve() follows */
	if (!status && exchange->head.keep_alive && !body && exchange->head.method != METHOD_POST)
		return 0; /* likewise */
	if (status) {
		refuse(conn, status, message);
	} else {
		exchange->head.keep_alive = false;
		if (answer(conn) && body)
			linger_begin(conn);
	}
	exchange_end(conn);
	return 1;
}

/* An answer was written: the next request, or the end. */
static int done(struct conn *conn, bool alive)
{
	bool close = !alive || exchange_closes(conn);

	exchange_end(conn);
	conn_watch(conn, 0);
	return close || lws_http_transaction_completed(conn->wsi) ? -1 : 0;
}

/* Answered when there is something to say. The connection is kept like a stream's until then. */
static void poll_waits(struct conn *conn)
{
	exchange_idles(conn);
	lws_http_headers_detach(conn->wsi);
	lws_set_timeout(conn->wsi, NO_PENDING_TIMEOUT, 0);
	conn_watch(conn, 0);
}

static void serve_poll(struct conn *conn)
{
	engine_request_read(&conn->exchange->engineio, conn->wsi);
	polling_get(conn);
	if (!conn->exchange->answer_waits)
		poll_waits(conn);
}

int http_serve(struct lws *wsi, struct lws_process_html_args *args)
{
	struct conn *conn = conn_get(wsi);

	if (!conn->exchange || brings_body(&conn->exchange->head))
		return 0;
	args->final = 1;
	if (waits_for_events(&conn->exchange->head) && conn->exchange->head.route == ROUTE_STREAM)
		stream_begin(conn);
	else if (waits_for_events(&conn->exchange->head))
		serve_poll(conn);
	else if (asks_for_history(&conn->exchange->head))
		events_begin(conn);
	else if (consumers_asked(&conn->exchange->head))
		consumers_begin(conn);
	else if (done(conn, answer(conn)))
		conn_kill(conn); /* a failure returned from here would be answered a second time */
	return 0;
}

int http_body_begins(struct lws *wsi)
{
	struct conn *conn = conn_get(wsi);
	struct exchange *exchange = conn->exchange;
	const char *message;
	int status;

	if (!exchange)
		return -1;
	status = refused(conn, &message);
	if (status) {
		if (status == 413)
			polling_too_large(conn);
		refuse(conn, status, message);
		return -1;
	}
	if (publishes(&exchange->head) || consumers_asked(&exchange->head))
		exchange->bearer = request_bearer(wsi);
	else if (exchange->head.route == ROUTE_ENGINEIO) {
		engine_request_read(&exchange->engineio, wsi);
		exchange->unwelcome = !polling_welcome(conn);
	}
	conn_watch(conn, conn->thread->shared->config.request_timeout_ms);
	if (exchange->head.expects && exchange->head.content_length)
		conn_send(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	return 0;
}

int http_body(struct lws *wsi, const char *bytes, size_t len)
{
	struct conn *conn = conn_get(wsi);
	struct exchange *exchange = conn->exchange;

	if (!exchange)
		return -1;
	if (takes_body(&exchange->head) && !exchange->unwelcome)
		return buf_bytes(&exchange->body, bytes, len) ? 0 : -1;
	exchange->swallowed += len;
	if (exchange->swallowed <= SWALLOWED_BYTES)
		return 0;
	refuse(conn, 413, "Nothing here takes a body, and this one has more than 1048576 bytes");
	return -1;
}

int http_body_ends(struct lws *wsi)
{
	struct conn *conn = conn_get(wsi);
	struct exchange *exchange = conn->exchange;

	if (!exchange)
		return -1;
	if (exchange->answer_waits)
		return 0;
	if (exchange->call || exchange->errand || exchange->consumer) {
		lws_rx_flow_control(wsi, 0); /* the next request has to wait */
		return 0;
	}
	conn_watch(conn, 0);
	if (publishes(&exchange->head))
		publish_begin(conn);
	else if (consumers_asked(&exchange->head))
		consumers_begin(conn);
	else if (takes_body(&exchange->head))
		polling_post(conn);
	else
		return done(conn, answer(conn));
	return 0;
}

int http_writable(struct lws *wsi)
{
	struct conn *conn = lws_wsi_user(wsi);
	struct exchange *exchange;
	bool more, alive;

	if (!conn || lws_partial_buffered(wsi))
		return 0;
	if (conn->kind == CONN_STREAM) {
		conn_writable(conn);
		return conn->closing && !lws_partial_buffered(wsi) ? -1 : 0;
	}
	exchange = conn->exchange;
	if (!exchange || !exchange->answer_waits)
		return 0;
	alive = exchange_send(conn, &more);
	return more ? 0 : done(conn, alive);
}

/* Why a websocket is refused; 0: it is not. */
static int upgrade_refused(struct lws *wsi, const struct head *head, const char **message)
{
	bool engineio = head->route == ROUTE_ENGINEIO;
	char version[8] = "";

	lws_hdr_copy(wsi, version, sizeof(version), WSI_TOKEN_VERSION);
	*message = head->malformed;
	if (head->malformed)
		return 400;
	*message = "Route not found";
	if (head->route != ROUTE_WEBSOCKET && !engineio)
		return 404;
	*message = "Method not allowed";
	if (head->method != METHOD_GET)
		return 405;
	*message = "The Origin is not allowed: see CORS_ORIGIN";
	if (!head->origin_allowed)
		return 403;
	*message = "Only version 13 of the websocket protocol is spoken here";
	if (strcmp(version, "13") != 0)
		return 426;
	*message = "Not a websocket handshake: Host, Connection: Upgrade or a Sec-WebSocket-Key is missing";
	if (lws_hdr_total_length(wsi, WSI_TOKEN_HOST) <= 0 || !request_lists(wsi, WSI_TOKEN_CONNECTION, "upgrade") ||
		lws_hdr_total_length(wsi, WSI_TOKEN_KEY) != 24 || head->content_length || head->encoded)
		return 400;
	*message = "The only subprotocol spoken here is " PROTOCOL_NAME;
	if (!engineio && lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) > 0 &&
		(lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) > 100 ||
			!request_lists(wsi, WSI_TOKEN_PROTOCOL, PROTOCOL_NAME)))
		return 400;
	return 0;
}

static int upgrade_engineio(struct conn *conn)
{
	enum engineio_error error = ENGINEIO_FINE;

	conn->exchange->head.keep_alive = false;
	if (conn->thread->draining) {
		reply_error(conn, 503, "The server is shutting down");
		return 503;
	}
	error = upgrade_check(conn);
	if (error == ENGINEIO_FINE)
		return 0;
	polling_refuse(conn, error);
	return 400;
}

int http_upgrade(struct lws *wsi, char *protocol)
{
	struct conn *conn;
	const char *message;
	int status;

	/* libwebsockets has refused an unknown protocol already and may have freed the word. */
	if (lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) <= 0)
		return -1;
	conn = conn_get(wsi);
	if (conn->kind != CONN_HTTP || conn->closing || exchange_unanswered(conn->exchange))
		return -1;
	if (strcasecmp(protocol, "websocket") != 0) {
		protocol[0] = '-'; /* h2c: it goes on in HTTP/1.1 when it does not recognise its own copy of the word */
		return 0;
	}
	exchange_begin(conn);
	if (!conn->exchange->head.origin_allowed)
		refusals_note(conn, REFUSAL_ORIGIN);
	status = full(conn, &message);
	if (!status)
		status = upgrade_refused(wsi, &conn->exchange->head, &message);
	if (status)
		refuse(conn, status, message);
	else if (conn->exchange->head.route == ROUTE_ENGINEIO)
		status = upgrade_engineio(conn);
	exchange_end(conn);
	if (!status)
		conn_hold(conn, true); /* libwebsockets sends the head, and then websocket_opened() comes */
	return status ? -1 : 0;
}

void http_unfit(struct lws *wsi)
{
	struct conn *conn = conn_get(wsi);
	const char *message = "A % in the address begins no escape of two hexadecimal digits";
	char *path = NULL;
	int len = 0;

	if (conn->kind != CONN_HTTP || conn->closing || conn->gone || exchange_unanswered(conn->exchange))
		return;
	if (lws_http_get_uri_and_method(wsi, &path, &len) < 0 || len <= 0 || path[0] != '/')
		message = "The target of a request must be a path that begins with /";
	else if (lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) > 0)
		message = "The only protocol to upgrade to is websocket";
	exchange_begin(conn);
	refuse(conn, 400, message);
	exchange_end(conn);
}

int http_foreign(struct lws *wsi, const char *bytes, size_t len)
{
	struct conn *conn = conn_get(wsi);
	struct head head = {.method = METHOD_OTHER, .allow_origin = conn->thread->shared->cors.all ? (char *)"*" : NULL};
	AUTO_BUF struct buf body = buf_init(4096), out = buf_init(8192);
	const char *space = memchr(bytes, ' ', len < 32 ? len : 32);
	struct reply reply = {.status = 400, .close = true};

	if (conn->kind != CONN_HTTP || conn->closing || exchange_unanswered(conn->exchange))
		return -1;
	if (!space) {
		reply_error_body(&body, 400, "This is no HTTP request");
	} else if (len - (size_t)(space - bytes) > 7 && memcmp(space, " /ping ", 7) == 0) {
		reply = (struct reply){.status = 200, .type = "text/plain; charset=utf-8", .close = true};
		buf_text(&body, "pong");
	} else {
		reply = (struct reply){.status = 405, .allow = "GET, HEAD, POST, OPTIONS", .close = true};
		reply_error_body(&body, 405, "Method not allowed");
	}
	reply.body = buf_as_span(&body);
	reply_write(&out, &reply, &head, conn->thread->tls);
	if (conn_send(conn, out.bytes, out.len) != SEND_DEAD)
		linger_begin(conn);
	return -1;
}
