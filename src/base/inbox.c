/* A mutex, a list, and a wake-up when the list was empty. */
#include "base/inbox.h"

#include <stddef.h>

void inbox_init(struct inbox *inbox, void (*wake)(void *), void *context)
{
	pthread_mutex_init(&inbox->lock, NULL);
	inbox->first = NULL;
	inbox->last = &inbox->first;
	inbox->wake = wake;
	inbox->context = context;
}

void inbox_finish(struct inbox *inbox)
{
	pthread_mutex_destroy(&inbox->lock);
}

void inbox_post(struct inbox *inbox, struct task *task)
{
	bool was_empty;

	task->next = NULL;
	pthread_mutex_lock(&inbox->lock);
	was_empty = !inbox->first;
	*inbox->last = task;
	inbox->last = &task->next;
	pthread_mutex_unlock(&inbox->lock);
	if (was_empty && inbox->wake)
		inbox->wake(inbox->context);
}

bool inbox_run(struct inbox *inbox)
{
	struct task *task;

	pthread_mutex_lock(&inbox->lock);
	task = inbox->first;
	inbox->first = NULL;
	inbox->last = &inbox->first;
	pthread_mutex_unlock(&inbox->lock);
	if (!task)
		return false;
	while (task) {
		struct task *next = task->next;

		task->run(task);
		task = next;
	}
	return true;
}
