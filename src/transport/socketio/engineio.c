/* The life of one Engine.IO session on its home thread: heartbeat, packets, the end. What is particular to polling is in
 * polling.c, to websockets and the way to them in upgrade.c.
 *
 * The heartbeat is the server's: a ping pingInterval after the last pong, and pingTimeout for the answer. On a websocket the
 * wait begins anew as long as what stands before the ping is still being taken. All deadlines of a thread are in a few lists
 * in order of time, and one clock of the loop is set for the earliest.
 */
#include "transport/socketio/engineio.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "transport/begin.h"
#include "transport/conn.h"
#include "transport/socketio/errand.h"
#include "transport/socketio/polling.h"
#include "transport/socketio/registry.h"
#include "transport/socketio/share.h"
#include "transport/thread.h"
#include "transport/websocket.h"

#define LAST_WORDS_MS 3000 /* for a polling client to fetch them */
#define GOODBYE_MS 100     /* for a client that said `close` and polled at the same moment */
#define NOOP_MS 20         /* a poll is kept waiting that long while its client turns to a websocket */
#define CROWDED_MS 50      /* before a large event that there was no room for is tried again */
#define ANSWER_ENOUGH 65536 /* an answer that holds this much is given before more is taken */
#define STUFFED 65536 /* unfetched, while nobody polls */

static struct engineio_host *host_of(const struct engineio *engine)
{
	return &engine->home->engines;
}

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
	host_of(engine)->count++;
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
	struct engineio_host *host = host_of(engine);

	engine_timer_set(&host->pings, &engine->beat);
	engine_timer_set(&host->connects, &engine->patience);
	engine->waits = !engine->conn;
	engine_config(engine)->app->opened(engine, conn);
	thread_touch(engine->home);
}

/* -- sending -- */

void engine_touch(struct engineio *engine)
{
	struct engineio_host *host = host_of(engine);

	thread_touch(engine->home);
	if (engine->dirty)
		return;
	engine->dirty = true;
	engine->dirty_next = host->dirty;
	host->dirty = engine;
}

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

enum send_result engine_send_event(struct engineio *engine, struct event *event, const struct frame *frame)
{
	if (engine->over || engine->conn || engine->share)
		return engine_send(engine, frame->bytes, frame->len);
	engine->share = share_create(event, frame);
	engine_touch(engine);
	return SEND_BEHIND;
}

void engine_forget_event(struct engineio *engine)
{
	share_free(engine->share);
	engine->share = NULL;
}

void engine_unshare(struct engineio *engine)
{
	if (!engine->share)
		return;
	buf_span(&engine->out, share_bytes(engine->share));
	engine_forget_event(engine);
}

/* Something waits to be fetched. */
static bool loaded(const struct engineio *engine)
{
	return engine->out.len || engine->share;
}

static enum send_result send_packet(struct engineio *engine, enum engineio_type type, bool binary, struct span data)
{
	AUTO_BUF struct buf packet = buf_init(BUF_NO_MAX); /* by data */

	engineio_write(&packet, engine_encoding(engine), type, binary, data);
	return engine_say(engine, packet.bytes, packet.len);
}

