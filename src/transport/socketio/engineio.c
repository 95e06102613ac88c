/* The life of one Engine.IO session on its home thread, whatever it goes over: beginning, packets, the end. What is particular to
 * polling is in polling.c and long_poll.c, to websockets and the way to them in upgrade.c; pings and pongs are in heartbeat.c, and what
 * a thread's sessions have in common in host.c.
 */
#include "transport/socketio/engineio.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "transport/begin.h"
#include "transport/conn.h"
#include "transport/socketio/errand.h"
#include "transport/socketio/host.h"
#include "transport/socketio/long_poll.h"
#include "transport/socketio/polling.h"
#include "transport/socketio/registry.h"
#include "transport/thread.h"
#include "transport/websocket.h"

#define ANSWER_ENOUGH 65536 /* an answer that holds this much is given before more is taken */
#define STUFFED 65536 /* unfetched, while nobody polls */

const struct engineio_config *engine_config(const struct engineio *engine)
{
	return &engine->home->shared->config.engineio;
}

enum encoding engine_encoding(const struct engineio *engine)
{
	return engine->conn ? ENCODING_SOCKETIO : ENCODING_SOCKETIO_POLLING;
}

/* -- begin -- */

struct engineio *engine_create(struct conn *conn, bool websocket)
{
	char evicted[SID_LEN + 1];
	struct thread *thread = conn->thread;
	struct engineio *engine = mem_zero(1, sizeof(*engine) + thread->shared->config.engineio.app->size);

	engine->home = thread;
	engine->out = buf_init(BUF_NO_MAX); /* by the hub's packs, and one ping */
	engine->claimed = websocket;
	engine->beat.engine = engine->patience.engine = engine->noop.engine = engine;
	random_word(engine->sid, SID_LEN);
	peer_address(conn, engine->address);
	if (!registry_add(thread->shared->engines, engine, evicted)) {
		free(engine);
		return NULL;
	}
	if (evicted[0])
		errand_abort(thread, evicted, CLOSE_TOO_MANY);
	if (websocket) {
		engine->conn = conn;
		conn->engine = engine;
	}
	engine_host_of(engine)->count++;
	return engine;
}

void engine_write_open(const struct engineio *engine, struct buf *buf)
{
	const struct engineio_config *config = engine_config(engine);
	AUTO_BUF struct buf json = buf_init(512);

	buf_printf(&json, "{\"sid\":\"%s\",\"upgrades\":[%s],\"pingInterval\":%" PRId64 ",\"pingTimeout\":%" PRId64
		",\"maxPayload\":%zu}", engine->sid, engine->conn ? "" : "\"websocket\"", config->ping_interval_ms,
		config->ping_timeout_ms, config->max_payload);
	engineio_write(buf, engine_encoding(engine), ENGINEIO_OPEN, false, buf_as_span(&json));
}

void engine_begin(struct engineio *engine, struct conn *conn)
{
	struct engineio_host *host = engine_host_of(engine);

	engine_timer_set(&host->pings, &engine->beat);
	engine_timer_set(&host->connects, &engine->patience);
	engine->waits = !engine->conn;
	engine_config(engine)->app->opened(engine, conn);
	thread_touch(engine->home);
}

/* -- sending -- */

enum send_result engine_send(struct engineio *engine, const char *bytes, size_t len)
{
	if (engine->over)
		return SEND_DEAD;
	if (engine->conn)
		return engine->conn->closing ? SEND_DEAD : conn_send(engine->conn, bytes, len);
	buf_bytes(&engine->out, bytes, len);
	if (!engine->poll)
		return SEND_BEHIND;
	engine_touch(engine);
	return engine->out.len < ANSWER_ENOUGH ? SEND_ALL : SEND_BEHIND;
}

size_t engine_room(const struct engineio *engine)
{
	return engine->conn ? conn_room(engine->conn) : 0;
}

static bool within(const struct engineio *engine)
{
	const struct engineio_app *app = engine_config(engine)->app;

	return engine->conn && app->within && app->within(engine);
}

enum send_result engine_say(struct engineio *engine, const char *bytes, size_t len)
{
	if (!within(engine) || engine->over)
		return engine_send(engine, bytes, len);
	return buf_bytes(&engine->out, bytes, len) ? SEND_ALL : SEND_DEAD;
}

void engine_said(struct engineio *engine)
{
	struct buf out = engine->out;

	if (!engine->conn || !out.len || within(engine))
		return;
	engine->out = buf_init(BUF_NO_MAX);
	engine_send(engine, out.bytes, out.len);
	buf_finish(&out);
	engine->ping_at = engine_progress(engine) + engine_in_flight(engine); /* a ping may have waited */
}

enum send_result engine_send_packet(struct engineio *engine, enum engineio_type type, bool binary, struct span data)
{
	AUTO_BUF struct buf packet = buf_init(BUF_NO_MAX); /* by data */

	engineio_write(&packet, engine_encoding(engine), type, binary, data);
	return engine_say(engine, packet.bytes, packet.len);
}

enum send_result engine_message(struct engineio *engine, bool binary, struct span data)
{
	return engine_send_packet(engine, ENGINEIO_MESSAGE, binary, data);
}

