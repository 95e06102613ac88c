/* What consumers are (esink/consumer.h), in terms of what a driver keeps of them; straight-line, on a lane. */
#ifndef ESINK_SOURCE_CONSUMER_H
#define ESINK_SOURCE_CONSUMER_H

#include "esink/source.h"

/* Fills in the job's answer. */
void consumer_run(const struct source_ops *ops, void *lane, struct consumer_job *job);

#endif
