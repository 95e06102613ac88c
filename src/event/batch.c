/* Batches of events, and the ends of the jobs that travel between hubs and lanes: they live with
 * the event because both the source and the hub, which never include each other, make and free
 * them.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "esink/source.h"

void event_batch_add(struct event_batch *batch, struct event *event)
{
	mem_grow(&batch->events, &batch->room, batch->count, sizeof(struct event *));
	batch->events[batch->count++] = event;
}

void event_batch_clear(struct event_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		event_unref(batch->events[i]);
	batch->count = 0;
}

void event_batch_finish(struct event_batch *batch)
{
	event_batch_clear(batch);
	free(batch->events);
	*batch = (struct event_batch){0};
}

void lookup_job_free(struct lookup_job *job)
{
	if (!job)
		return;
	mem_wipe_free(job->token);
	free(job->user.id);
	free(job);
}

static void publication_finish(struct publication *item)
{
	free(item->topic);
	free(item->type);
	free(item->data);
	free(item->source);
	free(item->source_type);
	free(item->user);
}

void publish_job_free(struct publish_job *job)
{
	if (!job)
		return;
	publication_finish(&job->item);
	for (size_t i = 0; i < job->sent_to_count; i++)
		free(job->sent_to[i]);
	free(job->sent_to);
	free(job);
}

void read_job_free(struct read_job *job)
{
	if (!job)
		return;
	event_batch_finish(&job->batch);
	free(job);
}
