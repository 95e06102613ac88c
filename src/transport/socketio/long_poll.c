/* What a session that polls keeps for its peer, and the one poll that may wait for it at the session's home. Packets heap up in `out`;
 * a large event is not copied there but shared, as an answer of its own behind those. At the end of the turn the poll takes one or the
 * other along.
 *
 * A poll that waits ends in two more ways: with a NOOP soon after the peer's websocket has shown that it works, since the peer says
 * `upgrade` only when no poll of its own is under way; and with the last packet of a session that closes. How polls come over HTTP and
 * go back is in polling.c.
 */
#include "transport/socketio/long_poll.h"

#include "transport/socketio/errand.h"
#include "transport/socketio/host.h"
#include "transport/socketio/share.h"
#include "transport/thread.h"

/* -- what waits to be fetched -- */

bool engine_loaded(const struct engineio *engine)
{
	return engine->out.len || engine->share;
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

/* -- a poll waits -- */

void engine_noop(struct engineio *engine)
{
	if (engine->probes && engine->poll && !engine->out.len)
		engine_send_packet(engine, ENGINEIO_NOOP, false, (struct span){"", 0});
}

void engine_ask_to_upgrade(struct engineio *engine)
{
	engine->probes++;
	if (engine->poll)
		engine_timer_set(&engine_host_of(engine)->probes, &engine->noop);
}

void engine_stay(struct engineio *engine)
{
	if (!engine->probes || --engine->probes)
		return;
	engine_timer_stop(&engine->noop);
	engine_touch(engine); /* it may have been crowded */
}

void engine_say_goodbye(struct engineio *engine)
{
	bool asked = engine->close_reason == CLOSE_CLIENT;

	engine_send_packet(engine, asked ? ENGINEIO_NOOP : ENGINEIO_CLOSE, false, (struct span){"", 0});
	engine->goodbye = true;
}

void engine_polled(struct engineio *engine, struct errand *poll)
{
	engine->poll = poll;
	engine->polled++;
	engine->waits = false;
	if (engine->closing && !engine_loaded(engine))
		engine_say_goodbye(engine);
	else if (!engine->closing && !engine->share)
		engine_config(engine)->app->writable(engine);
	if (engine_loaded(engine))
		engine_touch(engine);
	else if (engine->probes)
		engine_timer_set(&engine_host_of(engine)->probes, &engine->noop);
}

void engine_refuse_poll(struct engineio *engine, int code)
{
	struct errand *poll = engine->poll;

	if (!poll)
		return;
	engine->poll = NULL;
	errand_refuse(poll, code);
}

/* -- its answer -- */

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
	struct engineio_host *host = engine_host_of(engine);

	engine->polled++;
	engine_timer_set(engine->probes ? &host->probes : &host->crowded, &engine->noop);
}

static bool has_room(const struct engineio *engine)
{
	return engine->out.len || answers_admit(&engine->poll->from->answers, engine->share->event);
}

void engine_answer_poll(struct engineio *engine)
{
	if (engine_loaded(engine) && has_room(engine))
		answer(engine);
	else if (engine->share)
		wait_for_room(engine);
}
