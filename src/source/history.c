/* TODO(seam): filled in by the history work. */
#include "source/history.h"

#include <stdlib.h>

void history_run(const struct source_ops *ops, void *lane, struct history_job *job)
{
	(void)ops;
	(void)lane;
	job->status = STATUS_UNAVAILABLE;
}

void history_job_free(struct history_job *job)
{
	if (!job)
		return;
	for (size_t i = 0; i < job->count; i++)
		event_unref(job->entries[i].event);
	free(job->entries);
	free(job->table);
	free(job->type);
	free(job->transaction_id);
	free(job->user);
	free(job);
}
