/* A schema esink of which somebody dropped parts. While a table or sequence that triggers use is missing, every write to a
 * watched table fails, so nothing is gained by keeping the rest. Half a schema is also what a restore makes on its way: that
 * must be left alone until it is whole. */
#ifndef ESINK_PG_MEND_H
#define ESINK_PG_MEND_H

#include <stdbool.h>

#include "source/postgres/connection.h"

/* STATUS_UNAVAILABLE while pg_restore is connected to this database: whatever we made would stand in its way. */
enum status mend_no_restore(struct pg *pg, struct err *err) MUST_CHECK;

/* Is this schema the one that was opened, with the same journal? STATUS_UNAVAILABLE: a restore has put another in its place, which
 * has to be opened as such. */
enum status mend_same_schema(struct pg *pg, const char *journal, struct err *err) MUST_CHECK;

/* Where a table, view or sequence of this version's schema is missing, drops all of it: *there is false then, and a new one with
 * a new journal can be made. Where a function is missing, has them made again. Both only when nothing else changes for a while;
 * STATUS_UNAVAILABLE: something did, look again later. A schema of another version is left alone. */
enum status mend_schema(struct pg *pg, bool *there, struct err *err) MUST_CHECK;

#endif
