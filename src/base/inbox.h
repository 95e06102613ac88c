/* Hand-over to a thread: any thread posts tasks, the owner runs them in order of posting. A task is embedded in whatever it
 * is about; the inbox allocates nothing and so has no bound of its own: whoever posts is bounded (one task per session,
 * per job, per batch). */
#ifndef ESINK_INBOX_H
#define ESINK_INBOX_H

#include <pthread.h>
#include <stdbool.h>

struct task {
	struct task *next;
	void (*run)(struct task *task); /* owns the task from then on */
};

struct inbox {
	pthread_mutex_t lock;
	struct task *first, **last;
	void (*wake)(void *context); /* called when it was empty, outside the lock, on the poster's thread */
	void *context;
};

void inbox_init(struct inbox *inbox, void (*wake)(void *), void *context);
void inbox_finish(struct inbox *inbox); /* must be empty: run it once more first */
void inbox_post(struct inbox *inbox, struct task *task);
bool inbox_run(struct inbox *inbox); /* owner's thread: runs what is there now; true if anything was */

#endif
