/* What travels between the network threads and the consumers' lane, and the lists that drivers fill: how they grow, and who
 * frees what.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "esink/consumer.h"

static void consumer_finish(struct consumer *consumer)
{
	free(consumer->name);
	free(consumer->topics);
	free(consumer->types);
}

static void names_free(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

void consumer_job_free(struct consumer_job *job)
{
	if (!job)
		return;
	for (size_t i = 0; i < job->state_count; i++)
		consumer_finish(&job->states[i].consumer);
	for (size_t i = 0; i < job->event_count; i++)
		event_unref(job->events[i]);
	free(job->states);
	free(job->events);
	names_free(job->subscribers);
	names_free(job->completers);
	names_free(job->skippers);
	free(job->name);
	free(job->topics);
	free(job->types);
	free(job);
}

void consumer_list_add(struct consumer_list *list, const struct consumer *consumer)
{
	mem_grow(&list->items, &list->room, list->count, sizeof(*list->items));
	list->items[list->count++] = *consumer;
}

void consumer_list_finish(struct consumer_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		consumer_finish(&list->items[i]);
	free(list->items);
	*list = (struct consumer_list){0};
}

void consumer_mark_list_add(struct consumer_mark_list *list, const struct consumer_mark *mark)
{
	mem_grow(&list->items, &list->room, list->count, sizeof(*list->items));
	list->items[list->count++] = *mark;
}

void consumer_mark_list_finish(struct consumer_mark_list *list)
{
	free(list->items);
	*list = (struct consumer_mark_list){0};
}

enum status consumer_too_many(int max, struct err *err)
{
	return err_set(err, STATUS_TOO_MANY,
		"There are %d consumers already, as many as MAX_CONSUMERS allows: delete one that is no longer needed.", max);
}
