/* The source thread: opens the source, fetches, hands on, and after a failure closes, backs off and
 * opens again. */
#ifndef ESINK_PUMP_H
#define ESINK_PUMP_H

#include <stdbool.h>

#include "esink/source.h"

/* All called on the source thread. */
struct pump_callbacks {
	void *context;
	/* Capture runs from this position on; called after every successful open, before its first
	 * events, and again whenever there is one more hole. Readers whose position lies in the same journal at or below head lose nothing. */
	void (*live)(void *context, const struct source_position *head);
	/* Capture has stopped; reason is one sentence for /ready. */
	void (*away)(void *context, const char *reason);
	/* In order, without a gap. May block for as long as the readers are behind. References stay
	 * the pump's: take your own. False: stopping. */
	bool (*events)(void *context, struct event *const *events, size_t count);
	/* The configuration does not fit the database, found before the first success: the process
	 * should end with exit status 3 and this sentence. The pump's thread ends after this call.
	 */
	void (*fatal)(void *context, enum status status, const char *reason);
};

struct pump;
/* ops, source and callbacks->context are borrowed. stop_fd is the eventfd that
 * source_config.stop_fd names: pump_stop() makes it readable. idle_ms: how long one fetch may wait.
 */
struct pump *pump_create(const struct source_ops *ops, void *source,
	const struct pump_callbacks *callbacks, int stop_fd, int idle_ms);
void pump_start(struct pump *pump);
void pump_stop(struct pump *pump); /* asks, and waits until the thread has closed the source; NULL
				      or not started: fine */
void pump_destroy(struct pump *pump); /* stops first */

#endif
