/* A map from reference to receipt, under one lock; jobs are done outside it. */
#include "source/receipts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"

struct receipt {
	struct publish_job *job;
	int64_t deadline;
	size_t hubs; /* that have not shown it yet */
	bool written;
};

struct receipts {
	pthread_mutex_t lock;
	struct map by_ref;
	size_t hub_count;
};

struct receipts *receipts_create(size_t hub_count)
{
	struct receipts *receipts = mem_zero(1, sizeof(*receipts));

	pthread_mutex_init(&receipts->lock, NULL);
	receipts->hub_count = hub_count;
	return receipts;
}

void receipts_destroy(struct receipts *receipts)
{
	if (!receipts)
		return;
	map_finish(&receipts->by_ref);
	pthread_mutex_destroy(&receipts->lock);
	free(receipts);
}

static struct receipt *find(struct receipts *receipts, struct span ref)
{
	return map_get(&receipts->by_ref, hash_bytes(ref.p, ref.len), ref);
}

/* Takes it out and returns its job to be done, with the lock held; the receipt is gone. */
static struct publish_job *take(
	struct receipts *receipts, struct receipt *receipt, enum status status)
{
	struct publish_job *job = receipt->job;
	struct span ref = span_of(job->item.ref);

	map_remove(&receipts->by_ref, hash_bytes(ref.p, ref.len), ref);
	free(receipt);
	job->status = status;
	return job;
}

void receipts_expect(struct receipts *receipts, struct publish_job *job, int64_t deadline)
{
	struct receipt *receipt = mem_zero(1, sizeof(*receipt));
	struct span ref = span_of(job->item.ref);

	*receipt = (struct receipt){job, deadline, receipts->hub_count, false};
	pthread_mutex_lock(&receipts->lock);
	map_put(&receipts->by_ref, hash_bytes(ref.p, ref.len), ref, receipt);
	pthread_mutex_unlock(&receipts->lock);
}

void receipts_written(struct receipts *receipts, struct publish_job *job, enum status status,
	const struct err *err)
{
	struct publish_job *done = NULL;
	struct receipt *receipt;

	pthread_mutex_lock(&receipts->lock);
	receipt = find(receipts, span_of(job->item.ref));
	receipt->written = true;
	job->err = *err;
	if (status != STATUS_OK)
		done = take(receipts, receipt, status);
	else if (receipt->hubs == 0)
		done = take(receipts, receipt, STATUS_OK);
	pthread_mutex_unlock(&receipts->lock);
	if (done)
		done->done(done);
}

static void add_sessions(struct publish_job *job, char *const *session_ids, size_t count)
{
	job->sent_to =
		mem_resize(job->sent_to, (job->sent_to_count + count) * sizeof(*job->sent_to));
	for (size_t i = 0; i < count; i++)
		job->sent_to[job->sent_to_count++] = mem_text(session_ids[i]);
}

void receipts_shown(struct receipts *receipts, const struct event *event, char *const *session_ids,
	size_t count)
{
	struct publish_job *done = NULL;
	struct receipt *receipt;

	pthread_mutex_lock(&receipts->lock);
	receipt = find(receipts, event->ref);
	if (receipt && receipt->hubs) {
		receipt->job->id = event->id;
		if (count)
			add_sessions(receipt->job, session_ids, count);
		if (--receipt->hubs == 0 && receipt->written)
			done = take(receipts, receipt, STATUS_OK);
	}
	pthread_mutex_unlock(&receipts->lock);
	if (done)
		done->done(done);
}

/* One that is past its deadline, or NULL. Not while its write is under way: the lane still holds
 * the job. */
static struct publish_job *take_expired(struct receipts *receipts, int64_t now)
{
	struct receipt *receipt;
	size_t at = 0;

	while ((receipt = map_next(&receipts->by_ref, &at)))
		if (receipt->written && receipt->deadline <= now)
			return take(receipts, receipt, STATUS_TIMEOUT);
	return NULL;
}

bool receipts_sweep(struct receipts *receipts, int64_t now)
{
	struct publish_job *job;
	bool waiting;

	do {
		pthread_mutex_lock(&receipts->lock);
		job = take_expired(receipts, now);
		waiting = receipts->by_ref.count > 0;
		pthread_mutex_unlock(&receipts->lock);
		if (job)
			job->done(job);
	} while (job);
	return waiting;
}
