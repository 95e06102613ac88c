/* Columns that were withheld stay so under other names. */
#ifndef ESINK_SQLITE_RECALL_H
#define ESINK_SQLITE_RECALL_H

#include "base/buf.h"
#include "source/sqlite/catalog.h"

/* After the rules were bound: withholds what the table's guard trigger says was withheld before it was renamed. */
enum status lite_recall_withheld(struct db *db, const struct catalog *catalog, struct lite_table *table, struct err *err) MUST_CHECK;
/* The guard trigger of the table's withheld columns; NULL: it needs none. malloc'ed. */
char *lite_recall_trigger(const struct lite_table *table, const char *name);
/* Names the first column that is withheld for its old name, for /ready. */
void lite_recall_complaint(const struct catalog *catalog, struct err *complaint);

#endif
