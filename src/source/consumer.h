/* What a consumer asks, answered on the consumers' lane. */
#ifndef ESINK_SOURCE_CONSUMER_H
#define ESINK_SOURCE_CONSUMER_H

#include "esink/source.h"

/* What the lane remembers from one job to the next: patterns that are compiled already, and when this relay last noted that a
 * consumer was heard of. Nothing is lost with it. */
struct consumer_memory;
struct consumer_memory *consumer_memory_create(void);
void consumer_memory_destroy(struct consumer_memory *memory); /* NULL is fine */

/* Fills in the job's answer; does not call done(). */
void consumer_run(struct consumer_memory *memory, const struct source_ops *ops, void *lane, struct consumer_job *job);

#endif