enum send_result engine_message(struct engineio *engine, bool binary, struct span data)
{
	return send_packet(engine, ENGINEIO_MESSAGE, binary, data);
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
		engine_timer_set(&host_of(engine)->pings, &engine->beat);
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

/* -- heartbeat -- */

/* The peer's time begins when the ping was due, however late this thread comes to send it. */
static void ping(struct engineio *engine)
{
	int64_t due = engine->beat.due;

	engine->ping_seen = engine_progress(engine);
	engine->ping_at = engine->ping_seen + engine_in_flight(engine);
	engine_timer_set(&host_of(engine)->pongs, &engine->beat);
	engine->beat.due = due + host_of(engine)->pongs.after_ms;
	send_packet(engine, ENGINEIO_PING, false, (struct span){"", 0});
}

static void no_pong(struct engineio *engine)
{
	unsigned long taken = engine_progress(engine), before = engine->ping_seen;

	engine->ping_seen = taken;
	if (engine->conn && (before < engine->ping_at || engine->out.len) && taken != before)
		engine_timer_set(&host_of(engine)->pongs, &engine->beat);
	else
		engine_close(engine, CLOSE_GONE_QUIET);
}

static void not_connected(struct engineio *engine)
{
	if (engine_config(engine)->app->idle(engine))
		engine_close(engine, CLOSE_AUTH_TIMEOUT);
}

static void not_fetched(struct engineio *engine)
{
	engine_end(engine, (enum close_reason)engine->close_reason);
}

static void noop(struct engineio *engine)
{
	if (engine->probes && engine->poll && !engine->out.len)
		send_packet(engine, ENGINEIO_NOOP, false, (struct span){"", 0});
}

void engine_ask_to_upgrade(struct engineio *engine)
{
	engine->probes++;
	if (engine->poll)
		engine_timer_set(&host_of(engine)->probes, &engine->noop);
}

void engine_stay(struct engineio *engine)
{
	if (!engine->probes || --engine->probes)
		return;
	engine_timer_stop(&engine->noop);
	engine_touch(engine); /* it may have been crowded */
}

bool engine_overdue(struct engineio *engine)
{
	if (engine->beat.list != &host_of(engine)->pongs || clock_ms() < engine->beat.due)
		return false;
	engine_timer_stop(&engine->beat);
	no_pong(engine);
	return engine->over;
}

/* A client that said `close` itself only needs its poll back. */
static void say_goodbye(struct engineio *engine)
{
	bool asked = engine->close_reason == CLOSE_CLIENT;

	send_packet(engine, asked ? ENGINEIO_NOOP : ENGINEIO_CLOSE, false, (struct span){"", 0});
	engine->goodbye = true;
}

void engine_polled(struct engineio *engine, struct errand *poll)
{
	engine->poll = poll;
	engine->polled++;
	engine->waits = false;
	if (engine->closing && !loaded(engine))
		say_goodbye(engine);
	else if (!engine->closing && !engine->share)
		engine_config(engine)->app->writable(engine);
	if (loaded(engine))
		engine_touch(engine);
	else if (engine->probes)
		engine_timer_set(&host_of(engine)->probes, &engine->noop);
}

/* -- the end -- */

/* Is there something that the peer should still come for? After a restart or for a peer that is not there: no. What the
 * answer to a poll that waits is to hold (events too, of this turn) is sent in any case, and ahead of the close packet: a
 * client that gets both together is closed before it has looked at the events, and has them a second time after it resumes. */
static bool has_last_words(const struct engineio *engine, enum close_reason reason)
{
	int http = close_reason_http(reason);

	return loaded(engine) && http >= 400 && reason != CLOSE_RESTART && reason != CLOSE_JOURNAL;
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
	if (engine->poll && !loaded(engine))
		say_goodbye(engine);
	else if (!engine->poll && reason != CLOSE_CLIENT && !has_last_words(engine, reason))
		engine_end(engine, reason);
	else
		engine_timer_set(reason == CLOSE_CLIENT ? &host_of(engine)->goodbyes : &host_of(engine)->last_words,
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

static bool take_out(struct engineio **at, const struct engineio *engine)
{
	while (*at && *at != engine)
		at = &(*at)->dirty_next;
	if (!*at)
		return false;
	*at = engine->dirty_next;
	return true;
}

void engine_unhost(struct engineio *engine)
{
	struct engineio_host *host = host_of(engine);

	engine_timer_stop(&engine->beat);
	engine_timer_stop(&engine->patience);
	engine_timer_stop(&engine->noop);
	if (engine->dirty && !take_out(&host->dirty, engine))
		take_out(&host->turning, engine);
	engine->dirty = false;
}

void engine_host(struct engineio *engine)
{
	engine->home->engines.count++;
	engine_timer_set(&host_of(engine)->pings, &engine->beat);
	if (engine_config(engine)->app->idle(engine))
		engine_timer_set(&host_of(engine)->connects, &engine->patience);
}

void engine_free(struct engineio *engine)
{
	buf_finish(&engine->out);
	engine_forget_event(engine);
	free(engine);
}

/* -- the turn -- */

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

	if (engine->poll) {
		engine->poll->status = 400;
		engine->poll->code = ENGINEIO_UNKNOWN_SID;
		errand_return(engine->poll);
		engine->poll = NULL;
	}
	if (engine->conn) {
		engine->conn->engine = NULL;
		engine->conn = NULL;
	}
	tell_end(engine);
	home->engines.count--;
	engine_free(engine);
}

static void take_answer(struct engineio *engine, struct errand *poll)
{
	buf_finish(&poll->body);
	if (engine->out.len) {
		engine->polled += engine->out.len;
		poll->body = engine->out;
		engine->out = buf_init(BUF_NO_MAX);
	} else {
		engine->polled += engine->share->frame->len;
		poll->share = engine->share;
		engine->share = NULL;
	}
}

static void answer(struct engineio *engine)
{
	struct errand *poll = engine->poll;

	engine->poll = NULL;
	engine_timer_stop(&engine->noop);
	take_answer(engine, poll);
	poll->status = 200;
	errand_return(poll);
	if (engine->goodbye) {
		engine_end(engine, (enum close_reason)engine->close_reason);
	} else if (!engine->waits && !engine->closing) {
		engine->waits = true;
		engine_config(engine)->app->paused(engine);
	}
}

/* It is not its peer who is slow. While that turns to a websocket its poll is ended as any other: then the event goes there. */
static void wait_for_room(struct engineio *engine)
{
	struct engineio_host *host = host_of(engine);

	engine->polled++;
	engine_timer_set(engine->probes ? &host->probes : &host->crowded, &engine->noop);
}

static bool has_room(const struct engineio *engine)
{
	return engine->out.len || answers_admit(&engine->poll->from->answers, engine->share->event);
}

/* writable() may ask for itself again: that is for the next turn. */
static void go_on(struct engineio *engine)
{
	engine->wants = false;
	if (engine->poll && !engine->closing && !loaded(engine))
		engine_config(engine)->app->writable(engine);
}

void engine_turn(struct thread *thread)
{
	struct engineio_host *host = &thread->engines;
	struct engineio *engine;

	/* Those that are dirty now; each may become so again, for the next turn, or end another. */
	host->turning = host->dirty;
	host->dirty = NULL;
	while ((engine = host->turning)) {
		host->turning = engine->dirty_next;
		engine->dirty = false;
		if (engine->wants && !engine->over)
			go_on(engine);
		if (engine->closing && !engine->conn)
			tell_end(engine);
		if (engine->over)
			over(engine);
		else if (engine->poll && loaded(engine) && has_room(engine))
			answer(engine);
		else if (engine->poll && engine->share)
			wait_for_room(engine);
	}
	if (host->dirty)
		thread_touch(thread);
}

static void close_idle(struct engineio_timers *list)
{
	struct engineio_timer *next;

	for (struct engineio_timer *timer = list->first; timer; timer = next) {
		next = timer->next;
		if (engine_config(timer->engine)->app->idle(timer->engine))
			engine_close(timer->engine, CLOSE_RESTART);
	}
}

void engine_drain(struct thread *thread)
{
	close_idle(&thread->engines.pings);
	close_idle(&thread->engines.pongs);
}

/* Each is on one of the lists of the heartbeat, or has said its last words. */
static void end_all(struct engineio_timers *list)
{
	while (list->first)
		engine_end(list->first->engine, CLOSE_RESTART);
}

void engine_host_finish(struct thread *thread)
{
	struct engineio_host *host = &thread->engines;

	end_all(&host->pings);
	end_all(&host->pongs);
	end_all(&host->last_words);
	end_all(&host->goodbyes);
	do
		engine_turn(thread);
	while (host->dirty);
}

void engine_host_init(struct thread *thread)
{
	const struct engineio_config *config = &thread->shared->config.engineio;
	struct engineio_host *host = &thread->engines;

	host->pings = (struct engineio_timers){.after_ms = config->ping_interval_ms, .due = ping};
	host->pongs = (struct engineio_timers){.after_ms = config->ping_timeout_ms, .due = no_pong};
	host->connects = (struct engineio_timers){.after_ms = config->connect_timeout_ms, .due = not_connected};
	host->goodbyes = (struct engineio_timers){.after_ms = GOODBYE_MS, .due = not_fetched};
	host->last_words = (struct engineio_timers){.after_ms = LAST_WORDS_MS, .due = not_fetched};
	host->crowded = (struct engineio_timers){.after_ms = CROWDED_MS, .due = engine_touch};
	host->probes = (struct engineio_timers){.after_ms = NOOP_MS, .due = noop};
	engine_clock_init(thread);
}
