/* The way to a websocket, as the client sees it: while it polls it opens a websocket with its sid, sends a probe and waits for
 * the answer, lets its last poll end, and says `upgrade`. Then the session goes on here.
 *
 * The probe is answered on the websocket's own thread; the home learns of it, so as to end the poll. With `upgrade` the session
 * leaves its home and comes to this thread, with whatever was not fetched yet. Until it is here nothing is read from the
 * websocket. A websocket that gives up sets the claim free, and polling goes on.
 */
#include "transport/socketio/upgrade.h"

#include <string.h>

#include "transport/conn.h"
#include "transport/exchange.h"
#include "transport/socketio/errand.h"
#include "transport/socketio/host.h"
#include "transport/socketio/long_poll.h"
#include "transport/socketio/registry.h"
#include "transport/thread.h"
#include "transport/websocket.h"

#define UPGRADE_MS 10000 /* from the websocket to the client's word that it goes on there */

static struct engineio_registry *registry_of(const struct conn *conn)
{
	return conn->thread->shared->engines;
}

enum engineio_error upgrade_check(struct conn *conn)
{
	struct engineio_request request;

	engine_request_read(&request, conn->wsi);
	if (!request.websocket)
		return request.polling ? ENGINEIO_BAD_REQUEST : ENGINEIO_UNKNOWN_TRANSPORT;
	if (!request.version)
		return ENGINEIO_BAD_VERSION;
	if (request.has_sid && !registry_knows(registry_of(conn), span_of(request.sid)))
		return ENGINEIO_UNKNOWN_SID;
	conn->engineio = true;
	if (!request.has_sid)
		return ENGINEIO_FINE;
	if (registry_claim(registry_of(conn), span_of(request.sid)))
		conn->errand = errand_create(conn, ERRAND_UPGRADE, request.sid);
	else
		conn->closing = true; /* clients expect a websocket that closes */
	return ENGINEIO_FINE;
}

static void send_packet(struct conn *conn, enum engineio_type type, const char *text)
{
	AUTO_BUF struct buf frame = buf_init(64);

	engineio_write(&frame, ENCODING_SOCKETIO, type, false, span_of(text));
	conn_send(conn, frame.bytes, frame.len);
}

static void begin(struct conn *conn)
{
	AUTO_BUF struct buf frame = buf_init(1024);
	struct engineio *engine = engine_create(conn, true);

	if (!engine) {
		websocket_begin_close(conn, CLOSE_TOO_MANY);
		return;
	}
	engine_write_open(engine, &frame);
	conn_send(conn, frame.bytes, frame.len);
	engine_begin(engine, conn);
}

void upgrade_opened(struct conn *conn)
{
	conn->open = true;
	if (conn->closing) {
		conn->closing = false;
		websocket_begin_close(conn, CLOSE_BAD_MESSAGE);
	} else if (conn->errand) {
		conn_watch(conn, UPGRADE_MS);
	} else {
		begin(conn);
	}
}

static void tell_home(struct conn *conn, enum errand_kind kind, const char *sid)
{
	struct errand *news = errand_create(conn, kind, sid);

	news->conn = NULL;
	if (!errand_send(news))
		errand_free(news);
}

static void probe(struct conn *conn)
{
	if (conn->behind) { /* it asks and asks, and does not read the answers */
		websocket_begin_close(conn, CLOSE_SLOW);
		return;
	}
	send_packet(conn, ENGINEIO_PONG, "probe");
	if (!conn->errand->probed)
		tell_home(conn, ERRAND_PROBE, conn->errand->sid);
	conn->errand->probed = true;
}

static void upgrade(struct conn *conn)
{
	lws_rx_flow_control(conn->wsi, 0);
	if (!errand_send(conn->errand)) {
		errand_free(conn->errand);
		conn->errand = NULL;
		websocket_begin_close(conn, CLOSE_BAD_MESSAGE);
	}
}

/* Not a session yet: its client wants to go on here. */
static void before_upgrade(struct conn *conn, const struct engineio_packet *packet)
{
	if (packet->type == ENGINEIO_PING && span_is(packet->data, "probe") && !conn->errand->sent)
		probe(conn);
	else if (packet->type == ENGINEIO_UPGRADE && !conn->errand->sent)
		upgrade(conn);
	else if (packet->type != ENGINEIO_NOOP)
		websocket_begin_close(conn, CLOSE_BAD_MESSAGE);
}

void upgrade_received(struct conn *conn, bool binary, struct span data)
{
	AUTO_BUF struct buf room = buf_init(data.len);
	struct engineio_packet packet;

	thread_touch(conn->thread);
	if (!engineio_read_frame(data, binary, &room, &packet)) {
		if (conn->engine)
			engine_close(conn->engine, CLOSE_BAD_MESSAGE);
		else
			websocket_begin_close(conn, CLOSE_BAD_MESSAGE);
	} else if (conn->engine) {
		engine_packet(conn->engine, &packet);
	} else if (conn->errand) {
		before_upgrade(conn, &packet);
	}
}

