/* The token table: found by the same rule as watched tables (exact case first, then folded), and
 * the statement that looks a token up in it, with every identifier quoted and the token as its
 * parameter. */
#ifndef ESINK_PG_AUTH_TABLE_H
#define ESINK_PG_AUTH_TABLE_H

#include "esink/source.h"
#include "source/postgres/connection.h"

/* *sql is malloc'ed: its rows are user id, user id as text, token as text; at most two. NOT_FOUND,
 * DENIED: a sentence that names the variable, or the missing GRANT. */
enum status auth_table_statement(struct pg *pg, const struct source_config *config, int timeout_ms,
	char **sql, struct err *err) MUST_CHECK;
/* Warns where row security may hide tokens from us: they would be refused like wrong ones, and nothing else would tell. */
enum status auth_table_warn(struct pg *pg, const struct source_config *config, int timeout_ms, struct err *err) MUST_CHECK;

#endif
