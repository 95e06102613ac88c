/* Columns that were withheld stay so under other names. */
#ifndef ESINK_SQLITE_RECALL_H
#define ESINK_SQLITE_RECALL_H

#include "base/buf.h"
#include "source/sqlite/catalog.h"

/* What the file remembers of all tables, before any is bound: a look at the whole schema for each would take a thousand tables seconds. */
enum status lite_recall_load(struct db *db, struct catalog *catalog, struct err *err) MUST_CHECK;
void lite_recall_finish(struct catalog *catalog);
/* After the rules were bound: withholds what the table's guard trigger says was withheld before it was renamed. */
void lite_recall_withheld(const struct catalog *catalog, struct lite_table *table);
/* The guard trigger of the table's withheld columns; NULL: it needs none. malloc'ed. */
char *lite_recall_trigger(const struct lite_table *table, const char *name);
/* Names the first column that is withheld for its old name, for /ready. */
void lite_recall_complaint(const struct catalog *catalog, struct err *complaint);

#endif
