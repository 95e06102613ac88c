/* What consumers still need of the journal. On capture's connection. */
#ifndef ESINK_MYSQL_HOLD_H
#define ESINK_MYSQL_HOLD_H

#include "source/mysql/mysql.h"

/* SQL: the greatest id that no consumer needs any more. */
#define MY_UNHELD "COALESCE((SELECT MIN(IF(c.journal = m.journal, c.`cursor`, 0)) FROM esink_consumer c JOIN esink_meta m WHERE NOT c.dropped), " \
	"9223372036854775807)"
/* SQL: where a cursor begins in this journal. */
#define MY_START "COALESCE((SELECT id - LEAST(id, events) FROM esink_journal ORDER BY id LIMIT 1), (SELECT head FROM esink_meta), 0)"

/* Drops those that were silent for too long. */
enum status my_hold_drop_silent(struct mysql *source, struct err *err) MUST_CHECK;
/* Cursors of another journal, or ahead of this one, begin at its start. */
enum status my_hold_settle(struct my_db *db, struct err *err) MUST_CHECK;
/* Of all consumers, within the transaction that begins a journal. */
enum status my_hold_begin(struct my_db *db, const char *journal, struct err *err) MUST_CHECK;

#endif
