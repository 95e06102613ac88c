/* The hub hands over whole frames; here are only the frames that the protocol itself needs. Our own close frame is sent the
 * same way as everything else, behind what is queued, and then the peer has a moment to answer it; libwebsockets closes
 * when it has. A message arrives in parts of RX_BYTES and is put together, up to the limit; one that came in a single part
 * is passed on as it lies.
 */
#include "transport/websocket.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "transport/begin.h"
#include "transport/conn.h"
#include "transport/reply.h"
#include "transport/socketio/upgrade.h"
#include "transport/thread.h"
#include "wire/wire.h"

#define CLOSE_MS 3000
#define FAILED_MS 1000
#define CLOSE_DEAD_MS 500 /* of a peer that takes nothing, or does not answer */

static enum send_result websocket_send(struct session *session, const char *bytes, size_t len)
{
	struct conn *conn = conn_of(session);

	return conn->closing ? SEND_DEAD : conn_send(conn, bytes, len);
}

void websocket_begin_close(struct conn *conn, enum close_reason reason)
{
	const char *word = close_reason_word(reason);
	int code = close_reason_code(reason);
	char frame[4 + 123];
	size_t len = strlen(word);

	if (conn->gone || conn->closing)
		return;
	conn->closing = true;
	conn->close_reason = (uint8_t)reason;
	frame[0] = (char)0x88;
	frame[1] = (char)(2 + len);
	frame[2] = (char)(code >> 8);
	frame[3] = (char)code;
	memcpy(frame + 4, word, len);
	conn_watch(conn, reason == CLOSE_SLOW || reason == CLOSE_GONE_QUIET ? CLOSE_DEAD_MS : CLOSE_MS);
	conn_send(conn, frame, 4 + len);
}

static void websocket_close(struct session *session, enum close_reason reason)
{
	websocket_begin_close(conn_of(session), reason);
}

/* A ping with one byte: libwebsockets does not report the answer to an empty one. */
static void websocket_heartbeat(struct session *session)
{
	struct conn *conn = conn_of(session);

	if (!conn->closing && !conn->behind)
		conn_send(conn, "\x89\x01.", 3);
}

static const struct transport_ops websocket_ops = {
	.name = "websocket",
	.encoding = ENCODING_WEBSOCKET,
	.send = websocket_send,
	.room = conn_room_of,
	.soon = conn_soon,
	.want_writable = conn_want_writable,
	.close = websocket_close,
	.progress = conn_progress,
	.in_flight = conn_in_flight,
	.heartbeat = websocket_heartbeat,
};

/* We end it: the close frame to the client, the news to whom it belongs. */
static void end(struct conn *conn, enum close_reason reason)
{
	websocket_begin_close(conn, reason);
	conn->open = false;
	if (conn->engineio)
		upgrade_gone(conn, reason);
	else
		session_disconnected(conn->session, reason);
}

/* The hub refused it before it could speak: why, as it would have said itself. */
static void explain(struct conn *conn, enum close_reason reason, const char *message)
{
	AUTO_BUF struct buf json = buf_init(4096), frame = buf_init(8192);

	reply_error_body(&json, close_reason_http(reason), message);
	if (wire_message(&frame, ENCODING_WEBSOCKET, "error", buf_as_span(&json), (struct span){NULL, 0}))
		conn_send(conn, frame.bytes, frame.len);
}

static void begin_session(struct conn *conn)
{
	enum close_reason reason = CLOSE_NONE;
	const char *message = NULL;
	struct opening opening;

	opening_read(&opening, conn);
	conn->open = session_open(conn_seat(conn), conn_hub(conn), &websocket_ops, &opening.request, &reason, &message);
	if (!conn->open) {
		explain(conn, reason, message);
		websocket_begin_close(conn, reason);
	}
	opening_finish(&opening);
}

/* Whoever is let in at once gets its first message in one packet with the head: to send one more costs as much as all that is done
 * for it here. */
int websocket_opened(struct lws *wsi)
{
	struct conn *conn = conn_get(wsi);

	conn->kind = CONN_WEBSOCKET;
	thread_touch(conn->thread);
	if (conn->engineio)
		upgrade_opened(conn);
	else
		begin_session(conn);
	conn_hold(conn, false);
	return 0;
}

static void deliver(struct conn *conn, bool binary, struct span text)
{
	if (conn->engineio)
		upgrade_received(conn, binary, text);
	else if (!binary && utf8_valid(text.p, text.len))
		session_receive(conn->session, text);
	else
		end(conn, CLOSE_BAD_MESSAGE);
}

static void forget(struct conn *conn)
{
	if (conn->message)
		buf_finish(conn->message);
	free(conn->message);
	conn->message = NULL;
}

int websocket_received(struct lws *wsi, const char *bytes, size_t len)
{
	struct conn *conn = conn_get(wsi);
	const struct server_config *config = &conn->thread->shared->config;
	size_t most = conn->engineio ? config->engineio.max_payload : config->max_message_bytes;
	bool last = lws_is_final_fragment(wsi), binary = lws_frame_is_binary(wsi);

	if (conn->closing || conn->gone)
		return 0;
	thread_touch(conn->thread);
	if (conn->session)
		session_heard(conn->session);
	if (binary && !conn->engineio) {
		end(conn, CLOSE_BAD_MESSAGE);
		return 0;
	}
	if (last && !conn->message && len <= most) {
		deliver(conn, binary, (struct span){bytes ? bytes : "", len});
		return 0;
	}
	if (!conn->message) {
		conn->message = mem_alloc(sizeof(*conn->message));
		*conn->message = buf_init(most);
	}
	if (!buf_bytes(conn->message, bytes, len))
		end(conn, CLOSE_TOO_LARGE);
	else if (last)
		deliver(conn, binary, buf_as_span(conn->message));
	if (last || conn->closing)
		forget(conn);
	return 0;
}

int websocket_writable(struct lws *wsi)
{
	struct conn *conn = lws_wsi_user(wsi);

	if (conn && !lws_partial_buffered(wsi))
		conn_writable(conn);
	return 0;
}

void websocket_ponged(struct lws *wsi)
{
	struct conn *conn = conn_get(wsi);

	if (conn->session && !conn->closing && !conn->gone)
		session_heard(conn->session);
}

int websocket_peer_closes(struct lws *wsi)
{
	struct conn *conn = conn_get(wsi);
	bool answers_ours = conn->closing;

	conn->closing = true; /* libwebsockets sends the answer: nothing may follow it */
	conn_gone(conn);
	conn_watch(conn, CLOSE_MS); /* it would wait without a limit for the peer to take it */
	return answers_ours ? -1 : 0;
}

/* Frames that are none: libwebsockets sends a close frame and waits 5 s for the answer, which it may not recognise any more:
 * after a reserved bit it goes on in the middle of a frame. So that answer is not worth more than a moment. */
void websocket_ends(struct conn *conn)
{
	if (conn->gone)
		return;
	conn_gone(conn);
	conn_watch(conn, FAILED_MS);
}
