/* What fails again and again, as the look-ups of every session do while the database is away: a line of the log for each reason,
 * not for each failure, one when it works again, and what to complain of where nothing else came of it for a while, whatever the
 * reason (a right that was taken away, a table that is gone, a server that has no connection left or does not answer). Any thread.
 */
#ifndef ESINK_FAILURES_H
#define ESINK_FAILURES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "esink/status.h"

#define FAILURES_SETTLED_MS 1000 /* without a failure: it works again */
#define FAILURES_LAST_MS 5000    /* a table that is swapped for another one is soon back, a server that begins anew, too */
#define FAILURES_REASONS 4       /* remembered, of one run */
#define FAILURES_MORE_MS 10000   /* between what is said beyond them: each failure may have a reason of its own */
#define FAILURES_FORGET_MS 60000 /* without a failure: nobody may have asked since, but this is another run */

struct failures {
	pthread_mutex_t lock;
	uint64_t count;  /* since it worked; 0: it works */
	int64_t last;    /* ms, monotonic: of the last one */
	bool worked;     /* since the last one */
	int64_t since;   /* ms, monotonic: the first one after which nothing worked; 0: it works */
	struct err said[FAILURES_REASONS], newest;
	int64_t said_at; /* ms, monotonic: the last one */
	unsigned next;
};

void failures_init(struct failures *failures);
void failures_finish(struct failures *failures);
/* One more. True: for a reason that was not said yet, and is to be. */
bool failures_add(struct failures *failures, int64_t now, const struct err *why);
/* It worked this time. Ends nothing yet: what works now and then would be two lines each time. */
void failures_worked(struct failures *failures);
/* How many there were, once it works again; 0: it did before, or still does not. */
uint64_t failures_settled(struct failures *failures, int64_t now);
/* Whether time alone may change what failures_settled() says. */
bool failures_pending(struct failures *failures);
/* Whether it has not worked since the first one, of however long ago. */
bool failures_go_on(struct failures *failures);
/* What to say where that has lasted: the newest reason; "" when there is nothing. */
void failures_complaint(struct failures *failures, int64_t now, struct err *complaint);

#endif
