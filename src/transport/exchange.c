/* What an exchange holds, and the three ways to answer: at once, as soon as the socket is writable, and in pieces where the answer
 * is long: a piece is what it costs one turn of the loop, and libwebsockets need not keep more than one for a peer that is slow.
 *
 * Whoever works on an answer elsewhere (the database, another thread's Engine.IO session) is told when the exchange ends before it
 * came: each kind of work has its own way to be forgotten. What a body or a token was is wiped.
 */
#include "transport/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "transport/consumers.h"
#include "transport/events.h"
#include "transport/publish.h"
#include "transport/socketio/errand.h"
#include "transport/thread.h"

#define PIECE_BYTES 65536 /* of a long answer */
#define PIECE_MS 10000    /* in which the peer has to take one */

static size_t body_limit(const struct conn *conn, const struct head *head)
{
	const struct server_config *config = &conn->thread->shared->config;

	return head->route == ROUTE_ENGINEIO ? config->engineio.max_payload : config->max_body_bytes;
}

struct exchange *exchange_begin(struct conn *conn)
{
	struct exchange *exchange = mem_zero(1, sizeof(*exchange));

	exchange_end(conn);
	head_read(&exchange->head, conn->wsi, &conn->thread->shared->cors, conn->thread->shared->config.engineio.path);
	exchange->body = buf_init(body_limit(conn, &exchange->head));
	exchange->answer = buf_init(BUF_NO_MAX); /* by the number of sessions that an answer names */
	conn->exchange = exchange;
	atomic_fetch_add(&conn->thread->shared->requests, 1);
	return exchange;
}

void exchange_end(struct conn *conn)
{
	struct exchange *exchange = conn->exchange;

	if (!exchange)
		return;
	conn->exchange = NULL;
	conn->served = true;
	atomic_fetch_sub(exchange->idle ? &conn->thread->shared->polls : &conn->thread->shared->requests, 1);
	publish_detach(exchange->call);
	events_detach(exchange->events);
	consumers_detach(exchange->consumer);
	errand_forget(exchange->errand);
	head_finish(&exchange->head);
	if (exchange->body.bytes)
		memset(exchange->body.bytes, 0, exchange->body.len); /* it may hold the operator's token */
	buf_finish(&exchange->body);
	buf_finish(&exchange->answer);
	mem_wipe_free(exchange->bearer);
	free(exchange);
}

bool exchange_unanswered(const struct exchange *exchange)
{
	return exchange && (exchange->answer_waits || exchange->errand || exchange->events || exchange->consumer);
}

void exchange_idles(struct conn *conn)
{
	if (conn->exchange->idle)
		return;
	conn->exchange->idle = true;
	atomic_fetch_sub(&conn->thread->shared->requests, 1);
	atomic_fetch_add(&conn->thread->shared->polls, 1);
}

bool exchange_closes(const struct conn *conn)
{
	return !conn->exchange->head.keep_alive || conn->thread->draining;
}

bool exchange_reply(struct conn *conn, const struct reply *reply)
{
	AUTO_BUF struct buf bytes = buf_init(BUF_NO_MAX); /* by its body */
	struct reply whole = *reply;

	whole.close = reply->close || exchange_closes(conn);
	reply_write(&bytes, &whole, &conn->exchange->head, conn->thread->tls);
	return conn_send(conn, bytes.bytes, bytes.len) != SEND_DEAD;
}

void exchange_answer_later(struct conn *conn, int status, struct span body)
{
	exchange_reply_later(conn, &(struct reply){.status = status, .body = body});
}

void exchange_reply_later(struct conn *conn, const struct reply *reply)
{
	struct exchange *exchange = conn->exchange;
	struct reply whole = *reply;

	whole.close = reply->close || exchange_closes(conn);
	reply_write(&exchange->answer, &whole, &exchange->head, conn->thread->tls);
	exchange->rest = reply->apart ? reply->body : (struct span){"", 0};
	exchange->answer_waits = true;
	lws_rx_flow_control(conn->wsi, 1);
	lws_callback_on_writable(conn->wsi);
}

static struct span next_piece(const struct exchange *exchange)
{
	size_t sent = exchange->answer_sent, len = exchange->answer.len;
	struct span left = sent < len ? (struct span){exchange->answer.bytes + sent, len - sent} :
					(struct span){exchange->rest.p + (sent - len), exchange->rest.len - (sent - len)};

	left.len = left.len < PIECE_BYTES ? left.len : PIECE_BYTES;
	return left;
}

bool exchange_send(struct conn *conn, bool *more)
{
	struct exchange *exchange = conn->exchange;
	struct span piece = next_piece(exchange);
	bool sent = conn_send(conn, piece.p, piece.len) != SEND_DEAD;

	exchange->answer_sent += piece.len;
	*more = sent && exchange->answer_sent < exchange->answer.len + exchange->rest.len;
	exchange->answer_waits = *more;
	if (*more) {
		conn_watch(conn, PIECE_MS);
		lws_callback_on_writable(conn->wsi);
	} else if (sent) {
		errand_free(exchange->errand);
		exchange->errand = NULL;
	}
	return sent;
}