void upgrade_writable(struct conn *conn)
{
	if (conn->engine && !conn->engine->away && !conn->engine->closing && !conn->engine->over)
		engine_config(conn->engine)->app->writable(conn->engine);
}

void upgrade_gone(struct conn *conn, enum close_reason reason)
{
	struct errand *errand = conn->errand;

	if (conn->engine) {
		engine_end(conn->engine, reason);
		conn->engine->conn = NULL;
		conn->engine = NULL;
	}
	if (!errand)
		return;
	conn->errand = NULL;
	if (!errand->sent) {
		registry_unclaim(registry_of(conn), span_of(errand->sid));
		if (errand->probed)
			tell_home(conn, ERRAND_STAY, errand->sid);
	}
	if (errand->hosted)
		errand->engine = NULL; /* which has just been ended */
	errand_forget(errand);
}

/* -- at the session's home -- */

/* It ended while its client turned to the websocket, and polls no more: its last words go there instead of it. */
static void hand_over_last_words(struct errand *errand, struct engineio *engine)
{
	buf_finish(&errand->body);
	errand->body = engine->out;
	errand->reason = (enum close_reason)engine->close_reason;
	engine->out = buf_init(BUF_NO_MAX); /* nothing comes any more */
	engine_end(engine, errand->reason);
	errand_return(errand);
}

void upgrade_asked(struct errand *errand, struct engineio *engine)
{
	const struct engineio_config *config = &errand->to->shared->config.engineio;

	if (!engine || engine->conn || engine->over) {
		errand_return(errand);
		return;
	}
	if (engine->closing) {
		engine_unshare(engine);
		hand_over_last_words(errand, engine);
		return;
	}
	/* A client lets its last poll end before it says `upgrade`: one that still waits came behind it. */
	engine_refuse_poll(engine, ENGINEIO_BAD_REQUEST);
	errand->engine = engine;
	engine->probes = 0;
	engine->waits = false;
	if (errand->to != errand->from) {
		config->app->depart(engine);
		engine->away = true;
		engine_unhost(engine);
		engine->home->engines.count--;
		registry_move(errand->from->shared->engines, engine, NULL);
	}
	errand_return(errand);
}

/* -- at the websocket's -- */

/* The websocket has gone meanwhile. */
static void nobody_there(struct errand *errand)
{
	struct engineio *engine = errand->engine;

	if (engine && engine->away) {
		registry_remove(errand->from->shared->engines, engine);
		errand->from->shared->config.engineio.app->vanish(engine, CLOSE_CLIENT);
		engine_free(engine);
	} else if (engine) {
		engine_end(engine, CLOSE_CLIENT);
	}
	errand_free(errand);
}

/* What was not fetched is said here. */
static void hand_on(struct conn *conn, struct buf *payload)
{
	AUTO_BUF struct buf frames = buf_init(BUF_NO_MAX); /* by payload */

	if (payload->len && engineio_payload_to_frames(&frames, buf_as_span(payload)))
		conn_send(conn, frames.bytes, frames.len);
	buf_finish(payload);
}

/* There is no session to go on with. */
static void turn_away(struct conn *conn, struct errand *errand)
{
	conn->errand = NULL;
	hand_on(conn, &errand->body);
	websocket_begin_close(conn, errand->reason ? errand->reason : CLOSE_BAD_MESSAGE);
}

static void move_in(struct conn *conn, struct engineio *engine, struct errand *errand)
{
	if (engine->away) {
		registry_move(conn->thread->shared->engines, engine, conn->thread);
		engine_host(engine);
	}
	errand->hosted = true;
	engine->conn = conn;
	conn->engine = engine;
	conn_watch(conn, 0);
	if (engine->closing || engine->over)
		engine_unshare(engine);
	hand_on(conn, &engine->out);
	engine_config(engine)->app->upgraded(engine);
}

void upgrade_arrived(struct errand *errand)
{
	struct engineio *engine = errand->engine;
	struct conn *conn = errand->conn;

	if (!conn || conn->gone || !engine) {
		if (conn)
			turn_away(conn, errand);
		nobody_there(errand);
		return;
	}
	if (!errand->hosted)
		move_in(conn, engine, errand);
	if (engine->away && !engine_config(engine)->app->arrive(engine, conn->thread)) {
		errand_later(errand);
		return;
	}
	engine->away = false;
	conn->errand = NULL;
	errand_free(errand);
	lws_rx_flow_control(conn->wsi, 1);
	if (!conn->behind && !engine->closing && !engine->over)
		engine_config(engine)->app->writable(engine);
}
