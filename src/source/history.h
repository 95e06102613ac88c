/* Answers questions about the past (esink/history.h), straight-line on a lane. */
#ifndef ESINK_SOURCE_HISTORY_H
#define ESINK_SOURCE_HISTORY_H

#include "esink/source.h"

/* Fills in the job's answer; also STATUS_STOPPED. */
void history_run(const struct source_ops *ops, void *lane, struct history_job *job);

#endif
