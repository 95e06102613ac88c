/* Columns that were withheld and may have another name by now. */
#ifndef ESINK_MYSQL_RECALL_H
#define ESINK_MYSQL_RECALL_H

#include "source/mysql/catalog.h"
#include "source/mysql/rows.h"

/* Whether it has a trigger of ours now. STATUS_TOO_MANY: the server passes over it, as it is being altered. */
enum status my_recall_is_ours(struct my_db *db, const struct my_table *table, bool *ret, struct err *err) MUST_CHECK;
/* After the rules were bound: withholds what may be a withheld column under another name, by comparing with the columns that
 * the table had when its triggers were made last. */
enum status my_recall_withheld(struct my_db *db, struct my_table *table, const struct my_rows *shapes, struct err *complaint,
	struct err *err) MUST_CHECK;

#endif
