/* Lists in order of time, and one clock of the loop, set for the earliest deadline of all. */
#include "base/clock.h"
#include "transport/socketio/clock.h"
#include "transport/thread.h"

static void due_now(uv_timer_t *clock);

static void set_clock(struct engineio_host *host, int64_t due)
{
	int64_t left = due - clock_ms();

	if (host->clock_due && host->clock_due <= due)
		return;
	host->clock_due = due;
	uv_timer_start(&host->clock, due_now, left > 0 ? (uint64_t)left : 0, 0);
}

void engine_timer_stop(struct engineio_timer *timer)
{
	struct engineio_timers *list = timer->list;

	if (!list)
		return;
	if (timer->prev)
		timer->prev->next = timer->next;
	else
		list->first = timer->next;
	if (timer->next)
		timer->next->prev = timer->prev;
	else
		list->last = timer->prev;
	timer->list = NULL;
}

void engine_timer_set(struct engineio_timers *list, struct engineio_timer *timer)
{
	engine_timer_stop(timer);
	timer->list = list;
	timer->due = clock_ms() + list->after_ms;
	timer->next = NULL;
	timer->prev = list->last;
	if (list->last)
		list->last->next = timer;
	else
		list->first = timer;
	list->last = timer;
	set_clock(&timer->engine->home->engines, timer->due);
}

static void run_list(struct engineio_timers *list, int64_t now)
{
	struct engineio_timer *timer;

	while ((timer = list->first) && timer->due <= now) {
		engine_timer_stop(timer);
		list->due(timer->engine);
	}
}

static void due_now(uv_timer_t *clock)
{
	struct thread *thread = clock->data;
	struct engineio_host *host = &thread->engines;
	struct engineio_timers *const lists[] = {
		&host->pings, &host->pongs, &host->connects, &host->last_words, &host->goodbyes, &host->probes,
		&host->crowded};
	int64_t now = clock_ms();

	host->clock_due = 0;
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		run_list(lists[i], now);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (lists[i]->first)
			set_clock(host, lists[i]->first->due);
	thread_touch(thread);
}

void engine_clock_init(struct thread *thread)
{
	uv_timer_init(&thread->loop, &thread->engines.clock);
	thread->engines.clock.data = thread;
}
