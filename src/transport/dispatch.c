/* One callback for everything. Two orders of events matter:
 *
 *   request:   FILTER_HTTP_CONNECTION (may answer and end) -> CHECK_ACCESS_RIGHTS (may answer and stay) -> for a POST: HTTP,
 *              HTTP_BODY.., HTTP_BODY_COMPLETION -> HTTP_WRITEABLE
 *   websocket: HTTP_CONFIRM_UPGRADE (may refuse in HTTP) -> ESTABLISHED -> RECEIVE, SERVER_WRITEABLE..
 *
 * The end is told by several, not by each of them always; the first one counts. WSI_DESTROY is always the last.
 * CHECK_ACCESS_RIGHTS rather than HTTP begins a stream because libwebsockets stops reading a socket in HTTP: it would
 * neither see the client go nor stop being woken for it.
 */
#include "transport/dispatch.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "transport/conn.h"
#include "transport/http.h"
#include "transport/thread.h"
#include "transport/websocket.h"

static struct thread *thread_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}

static void count(struct lws *wsi, int change)
{
	if (change > 0)
		atomic_fetch_add(&thread_of(wsi)->shared->connections, 1);
	else
		atomic_fetch_sub(&thread_of(wsi)->shared->connections, 1);
}

static void destroyed(struct lws *wsi, struct conn *conn)
{
	lws_set_wsi_user(wsi, NULL);
	conn_free(conn);
	count(wsi, -1);
}

/* An HTTP connection is rebound for every request; for a stream or websocket the same event means that it closes. */
static void unbound(struct conn *conn)
{
	if (conn && conn->kind == CONN_WEBSOCKET)
		websocket_ends(conn);
	else if (conn && conn->kind == CONN_STREAM)
		conn_gone(conn);
}

static int life(struct lws *wsi, enum lws_callback_reasons reason, struct conn *conn)
{
	switch (reason) {
	case LWS_CALLBACK_WSI_CREATE:
		count(wsi, 1);
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		destroyed(wsi, conn);
		return 0;
	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
	case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
		unbound(conn);
		return 0;
	case LWS_CALLBACK_CLOSED:
	case LWS_CALLBACK_CLOSED_HTTP:
	case LWS_CALLBACK_RAW_CLOSE:
		if (conn) {
			conn_gone(conn);
			conn_watch(conn, 0);
		}
		return 0;
	default:
		return 0;
	}
}

static int request(struct lws *wsi, enum lws_callback_reasons reason, void *in, size_t len)
{
	switch (reason) {
	case LWS_CALLBACK_FILTER_HTTP_CONNECTION:
		return http_headers(wsi);
	case LWS_CALLBACK_CHECK_ACCESS_RIGHTS:
		return http_serve(wsi, in);
	case LWS_CALLBACK_HTTP:
		return http_body_begins(wsi);
	case LWS_CALLBACK_HTTP_BODY:
		return http_body(wsi, in, len);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return http_body_ends(wsi);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return http_writable(wsi);
	case LWS_CALLBACK_RAW_RX:
		return http_foreign(wsi, in, len);
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return http_upgrade(wsi, in);
	default:
		return 0;
	}
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	switch (reason) {
	case LWS_CALLBACK_ESTABLISHED:
		return websocket_opened(wsi);
	case LWS_CALLBACK_RECEIVE:
		return websocket_received(wsi, in, len);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return websocket_writable(wsi);
	case LWS_CALLBACK_RECEIVE_PONG:
		websocket_ponged(wsi);
		return 0;
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		return websocket_peer_closes(wsi);
	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
		thread_of(wsi)->ssl = user; /* the vhost's SSL_CTX */
		return 0;
	case LWS_CALLBACK_WSI_CREATE:
	case LWS_CALLBACK_WSI_DESTROY:
	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
	case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
	case LWS_CALLBACK_CLOSED:
	case LWS_CALLBACK_CLOSED_HTTP:
	case LWS_CALLBACK_RAW_CLOSE:
		return life(wsi, reason, user);
	default:
		return request(wsi, reason, in, len);
	}
}

const struct lws_protocols dispatch_protocols[] = {
	{.name = PROTOCOL_NAME, .callback = callback, .rx_buffer_size = RX_BYTES, .tx_packet_size = TX_BYTES},
	{0},
};

/* Much of what it calls an error is a client's doing: no more than a few lines a second. It quotes nothing of a client's at
 * these levels. */
static void complain(int level, const char *line)
{
	static _Atomic int64_t second;
	static atomic_int lines;
	int64_t now = clock_ms() / 1000;

	if (atomic_exchange(&second, now) != now)
		atomic_store(&lines, 0);
	if (atomic_fetch_add(&lines, 1) >= 5)
		return;
	log_line(level == LLL_ERR ? LOG_WARN : LOG_INFO, "http", "libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

void dispatch_log(void)
{
	lws_set_log_level(LLL_ERR | LLL_WARN, complain);
}
