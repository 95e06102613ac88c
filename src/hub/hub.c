/* The hub of one network thread: an inbox that the source and the lanes post to, and the turn that
 * takes what it holds.
 *
 * Back-pressure: hub_deliver() counts the bytes that it hands over and waits above inbox_bytes
 * until the hub has taken them, so that a slow network thread slows the source instead of filling
 * memory. A batch is always let through when none waits.
 *
 * A batch that was ingested stays until the flush, because the deliveries of the turn point to its
 * events.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "hub/internal.h"

struct batch {
	struct task task;
	struct hub *hub;
	struct batch *next;
	size_t count, bytes;
	struct event *events[];
};

/* hub_live(), hub_away() */
struct capture_change {
	struct task task;
	struct hub *hub;
	bool live;
	struct source_position head;
};

struct hub *hub_create(const struct hub_config *config, struct hub_shared *shared,
	void (*wake)(void *), void *wake_context)
{
	struct hub *hub = mem_zero(1, sizeof(*hub));

	hub->config = config;
	hub->shared = shared;
	hub->now = clock_ms();
	hub->reads_last = &hub->reads;
	hub->read_max = READ_PAGE;
	hub->lookups_last = &hub->lookups;
	hub->walks = &hub->ticking;
	hub->ticking.below = &hub->withdrawing;
	tail_reset(&hub->tail, 1);
	inbox_init(&hub->inbox, wake, wake_context);
	pthread_mutex_init(&hub->lock, NULL);
	pthread_cond_init(&hub->taken, NULL);
	return hub;
}

void hub_destroy(struct hub *hub)
{
	if (!hub)
		return;
	while (inbox_run(&hub->inbox))
		;
	flush(hub);
	readings_go_on(hub);
	lookups_go_on(hub);
	tail_reset(&hub->tail, 1);
	pages_drop(hub);
	inbox_finish(&hub->inbox);
	pthread_mutex_destroy(&hub->lock);
	pthread_cond_destroy(&hub->taken);
	map_finish(&hub->users);
	buf_finish(&hub->said);
	free(hub->tail.ring);
	free(hub->deliveries);
	free(hub->order);
	free(hub->scratch);
	free(hub->shown_ids);
	free(hub);
}

/* -- from the source -- */

static void batch_free(struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		event_unref(batch->events[i]);
	free(batch);
}

void spent_release(struct hub *hub)
{
	while (hub->spent) {
		struct batch *batch = hub->spent;

		hub->spent = batch->next;
		batch_free(batch);
	}
}

/* The journal is not whole for those who are here: they must fetch their state anew. */
static void close_connected(struct hub *hub)
{
	struct session *session;
	struct walk walk;

	walk_begin(hub, &walk);
	while ((session = walk_next(&walk))) {
		if (session_connected(session))
			session_end(session, CLOSE_JOURNAL);
		else
			reading_forget(session);
	}
	walk_end(hub, &walk);
}

static void begin_journal(struct hub *hub, const char *journal, uint64_t head)
{
	ingest_settle(hub);
	if (hub->journal[0]) {
		flush(hub);
		close_connected(hub);
	}
	memcpy(hub->journal, journal, sizeof(hub->journal));
	tail_reset(&hub->tail, head + 1);
	pages_drop(hub);
}

static void ingest_next(struct hub *hub, struct event *event)
{
	uint64_t head = tail_head(&hub->tail);

	if (strcmp(event->journal, hub->journal) != 0) {
		begin_journal(hub, event->journal, event->id - 1);
	} else if (event->id != head + 1) {
		log_warn("hub", "event %llu follows %llu: %s", (unsigned long long)event->id,
			(unsigned long long)head,
			event->id <= head ? "dropped, it was here before"
					  : "sessions are closed to fetch anew");
		if (event->id <= head)
			return;
		begin_journal(hub, event->journal, event->id - 1);
	}
	ingest(hub, event);
}