void engine_want(struct engineio *engine)
{
	if (engine->conn) {
		conn_want(engine->conn);
		return;
	}
	engine->wants = true;
	engine_touch(engine);
}

/* writable() may ask for itself again: that is for the next turn. */
static void go_on(struct engineio *engine)
{
	engine->wants = false;
	if (engine->poll && !engine->closing && !engine_loaded(engine))
		engine_config(engine)->app->writable(engine);
}

bool engine_stuffed(const struct engineio *engine)
{
	return (engine->conn && engine->conn->behind) || (!engine->poll && engine->out.len > STUFFED);
}

unsigned long engine_progress(struct engineio *engine)
{
	return engine->conn ? conn_taken(engine->conn) : engine->polled;
}

unsigned long engine_in_flight(struct engineio *engine)
{
	return engine->conn ? conn_untaken(engine->conn) : 0;
}

/* -- receiving -- */

void engine_packet(struct engineio *engine, const struct engineio_packet *packet)
{
	if ((engine->closing && packet->type != ENGINEIO_CLOSE) || engine->over)
		return;
	switch (packet->type) {
	case ENGINEIO_MESSAGE:
		engine_config(engine)->app->received(engine, packet->binary, packet->data);
		break;
	case ENGINEIO_PONG:
		engine_timer_set(&engine_host_of(engine)->pings, &engine->beat);
		break;
	case ENGINEIO_CLOSE:
		if (engine->closing)
			engine_end(engine, CLOSE_CLIENT);
		engine_close(engine, CLOSE_CLIENT);
		break;
	case ENGINEIO_PING: /* only the server pings */
		engine_close(engine, CLOSE_BAD_MESSAGE);
		break;
	default: /* nothing to do, as in the reference server */
		break;
	}
}

/* -- the end -- */

/* Is there something that the peer should still come for? After a restart or for a peer that is not there: no. What the
 * answer to a poll that waits is to hold (events too, of this turn) is sent in any case, and ahead of the close packet: a
 * client that gets both together is closed before it has looked at the events, and has them a second time after it resumes. */
static bool has_last_words(const struct engineio *engine, enum close_reason reason)
{
	int http = close_reason_http(reason);

	return engine_loaded(engine) && http >= 400 && reason != CLOSE_RESTART && reason != CLOSE_JOURNAL;
}

void engine_close(struct engineio *engine, enum close_reason reason)
{
	if (engine->closing || engine->over)
		return;
	engine->close_reason = (uint8_t)reason;
	if (close_reason_http(reason) == 401)
		engine_forget_event(engine); /* not for who may not be here, and not behind the last words */
	if (engine->conn) {
		engine->closing = true;
		engine_timer_stop(&engine->beat);
		websocket_begin_close(engine->conn, reason); /* engine_end() when it has gone */
		return;
	}
	engine->closing = true;
	engine_touch(engine);
	engine_timer_stop(&engine->beat);
	if (engine->poll && !engine_loaded(engine))
		engine_say_goodbye(engine);
	else if (!engine->poll && reason != CLOSE_CLIENT && !has_last_words(engine, reason))
		engine_end(engine, reason);
	else
		engine_timer_set(reason == CLOSE_CLIENT ? &engine_host_of(engine)->goodbyes : &engine_host_of(engine)->last_words,
			&engine->patience);
}

void engine_end(struct engineio *engine, enum close_reason reason)
{
	if (engine->over)
		return;
	engine->over = true;
	if (!engine->close_reason)
		engine->close_reason = (uint8_t)reason;
	registry_remove(engine->home->shared->engines, engine);
	engine_unhost(engine);
	engine_touch(engine);
}

void engine_not_connected(struct engineio *engine)
{
	if (engine_config(engine)->app->idle(engine))
		engine_close(engine, CLOSE_AUTH_TIMEOUT);
}

void engine_not_fetched(struct engineio *engine)
{
	engine_end(engine, (enum close_reason)engine->close_reason);
}

void engine_free(struct engineio *engine)
{
	buf_finish(&engine->out);
	engine_forget_event(engine);
	free(engine);
}

/* -- the end of the turn -- */

/* Once. Not from its own call that closed it, and not as late as the last words are fetched. */
static void tell_end(struct engineio *engine)
{
	const struct engineio_app *app = engine_config(engine)->app;

	if (engine->told)
		return;
	engine->told = true;
	if (engine->away)
		app->vanish(engine, (enum close_reason)engine->close_reason);
	else
		app->ended(engine, (enum close_reason)engine->close_reason);
}

static void over(struct engineio *engine)
{
	struct thread *home = engine->home;

	engine_refuse_poll(engine, ENGINEIO_UNKNOWN_SID);
	if (engine->conn) {
		engine->conn->engine = NULL;
		engine->conn = NULL;
	}
	tell_end(engine);
	home->engines.count--;
	engine_free(engine);
}

void engine_take_turn(struct engineio *engine)
{
	if (engine->wants && !engine->over)
		go_on(engine);
	if (engine->closing && !engine->conn)
		tell_end(engine);
	if (engine->over)
		over(engine);
	else if (engine->poll)
		engine_answer_poll(engine);
}
