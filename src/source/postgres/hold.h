/* What consumers still need of the journal (esink.held() of triggers/postgres/consumers.sql), looked after on capture's connection. */
#ifndef ESINK_PG_HOLD_H
#define ESINK_PG_HOLD_H

#include "source/postgres/postgres.h"

/* Drops those that were silent for too long. */
enum status hold_drop_silent(struct postgres *source, struct err *err) MUST_CHECK;
/* Forgets marks of events that are gone. */
enum status hold_prune_marks(struct postgres *source, struct err *err) MUST_CHECK;

#endif