static void take_batch(struct task *task)
{
	struct batch *batch = (struct batch *)task;
	struct hub *hub = batch->hub;

	for (size_t i = 0; i < batch->count; i++)
		ingest_next(hub, batch->events[i]);
	ingest_settle(hub);
	batch->next = hub->spent;
	hub->spent = batch;
	pthread_mutex_lock(&hub->lock);
	hub->waiting_bytes -= batch->bytes;
	pthread_cond_broadcast(&hub->taken);
	pthread_mutex_unlock(&hub->lock);
}

static struct batch *batch_create(struct hub *hub, struct event *const *events, size_t count)
{
	struct batch *batch = mem_alloc(sizeof(*batch) + count * sizeof(struct event *));

	*batch = (struct batch){.task = {.run = take_batch}, .hub = hub, .count = count};
	for (size_t i = 0; i < count; i++) {
		batch->events[i] = event_ref(events[i]);
		batch->bytes += events[i]->size;
	}
	return batch;
}

/* True: batch->bytes are counted, it may be posted. */
static bool wait_for_room(struct hub *hub, size_t bytes)
{
	bool go;

	pthread_mutex_lock(&hub->lock);
	while (!hub->stopping && hub->waiting_bytes &&
		hub->waiting_bytes + bytes > hub->config->inbox_bytes)
		pthread_cond_wait(&hub->taken, &hub->lock);
	go = !hub->stopping;
	hub->waiting_bytes += go ? bytes : 0;
	pthread_mutex_unlock(&hub->lock);
	return go;
}

bool hub_deliver(struct hub *hub, struct event *const *events, size_t count)
{
	struct batch *batch;

	if (!count)
		return true;
	batch = batch_create(hub, events, count);
	if (!wait_for_room(hub, batch->bytes)) {
		batch_free(batch);
		return false;
	}
	shared_raise_head(hub->shared, events[count - 1]->journal, events[count - 1]->id);
	inbox_post(&hub->inbox, &batch->task);
	return true;
}

static void connect_waiting(struct hub *hub)
{
	struct session *session;
	struct walk walk;

	if (!hub->waiting || !hub->live)
		return;
	walk_begin(hub, &walk);
	while ((session = walk_next(&walk)))
		if (session->state == SESSION_WAITING && !session->reading)
			session_connect(session);
	walk_end(hub, &walk);
}

static void go_live(struct hub *hub, const struct source_position *head)
{
	/* Another journal; or capture goes on beyond our head, so that events between are not to be had. */
	if (strcmp(head->journal, hub->journal) != 0 || head->id > tail_head(&hub->tail)) {
		begin_journal(hub, head->journal, head->id);
	} else if (head->holes.count > hub->holes.count) {
		ingest_settle(hub);
		flush(hub);
		close_connected(hub);
	}
	hub->holes = head->holes;
}

static void change_capture(struct task *task)
{
	struct capture_change *change = (struct capture_change *)task;
	struct hub *hub = change->hub;

	hub->live = change->live;
	if (change->live)
		go_live(hub, &change->head);
	free(change);
}

static void post_change(struct hub *hub, bool live, const struct source_position *head)
{
	struct capture_change *change = mem_zero(1, sizeof(*change));

	change->task.run = change_capture;
	change->hub = hub;
	change->live = live;
	if (head)
		change->head = *head;
	inbox_post(&hub->inbox, &change->task);
}

void hub_live(struct hub *hub, const struct source_position *head)
{
	shared_raise_head(hub->shared, head->journal, head->id);
	post_change(hub, true, head);
}

void hub_away(struct hub *hub)
{
	post_change(hub, false, NULL);
}

/* -- the thread's own -- */

void hub_turn(struct hub *hub)
{
	hub->now = clock_ms();
	inbox_run(&hub->inbox);
	flush(hub);
	consumes_go_on(hub);
	connect_waiting(hub);
	drain_step(hub);
}

size_t hub_session_count(const struct hub *hub)
{
	return hub->count;
}

struct inbox *hub_inbox(struct hub *hub)
{
	return &hub->inbox;
}

const struct hub_config *hub_config(const struct hub *hub)
{
	return hub->config;
}

void hub_on_shown(struct hub *hub, hub_shown_fn *fn, void *context)
{
	hub->shown = fn;
	hub->shown_context = context;
}
