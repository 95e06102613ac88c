/* A flag and a sentence under a lock; see readiness.h. The source is asked for its complaint outside the lock: it has one of
 * its own.
 */
#include "app/readiness.h"

void readiness_init(struct readiness *readiness)
{
	*readiness = (struct readiness){.reason = {"starting: the database was not reached yet"}};
	pthread_mutex_init(&readiness->lock, NULL);
}

void readiness_finish(struct readiness *readiness)
{
	pthread_mutex_destroy(&readiness->lock);
}

void readiness_watch(struct readiness *readiness, const struct source_ops *ops, void *source)
{
	readiness->ops = ops;
	readiness->source = source;
}

void readiness_watch_also(struct readiness *readiness, void (*complaint)(void *context, struct err *err), void *context)
{
	readiness->complaint = complaint;
	readiness->context = context;
}

void readiness_live(struct readiness *readiness)
{
	pthread_mutex_lock(&readiness->lock);
	readiness->live = true;
	pthread_mutex_unlock(&readiness->lock);
}

void readiness_away(struct readiness *readiness, const char *reason)
{
	pthread_mutex_lock(&readiness->lock);
	readiness->live = false;
	err_set(&readiness->reason, STATUS_UNAVAILABLE, "%s", reason);
	pthread_mutex_unlock(&readiness->lock);
}

void readiness_stopping(struct readiness *readiness)
{
	pthread_mutex_lock(&readiness->lock);
	readiness->stopping = true;
	pthread_mutex_unlock(&readiness->lock);
}

bool readiness_ask(void *context, struct err *reason)
{
	struct readiness *readiness = context;
	bool live;

	reason->text[0] = 0;
	pthread_mutex_lock(&readiness->lock);
	live = readiness->live && !readiness->stopping;
	if (!live)
		err_set(reason, STATUS_UNAVAILABLE, "%s", readiness->stopping ? "shutting down" : readiness->reason.text);
	pthread_mutex_unlock(&readiness->lock);
	if (live && readiness->ops && readiness->ops->complaint)
		readiness->ops->complaint(readiness->source, reason);
	if (live && readiness->complaint && !reason->text[0])
		readiness->complaint(readiness->context, reason);
	return live && !reason->text[0];
}
