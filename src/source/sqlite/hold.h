/* What consumers still need of the journal. On capture's connection. */
#ifndef ESINK_SQLITE_HOLD_H
#define ESINK_SQLITE_HOLD_H

#include "source/sqlite/sqlite.h"

/* SQL: the events above it are needed; NULL: none is. Aggregates over nothing else. */
#define LITE_HELD "(SELECT min(CASE WHEN c.journal = m.journal THEN c.cursor ELSE 0 END) FROM esink_consumer c, esink_meta m WHERE NOT c.dropped)"
/* SQL: where a cursor begins in this journal. */
#define LITE_START "(SELECT coalesce(min(id), 1) - 1 FROM esink_event)"

/* Drops those that were silent for too long. STATUS_UNAVAILABLE: somebody writes. */
enum status lite_hold_drop_silent(struct sqlite *source, struct err *err) MUST_CHECK;
/* Cursors of another journal, or ahead of this one, begin at its start. */
enum status lite_hold_settle(struct sqlite *source, struct err *err) MUST_CHECK;

#endif
