/* Copies the log into the database's file, beside capture and beside the writers. */
#ifndef ESINK_SQLITE_CHECKPOINT_H
#define ESINK_SQLITE_CHECKPOINT_H

#include <pthread.h>

#include "source/sqlite/db.h"

/* Used by capture's thread; zeroed, it is one that was not started. */
struct checkpoint {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	bool started, wanted, ended; /* the last two, and running, under the lock */
	sqlite3 *running;            /* the connection while it copies */
	struct db db;                /* the thread's own connection */
};

/* path is borrowed until lite_checkpoint_finish(). Where no thread or no connection is to be had nothing is copied, which costs the
 * writers time and nothing else. */
void lite_checkpoint_start(struct checkpoint *checkpoint, const char *path);
/* Breaks off a copy that has begun. */
void lite_checkpoint_finish(struct checkpoint *checkpoint);
/* Copies once, as far as no reader and no writer is in the way. Returns at once. */
void lite_checkpoint_ask(struct checkpoint *checkpoint);

#endif
