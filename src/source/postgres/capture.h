/* The trigger function of one table: triggers/postgres/capture.sql filled in with its columns, key
 * and rule. */
#ifndef ESINK_PG_CAPTURE_H
#define ESINK_PG_CAPTURE_H

#include "source/postgres/catalog.h"

/* The CREATE FUNCTION statement, malloc'ed. notify: triggers may NOTIFY (a transaction that did
 * cannot be PREPAREd). strangers: relations whose trigger calls it and that are not told, comma-separated; NULL: none. */
char *capture_function(const struct pg_catalog *catalog, const struct pg_table *table, const char *strangers, bool notify);
char *capture_function_name(pg_oid table); /* capture_16385 */
/* What the server keeps of it (pg_proc.prosrc): equal when nothing has to be replaced. Points into
 * sql. */
struct span capture_body(const char *sql);
/* Whether a body is that of a table of this topic, of this or an earlier day. */
bool capture_body_is_of(const char *body, const char *topic);

#endif
