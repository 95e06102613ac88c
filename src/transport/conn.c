/* Sending. The fast path goes around libwebsockets: one send() straight to the socket, possible where it adds nothing of
 * its own (no TLS) and holds nothing back. A short send is completed by handing the rest to lws_write() at once, as
 * LWS_WRITE_HTTP, which on every role means «these bytes as they are»; libwebsockets keeps what the kernel refuses and puts
 * its own control frames (pongs) behind it, so that no frame is ever cut by another. With TLS everything goes that way.
 */
#include "transport/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "transport/acknowledged.h"
#include "transport/exchange.h"
#include "transport/socketio/upgrade.h"
#include "transport/thread.h"

#define SURPLUS_MS 2000

struct conn *conn_get(struct lws *wsi)
{
	struct conn *conn = lws_wsi_user(wsi);

	if (conn)
		return conn;
	conn = mem_zero(1, sizeof(*conn));
	conn->thread = lws_context_user(lws_get_context(wsi));
	conn->wsi = wsi;
	conn->fd = lws_get_socket_fd(wsi);
	lws_set_wsi_user(wsi, conn);
	return conn;
}

void conn_make_surplus(struct lws *wsi)
{
	struct conn *conn = conn_get(wsi);

	conn->surplus = true;
	atomic_fetch_add(&conn->thread->shared->surplus, 1);
	conn_watch(conn, SURPLUS_MS);
}

struct session *conn_seat(struct conn *conn)
{
	struct seat *seat = mem_zero(1, sizeof(*seat));

	seat->conn = conn;
	conn->session = &seat->session;
	return conn->session;
}

struct hub *conn_hub(const struct conn *conn)
{
	return conn->thread->hub;
}

/* Bytes that libwebsockets must send or keep. It wants LWS_PRE bytes of room before them, hence the copy. */
static bool send_through(struct conn *conn, const char *bytes, size_t len)
{
	struct buf *room = &conn->thread->scratch;
	bool sent;

	buf_clear(room);
	if (!buf_reserve(room, LWS_PRE + len))
		return false;
	memcpy(room->bytes + LWS_PRE, bytes, len);
	sent = lws_write(conn->wsi, (unsigned char *)room->bytes + LWS_PRE, len, LWS_WRITE_HTTP) >= 0;
	if (room->room > SCRATCH_KEPT)
		buf_finish(room);
	return sent;
}

/* What send() took, at least 0; -1: the connection is dead. */
static ssize_t send_directly(struct conn *conn, const char *bytes, size_t len)
{
	ssize_t n;

	do
		n = send(conn->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
		return 0;
	return n;
}

enum send_result conn_send(struct conn *conn, const char *bytes, size_t len)
{
	ssize_t taken = 0;

	if (conn->gone)
		return SEND_DEAD;
	if (!conn->thread->tls && !lws_partial_buffered(conn->wsi)) {
		taken = send_directly(conn, bytes, len);
		if (taken == (ssize_t)len)
			return SEND_ALL;
	}
	if (taken < 0 || !send_through(conn, bytes + taken, len - (size_t)taken)) {
		conn_kill(conn);
		return SEND_DEAD;
	}
	if (!lws_partial_buffered(conn->wsi))
		return SEND_ALL;
	conn->behind = true;
	lws_callback_on_writable(conn->wsi);
	return SEND_BEHIND;
}

void conn_hold(const struct conn *conn, bool held)
{
	int on = held;

	setsockopt(conn->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

void conn_want(struct conn *conn)
{
	if (conn->gone || conn->closing)
		return;
	conn->wants = true;
	lws_callback_on_writable(conn->wsi);
}

/* Asked of those that are behind, a few times a second. One whose peer has closed its side meanwhile is ended here:
 * libwebsockets would wait for it to read on, without ever sleeping. */
unsigned long conn_taken(struct conn *conn)
{
	unsigned long bytes = 0;
	bool closed = false;

	if (conn->gone)
		return 0;
	bytes = acknowledged(conn->fd, &closed);
	if (closed && conn->behind)
		conn_kill(conn);
	return bytes;
}

unsigned long conn_untaken(struct conn *conn)
{
	return conn->gone ? 0 : unacknowledged(conn->fd);
}

size_t conn_room(const struct conn *conn)
{
	return conn->gone ? 0 : send_room(conn->fd);
}

size_t conn_room_of(struct session *session)
{
	return conn_room(conn_of(session));
}

void conn_soon(struct session *session)
{
	__builtin_prefetch(conn_of(session));
}

void conn_want_writable(struct session *session)
{
	conn_want(conn_of(session));
}

unsigned long conn_progress(struct session *session)
{
	return conn_taken(conn_of(session));
}

unsigned long conn_in_flight(struct session *session)
{
	return conn_untaken(conn_of(session));
}

void conn_writable(struct conn *conn)
{
	if (!(conn->behind || conn->wants) || conn->closing || conn->gone || !conn->open)
		return;
	conn->behind = conn->wants = false;
	thread_touch(conn->thread);
	if (conn->engineio)
		upgrade_writable(conn);
	else
		session_writable(conn->session);
}

#define KILL_AGAIN_MS 250

static void unwatch(struct conn *conn)
{
	if (!conn->deadline)
		return;
	if (conn->next)
		conn->next->prev = conn->prev;
	if (conn->prev)
		conn->prev->next = conn->next;
	else
		conn->thread->watched = conn->next;
	conn->next = conn->prev = NULL;
	conn->deadline = 0;
}

void conn_watch(struct conn *conn, int64_t ms)
{
	unwatch(conn);
	if (!ms)
		return;
	conn->deadline = clock_ms() + ms;
	conn->next = conn->thread->watched;
	if (conn->next)
		conn->next->prev = conn;
	conn->thread->watched = conn;
}

/* As a time-out of libwebsockets' that is over: the one end that waits for nothing, in whatever state it is. A reset rather
 * than a FIN: nobody takes what is still in the kernel. */
static void cut_off(struct conn *conn)
{
	struct linger hard = {.l_onoff = 1};

	setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	lws_set_timeout(conn->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
	lws_cancel_service(conn->thread->context); /* or it looks at its timers when something else happens */
}

void conn_overdue(struct thread *thread)
{
	int64_t now = clock_ms();
	struct conn *next;

	for (struct conn *conn = thread->watched; conn; conn = next) {
		next = conn->next;
		if (conn->deadline <= now) {
			/* Until it is gone: a piece of a body that comes in between sets libwebsockets' time-out anew. */
			conn->deadline = now + KILL_AGAIN_MS;
			cut_off(conn);
		}
	}
}

void conn_kill(struct conn *conn)
{
	if (!conn->gone)
		cut_off(conn);
}

void conn_gone(struct conn *conn)
{
	enum close_reason reason = conn->close_reason ? (enum close_reason)conn->close_reason : CLOSE_CLIENT;

	if (conn->gone)
		return;
	conn->gone = true;
	unwatch(conn);
	thread_touch(conn->thread);
	if (conn->engineio)
		upgrade_gone(conn, reason);
	else if (conn->open)
		session_disconnected(conn->session, reason);
	conn->open = false;
}

void conn_free(struct conn *conn)
{
	if (!conn)
		return;
	conn_gone(conn);
	unwatch(conn);
	exchange_end(conn);
	if (conn->surplus)
		atomic_fetch_sub(&conn->thread->shared->surplus, 1);
	if (conn->message)
		buf_finish(conn->message);
	free(conn->message);
	if (conn->session)
		free(seat_of(conn->session));
	free(conn);
}
