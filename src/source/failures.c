/* A run of failures, from the first one until it has worked for a second; see failures.h. */
#include "source/failures.h"

#include <string.h>

#include "esink/span.h"

void failures_init(struct failures *failures)
{
	*failures = (struct failures){.count = 0};
	pthread_mutex_init(&failures->lock, NULL);
}

void failures_finish(struct failures *failures)
{
	pthread_mutex_destroy(&failures->lock);
}

/* Under the lock. Reasons may take turns: a server that starts, and then is full. */
static bool is_new(struct failures *failures, int64_t now, const struct err *why)
{
	for (unsigned i = 0; i < FAILURES_REASONS; i++)
		if (!strcmp(failures->said[i].text, why->text))
			return false;
	if (failures->next >= FAILURES_REASONS && now - failures->said_at < FAILURES_MORE_MS)
		return false;
	failures->said[failures->next++ % FAILURES_REASONS] = *why;
	failures->said_at = now;
	return true;
}

/* Under the lock. */
static void forget_reasons(struct failures *failures)
{
	memset(failures->said, 0, sizeof(failures->said));
	failures->next = 0;
}

bool failures_add(struct failures *failures, int64_t now, const struct err *why)
{
	bool fresh;

	pthread_mutex_lock(&failures->lock);
	if (now - failures->last >= FAILURES_FORGET_MS)
		forget_reasons(failures);
	fresh = is_new(failures, now, why) || !failures->count;
	failures->count++;
	failures->last = now;
	failures->worked = false;
	if (!failures->since)
		failures->since = now;
	failures->newest = *why;
	pthread_mutex_unlock(&failures->lock);
	return fresh;
}

void failures_worked(struct failures *failures)
{
	pthread_mutex_lock(&failures->lock);
	failures->since = 0;
	failures->worked = true;
	pthread_mutex_unlock(&failures->lock);
}

uint64_t failures_settled(struct failures *failures, int64_t now)
{
	uint64_t count = 0;

	pthread_mutex_lock(&failures->lock);
	if (failures->count && failures->worked && now - failures->last >= FAILURES_SETTLED_MS) {
		count = failures->count;
		failures->count = 0;
		forget_reasons(failures);
	}
	pthread_mutex_unlock(&failures->lock);
	return count;
}

bool failures_pending(struct failures *failures)
{
	bool pending;

	pthread_mutex_lock(&failures->lock);
	pending = failures->count && failures->worked;
	pthread_mutex_unlock(&failures->lock);
	return pending;
}

bool failures_go_on(struct failures *failures)
{
	bool go_on;

	pthread_mutex_lock(&failures->lock);
	go_on = failures->since > 0;
	pthread_mutex_unlock(&failures->lock);
	return go_on;
}

void failures_complaint(struct failures *failures, int64_t now, struct err *complaint)
{
	complaint->text[0] = 0;
	pthread_mutex_lock(&failures->lock);
	if (failures->since && now - failures->since >= FAILURES_LAST_MS)
		*complaint = failures->newest;
	pthread_mutex_unlock(&failures->lock);
}
