/* The statement that looks a token up. */
#ifndef ESINK_SQLITE_AUTH_TABLE_H
#define ESINK_SQLITE_AUTH_TABLE_H

#include "esink/source.h"
#include "source/sqlite/db.h"

/* ?1 the token; gives the user's column of up to two rows, and whether that column is declared as a small integer.
 * STATUS_NOT_FOUND: the table or a column is missing. */
enum status lite_auth_table_statement(struct db *db, const struct source_config *config, sqlite3_stmt **ret, struct err *err) MUST_CHECK;

/* At the start and with --check: whether that statement can be made, or need not be, because a JSON Web Token does or because the
 * database has nothing yet, which is warned of. *there: it can. */
enum status lite_auth_table_check(struct db *db, const struct source_config *config, bool *there, struct err *err) MUST_CHECK;

#endif
