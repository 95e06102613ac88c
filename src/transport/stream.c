/* A stream is an answer without an end: its headers go out together with the first message. When the hub closes it before
 * that, the client gets a status and JSON instead; afterwards the end of the connection is all there is to say, and an
 * EventSource comes back by itself with Last-Event-ID.
 *
 * libwebsockets would go on reading requests here; http_headers() ends a connection that sends one.
 */
#include "transport/stream.h"

#include "auth/auth.h"
#include "base/mem.h"
#include "transport/begin.h"
#include "transport/exchange.h"
#include "transport/thread.h"

#define CLOSE_MS 2000
#define CLOSE_DEAD_MS 500 /* of a peer that takes nothing */
#define RETRY "retry: 2000\n\n"

static enum send_result start(struct conn *conn, const char *bytes, size_t len)
{
	AUTO_BUF struct buf out = buf_init(BUF_NO_MAX); /* by the hub's message */

	reply_write(&out, &(struct reply){.status = 200, .stream = true}, &conn->exchange->head, conn->thread->tls);
	buf_text(&out, RETRY);
	buf_bytes(&out, bytes, len);
	conn->started = true;
	exchange_end(conn);
	return conn_send(conn, out.bytes, out.len);
}

static enum send_result stream_send(struct session *session, const char *bytes, size_t len)
{
	struct conn *conn = conn_of(session);

	if (conn->gone || conn->closing)
		return SEND_DEAD;
	return conn->started ? conn_send(conn, bytes, len) : start(conn, bytes, len);
}

static const char *refusal(enum close_reason reason)
{
	switch (close_reason_http(reason)) {
	case 400:
		return "Invalid parameters given";
	case 401:
		return "Unauthorized";
	case 429:
		return "Too many connections";
	default:
		return "Not available now: try again";
	}
}

static void refuse(struct conn *conn, enum close_reason reason, const char *message)
{
	AUTO_BUF struct buf body = buf_init(4096);
	int status = close_reason_http(reason) < 400 ? 503 : close_reason_http(reason);

	reply_error_body(&body, status, message ? message : refusal(reason));
	exchange_reply(conn, &(struct reply){.status = status, .body = buf_as_span(&body), .close = true});
	exchange_end(conn);
	conn->started = true;
}

/* Ends once everything is sent: http_writable(). */
static void end(struct conn *conn, enum close_reason reason)
{
	conn->closing = true;
	conn->close_reason = (uint8_t)reason;
	conn_watch(conn, reason == CLOSE_SLOW ? CLOSE_DEAD_MS : CLOSE_MS);
	lws_callback_on_writable(conn->wsi);
}

static void stream_close(struct session *session, enum close_reason reason)
{
	struct conn *conn = conn_of(session);

	if (conn->gone || conn->closing)
		return;
	if (!conn->started)
		refuse(conn, reason, session_unsaid(session));
	end(conn, reason);
}

static const struct transport_ops stream_ops = {
	.name = "sse",
	.encoding = ENCODING_SSE,
	.send = stream_send,
	.room = conn_room_of,
	.soon = conn_soon,
	.want_writable = conn_want_writable,
	.close = stream_close,
	.progress = conn_progress,
};

void stream_begin(struct conn *conn)
{
	enum close_reason reason = CLOSE_NONE;
	const char *message = NULL;
	struct opening opening;

	opening_read(&opening, conn);
	conn->kind = CONN_STREAM;
	conn->exchange->head.keep_alive = false;
	lws_http_headers_detach(conn->wsi); /* 20 kB that nobody needs any more */
	lws_set_timeout(conn->wsi, NO_PENDING_TIMEOUT, 0);
	thread_touch(conn->thread);
	if (!opening.request.token.p) /* there is no message that could bring one */
		opening.request.token = span_of("");
	conn->open = session_open(conn_seat(conn), conn_hub(conn), &stream_ops, &opening.request, &reason, &message);
	if (!conn->open) {
		refuse(conn, reason, message);
		end(conn, reason);
	}
	opening_finish(&opening);
}
