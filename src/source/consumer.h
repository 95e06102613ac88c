/* What a consumer asks, answered on the consumers' lane. */
#ifndef ESINK_SOURCE_CONSUMER_H
#define ESINK_SOURCE_CONSUMER_H

#include "esink/source.h"

struct consumer_memory; /* consumer_memory.h */

/* Fills in the job's answer; does not call done(). */
void consumer_run(struct consumer_memory *memory, const struct source_ops *ops, void *lane, struct consumer_job *job);

#endif
