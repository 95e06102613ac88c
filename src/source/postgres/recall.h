/* Columns that stay withheld under another name. */
#ifndef ESINK_PG_RECALL_H
#define ESINK_PG_RECALL_H

#include "base/buf.h"
#include "source/postgres/catalog.h"

/* Appends the comment line that says which columns of the table are not sent. */
void recall_write(struct buf *text, const struct pg_table *table);
/* Withholds what the installed function (its body; NULL: none) withheld, if today's rules still withhold the name of then: by
 * number where it is the table's own, else by the name of when it was made. Where a FILTERS column is missing and nothing is known,
 * everything. */
void recall_withheld(
	const struct pg_catalog *catalog, const struct pg_table *table, const char *body, bool own);
/* Says in complaint, if nothing else does, that a column is withheld under a new name. */
void recall_complaint(const struct pg_catalog *catalog, struct err *complaint);

#endif
