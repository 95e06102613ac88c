/* Questions about the past, answered straight-line on a lane: where the journal stands (range), then its events in chunks
 * (read), each looked at by whoever asks: was it routed to them when it was written, does it fit what was asked?
 *
 * A page ends at its limit, at HISTORY_BYTES_MAX, or when HISTORY_SCAN_MS have passed, whatever was found by then: a user
 * with five events among a million gets them on many short pages, and nobody waits long behind that user. Chunks are larger as
 * long as they are read fast, and smaller where events were large lately, for what a driver has begun to read it reads to the end.
 *
 * A time is looked for twice. An event has its id once its transaction has committed, which may be long after its time: so
 * reading begins with the ids that were given at `since`, none of whose transactions can have committed before, and goes on to
 * the end, not to those given at `until`; of what is read the events' own times decide. Clocks differ a little between the
 * session that made the change and whatever gave it its id, which SLACK_MS allows for. A publisher's own timestamp says
 * nothing of when its event was stored: one that lies in the future is found by its id alone.
 *
 * The journal loses its oldest events meanwhile. Who asked for a time or for all gets what is left; who asked for what
 * follows an id that is no longer there is told so, because something would be missing. So is who asked for what follows an id
 * that the database did not give yet, whichever relay told it: it is of a journal before a restore, and «nothing new» would be the
 * answer for ever.
 */
#include "source/history.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

#define DAY_MS 86400000
#define SLACK_MS 5000
#define CHUNK_FIRST 1000 /* events */
#define CHUNK_MAX 2000
#define CHUNK_BYTES 4194304 /* about */
#define CHUNK_MS 10
#define TRIES 3 /* the journal may lose what was just found to be its oldest event */

static atomic_size_t typical; /* bytes of an event, lately; 0: not known yet */

struct scan {
	const struct source_ops *ops;
	void *lane;
	struct history_job *job;
	struct source_range range;
	uint64_t at, end, key; /* read up to at; nothing beyond end */
	uint64_t hash;         /* of the user */
	size_t chunk, room, bytes;
	int64_t begun;
};

/* -- which events -- */

static bool fits(struct span text, const char *wanted)
{
	return !wanted || span_is(text, wanted);
}

static bool wanted(const struct scan *scan, const struct event *event, enum event_class *class)
{
	const struct history_job *job = scan->job;

	*class = CLASS_BOTH;
	if (event->timestamp < job->since || event->timestamp > job->until || !fits(event->topic, job->table) ||
		!fits(event->transaction_id, job->transaction_id))
		return false;
	if (!job->operator && !(job->user && event_visible(event, scan->hash, span_of(job->user), class)))
		return false;
	return fits(event_type_shown(event, *class), job->type);
}

/* -- a page -- */

/* False: it does not fit into the page any more. */
static bool take(struct scan *scan, struct event *event, enum event_class class)
{
	struct history_job *job = scan->job;

	if (job->count >= job->limit || (job->count && scan->bytes + event->size > HISTORY_BYTES_MAX))
		return false;
	mem_grow(&job->entries, &scan->room, job->count, sizeof(*job->entries));
	job->entries[job->count++] = (struct history_entry){event_ref(event), class};
	scan->bytes += event->size;
	return true;
}

/* False: the page is full. */
static bool take_chunk(struct scan *scan, const struct event_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct event *event = batch->events[i];
		enum event_class class;

		if (event->id > scan->end)
			return true;
		if (wanted(scan, event, &class) && !take(scan, event, class))
			return false;
		scan->at = event->id;
		scan->key = event->key;
	}
	return true;
}

static bool wants_all(const struct history_job *job)
{
	return job->operator && !job->table && !job->type && !job->transaction_id && job->since == INT64_MIN && job->until == INT64_MAX;
}

static size_t chunk_size(const struct scan *scan)
{
	uint64_t left = scan->end - scan->at;
	size_t size = wants_all(scan->job) ? scan->job->limit - scan->job->count : scan->chunk;
	size_t large = atomic_load(&typical), fit = large ? CHUNK_BYTES / large + 1 : size;

	size = fit < size ? fit : size;
	return left < size ? (size_t)left : size;
}

static void note_size(const struct event_batch *batch)
{
	size_t bytes = 0;

	for (size_t i = 0; i < batch->count; i++)
		bytes += batch->events[i]->size;
	if (batch->count)
		atomic_store(&typical, bytes / batch->count);
}

