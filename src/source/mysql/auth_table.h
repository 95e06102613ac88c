/* The token table: found by the configuration's names, and the statement that looks a token up. */
#ifndef ESINK_MYSQL_AUTH_TABLE_H
#define ESINK_MYSQL_AUTH_TABLE_H

#include "source/mysql/db.h"

/* Two parameters, both the token; rows of one text, the user. malloc'ed. STATUS_NOT_FOUND: no such table or column. */
enum status my_auth_table_statement(struct my_db *db, char **sql, bool *numeric, struct err *err) MUST_CHECK;
/* err is what the server says that has refused a look-up: it has the GRANT instead, where it is that which lacks. */
void my_auth_table_explain(struct my_db *db, struct err *err);

#endif
