/* The source thread. Everything that a driver does for capture happens here, straight-line and
 * blocking.
 *
 * Back-off: 100 ms, doubling to 5 s, each with jitter, so that many relays do not come back to a
 * restarted database in one instant; a fetch that worked sets it back.
 */
#include "source/pump.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

struct pump {
	const struct source_ops *ops;
	void *source;
	struct pump_callbacks callbacks;
	int stop_fd, idle_ms;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	bool ever_open;
	bool left; /* closed for good */
	int backoff_ms;
	char last_reason[512]; /* logged once, not at every try */
};

struct pump *pump_create(const struct source_ops *ops, void *source,
	const struct pump_callbacks *callbacks, int stop_fd, int idle_ms)
{
	struct pump *pump = mem_zero(1, sizeof(*pump));

	pump->ops = ops;
	pump->source = source;
	pump->callbacks = *callbacks;
	pump->stop_fd = stop_fd;
	pump->idle_ms = idle_ms;
	pump->backoff_ms = BACKOFF_MIN_MS;
	return pump;
}

static bool is_fatal(enum status status)
{
	return status == STATUS_INVALID || status == STATUS_NOT_FOUND || status == STATUS_DENIED;
}

static void away(struct pump *pump, const struct err *err)
{
	if (atomic_load(&pump->stop))
		return;
	if (!span_is(span_of(err->text), pump->last_reason)) {
		log_warn("source", "capture is away, trying again: %s", err->text);
		snprintf(pump->last_reason, sizeof(pump->last_reason), "%s", err->text);
	}
	pump->callbacks.away(pump->callbacks.context, err->text);
}

static void back_off(struct pump *pump)
{
	struct pollfd fd = {pump->stop_fd, POLLIN, 0};
	unsigned short jitter;

	random_bytes(&jitter, sizeof(jitter));
	poll(&fd, 1, pump->backoff_ms / 2 + jitter % pump->backoff_ms);
	pump->backoff_ms =
		pump->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : pump->backoff_ms * 2;
}

/* Before the events of the same fetch: who has seen them would count as one who came later. */
static void tell_holes(struct pump *pump, struct source_position *head, const struct source_holes *holes)
{
	if (holes->count <= head->holes.count)
		return;
	head->holes = *holes;
	pump->callbacks.live(pump->callbacks.context, head);
}

/* Fetches until something fails or we stop. */
static enum status fetch_all(struct pump *pump, struct source_position *head, struct err *err)
{
	struct event_batch batch = {0};
	enum status status = STATUS_OK;

	while (status == STATUS_OK && !atomic_load(&pump->stop)) {
		status = pump->ops->fetch(pump->source, pump->idle_ms, &batch, err);
		if (status == STATUS_OK)
			pump->backoff_ms = BACKOFF_MIN_MS;
		tell_holes(pump, head, &batch.holes);
		if (batch.count &&
			!pump->callbacks.events(pump->callbacks.context, batch.events, batch.count))
			status = STATUS_STOPPED;
		event_batch_clear(&batch);
	}
	event_batch_finish(&batch);
	return status;
}

static enum status run_once(struct pump *pump, struct err *err)
{
	struct source_position head = {.id = 0};
	enum status status = pump->ops->open(pump->source, &head, err);

	if (status != STATUS_OK)
		return status;
	pump->ever_open = true;
	pump->last_reason[0] = 0;
	log_info("source", "capture is live: %s, journal %s, event %llu", pump->ops->name,
		head.journal, (unsigned long long)head.id);
	pump->callbacks.live(pump->callbacks.context, &head);
	status = fetch_all(pump, &head, err);
	pump->left = atomic_load(&pump->stop);
	pump->ops->close(pump->source);
	return status;
}

static void *run(void *opaque)
{
	struct pump *pump = opaque;

	while (!atomic_load(&pump->stop)) {
		struct err err = {""};
		enum status status = run_once(pump, &err);

		if (atomic_load(&pump->stop))
			break;
		if (is_fatal(status) && !pump->ever_open) {
			pump->callbacks.fatal(pump->callbacks.context, status, err.text);
			break;
		}
		away(pump, &err);
		back_off(pump);
	}
	/* The stop came while capture was away: the source has not been closed as one that goes for good. */
	if (pump->ever_open && !pump->left)
		pump->ops->close(pump->source);
	return NULL;
}

void pump_start(struct pump *pump)
{
	pump->running = pthread_create(&pump->thread, NULL, run, pump) == 0;
	if (!pump->running)
		log_error("source", "no thread for capture");
}

void pump_stop(struct pump *pump)
{
	uint64_t one = 1;

	if (!pump)
		return;
	atomic_store(&pump->stop, true);
	if (write(pump->stop_fd, &one, sizeof(one)) < 0)
		log_debug("source", "stopping twice");
	if (pump->running)
		pthread_join(pump->thread, NULL);
	pump->running = false;
}

void pump_destroy(struct pump *pump)
{
	pump_stop(pump);
	free(pump);
}
