/* A schema esink of which somebody dropped parts. While a table or sequence that triggers use is missing, every write to a
 * watched table fails, so nothing is gained by keeping the rest. */
#ifndef ESINK_PG_MEND_H
#define ESINK_PG_MEND_H

#include <stdbool.h>

#include "source/postgres/connection.h"

/* Where a table or sequence of this version's schema is missing, drops all of it: *there is false then, and a new one with a
 * new journal can be made. Where a function is missing, has them made again. A schema of another version is left alone. */
enum status mend_schema(struct pg *pg, bool *there, struct err *err) MUST_CHECK;

#endif
