/* Why what TABLE_NAMES and the rules name cannot be watched as they say: a status, and a sentence for the user in *err. The catalogue
 * (catalog.h) decides whether that ends the start or leaves a table out. On the connection's thread; only complaint_table() may
 * block, to look for a name that is close to one that is not there. */
#ifndef ESINK_PG_COMPLAINT_H
#define ESINK_PG_COMPLAINT_H

#include <stdbool.h>

#include "source/postgres/catalog.h"

/* Of what a name means: its schema, and its pg_class.relkind; schema NULL: nothing has that name. STATUS_OK: it can be watched. */
enum status complaint_table(struct pg *pg, const struct table_name *name, const char *schema, char kind, struct err *err) MUST_CHECK;
/* Of our rights to a table and to its schema, both quoted. STATUS_OK: there are those that a trigger needs. */
enum status complaint_rights(struct pg *pg, const char *table, bool may_trigger, const char *schema, bool may_use, struct err *err) MUST_CHECK;
/* member, quoted, belongs to table as well, which is named too. */
enum status complaint_twice(const char *member, const struct pg_table *table, struct err *err);
/* A rule names a column that table has not: table->rule.missing. */
enum status complaint_column(const struct pg_table *table, struct err *err);

#endif