static enum status read_chunk(struct scan *scan, bool *full, struct err *err)
{
	struct event_batch batch = {0};
	int64_t begun = clock_us();
	enum status status = scan->ops->read(scan->lane, span_of(scan->range.journal), scan->at, scan->key, chunk_size(scan), &batch, err);

	if (status == STATUS_OK && !batch.count)
		status = err_set(err, STATUS_UNAVAILABLE, "the journal gave nothing behind event %" PRIu64, scan->at);
	if (status == STATUS_OK)
		*full = !take_chunk(scan, &batch);
	note_size(&batch);
	event_batch_finish(&batch);
	if (clock_us() - begun < CHUNK_MS * 1000 / 2 && scan->chunk < CHUNK_MAX)
		scan->chunk *= 2;
	return status;
}

static enum status fill_page(struct scan *scan, struct err *err)
{
	struct history_job *job = scan->job;
	bool full = false;

	while (!full && scan->at < scan->end && job->count < job->limit) {
		enum status status = read_chunk(scan, &full, err);

		if (status != STATUS_OK)
			return status;
		if (clock_ms() - scan->begun >= HISTORY_SCAN_MS)
			break;
	}
	job->more = scan->at < scan->end;
	job->next = scan->at;
	return STATUS_OK;
}

/* -- where to begin -- */

static bool asks_for_a_time(const struct history_job *job)
{
	return job->since != INT64_MIN;
}

static bool is_beyond(const struct history_job *job)
{
	return job->has_after && job->after > job->newest;
}

static enum status begin(struct scan *scan, struct err *err)
{
	struct history_job *job = scan->job;
	int64_t since = asks_for_a_time(job) && job->since > INT64_MIN + SLACK_MS ? job->since - SLACK_MS : job->since;
	enum status status = scan->ops->range(scan->lane, since, &scan->range, err);

	if (status != STATUS_OK)
		return status;
	job->first = scan->range.floor + 1;
	job->newest = scan->range.head;
	if (job->journal[0] && strcmp(job->journal, scan->range.journal) != 0)
		return err_set(err, STATUS_CONFLICT, "the journal is another one");
	if (job->has_after && job->after && job->after < scan->range.floor)
		return err_set(err, STATUS_GONE, "the journal no longer reaches back to event %" PRIu64, job->after + 1);
	if (is_beyond(job))
		return err_set(err, STATUS_INVALID, "after lies beyond the newest event, %" PRIu64, job->newest);
	scan->at = job->has_after && job->after > scan->range.start ? job->after : scan->range.start;
	scan->end = job->before && job->before <= scan->range.head ? job->before - 1 : scan->range.head;
	return STATUS_OK;
}

static void forget(struct history_job *job)
{
	while (job->count)
		event_unref(job->entries[--job->count].event);
	free(job->entries);
	job->entries = NULL;
}

static void prepare(struct history_job *job)
{
	if (!job->has_after && !job->before && job->since == INT64_MIN && job->until == INT64_MAX)
		job->since = clock_wall_ms() - DAY_MS;
	if (!job->limit || job->limit > HISTORY_LIMIT_MAX)
		job->limit = HISTORY_LIMIT_MAX;
}

void history_run(const struct source_ops *ops, void *lane, struct history_job *job)
{
	enum status status = STATUS_GONE;

	prepare(job);
	for (int i = 0; i < TRIES && status == STATUS_GONE; i++) {
		struct scan scan = {.ops = ops, .lane = lane, .job = job, .chunk = CHUNK_FIRST, .begun = clock_ms()};

		forget(job);
		if (job->user)
			scan.hash = hash_bytes(job->user, strlen(job->user));
		status = begin(&scan, &job->err);
		if (status == STATUS_GONE)
			break;
		if (status == STATUS_OK)
			status = fill_page(&scan, &job->err);
	}
	if (status != STATUS_OK)
		forget(job);
	if (status == STATUS_GONE && !(job->has_after && job->after))
		status = STATUS_UNAVAILABLE; /* it loses them faster than we can read */
	if (status != STATUS_OK && status != STATUS_GONE && status != STATUS_CONFLICT && status != STATUS_TIMEOUT &&
		status != STATUS_STOPPED && !(status == STATUS_INVALID && is_beyond(job)))
		status = STATUS_UNAVAILABLE;
	job->status = status;
}

void history_job_free(struct history_job *job)
{
	if (!job)
		return;
	forget(job);
	free(job->table);
	free(job->type);
	free(job->transaction_id);
	free(job->user);
	free(job);
}
