/* The Engine.IO sessions of one network thread. Whatever one has to do beyond the call that it is in (an answer, its end) is left for
 * the end of the loop's turn: it is on the list of the dirty ones until then. All deadlines of a thread are in a few lists in order of
 * time (clock.c); here is how long each lasts and what is due then.
 */
#include "transport/socketio/host.h"

#include "transport/socketio/heartbeat.h"
#include "transport/socketio/long_poll.h"
#include "transport/thread.h"

#define LAST_WORDS_MS 3000 /* for a polling client to fetch them */
#define GOODBYE_MS 100     /* for a client that said `close` and polled at the same moment */
#define NOOP_MS 20         /* a poll is kept waiting that long while its client turns to a websocket */
#define CROWDED_MS 50      /* before a large event that there was no room for is tried again */

struct engineio_host *engine_host_of(const struct engineio *engine)
{
	return &engine->home->engines;
}

void engine_touch(struct engineio *engine)
{
	struct engineio_host *host = engine_host_of(engine);

	thread_touch(engine->home);
	if (engine->dirty)
		return;
	engine->dirty = true;
	engine->dirty_next = host->dirty;
	host->dirty = engine;
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
	struct engineio_host *host = engine_host_of(engine);

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
	engine_timer_set(&engine_host_of(engine)->pings, &engine->beat);
	if (engine_config(engine)->app->idle(engine))
		engine_timer_set(&engine_host_of(engine)->connects, &engine->patience);
}

/* -- the turn -- */

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
		engine_take_turn(engine);
	}
	if (host->dirty)
		thread_touch(thread);
}

/* -- the thread's beginning and end -- */

void engine_host_init(struct thread *thread)
{
	const struct engineio_config *config = &thread->shared->config.engineio;
	struct engineio_host *host = &thread->engines;

	host->pings = (struct engineio_timers){.after_ms = config->ping_interval_ms, .due = engine_ping};
	host->pongs = (struct engineio_timers){.after_ms = config->ping_timeout_ms, .due = engine_no_pong};
	host->connects = (struct engineio_timers){.after_ms = config->connect_timeout_ms, .due = engine_not_connected};
	host->goodbyes = (struct engineio_timers){.after_ms = GOODBYE_MS, .due = engine_not_fetched};
	host->last_words = (struct engineio_timers){.after_ms = LAST_WORDS_MS, .due = engine_not_fetched};
	host->crowded = (struct engineio_timers){.after_ms = CROWDED_MS, .due = engine_touch};
	host->probes = (struct engineio_timers){.after_ms = NOOP_MS, .due = engine_noop};
	engine_clock_init(thread);
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
