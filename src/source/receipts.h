/* Publications that were asked for and whose events have not come back yet, by their reference. A
 * receipt is complete when the write has ended and each hub has shown the event; the event may well
 * come back before the write's own answer does. Any thread. */
#ifndef ESINK_RECEIPTS_H
#define ESINK_RECEIPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esink/source.h"

struct receipts;
struct receipts *receipts_create(size_t hub_count);
void receipts_destroy(struct receipts *receipts); /* sweep everything first */

/* Before the write: from now on the event may be shown. deadline: ms, monotonic. */
void receipts_expect(struct receipts *receipts, struct publish_job *job, int64_t deadline);
/* The write's end. A failure is told at once; after success the receipt waits for its hubs. */
void receipts_written(struct receipts *receipts, struct publish_job *job, enum status status,
	const struct err *err);
void receipts_shown(struct receipts *receipts, const struct event *event, char *const *session_ids,
	size_t count);
/* Ends those that are past their deadline with STATUS_TIMEOUT. True when some still wait. */
bool receipts_sweep(struct receipts *receipts, int64_t now);

#endif
