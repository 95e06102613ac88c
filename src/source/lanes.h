/* Five threads with a database connection each, so that none waits for another: look-ups, writes,
 * reads, history, consumers. A lane takes jobs from a bounded queue, first come first served; writes that wait are
 * committed together, and when such a group fails its members are tried singly.
 *
 * A publication is done only when its event came back through capture with an id and every hub has
 * shown it: lanes_shown() tells. One that is not confirmed within confirm_ms ends with
 * STATUS_TIMEOUT; it may have been stored all the same.
 */
#ifndef ESINK_LANES_H
#define ESINK_LANES_H

#include <stdbool.h>
#include <stddef.h>

#include "esink/source.h"

struct lanes_config {
	size_t max_lookups, max_writes, max_reads; /* jobs that may wait */
	size_t max_group;                          /* writes committed together */
	int confirm_ms;
	bool table_only;  /* there are no tokens but those of the table */
	size_t hub_count; /* lanes_shown() calls that complete a publication */
};

struct lanes;
struct lanes *lanes_create(
	const struct source_ops *ops, void *source, const struct lanes_config *config);
void lanes_start(struct lanes *lanes);
/* Ends the threads; what waits is done with STATUS_UNAVAILABLE. The source's stop_fd must be
 * readable by then. NULL is fine. */
void lanes_stop(struct lanes *lanes);
void lanes_destroy(struct lanes *lanes); /* stops first */

/* For struct services: context is the lanes. Any thread. False: the queue is full, or stopping. */
bool lanes_lookup(void *lanes, struct lookup_job *job);
bool lanes_publish(void *lanes, struct publish_job *job);
bool lanes_read(void *lanes, struct read_job *job);
bool lanes_history(void *lanes, struct history_job *job);
bool lanes_consume(void *lanes, struct consumer_job *job);

/* For /ready: why look-ups fail, for a while now and whatever the token, where nobody can come in otherwise; "" when they do
 * not. Publications that fail are not among it: whoever publishes is told each time, and who listens misses nothing. Any thread. */
void lanes_complaint(void *lanes, struct err *complaint);

/* For hub_on_shown(): this hub has shown a published event to these sessions. Any thread. */
void lanes_shown(void *lanes, const struct event *event, char *const *session_ids, size_t count);

#endif
