/* SQL expressions that turn a column into JSON text: one shape of each type, whatever the writer's
 * session is set to, and no code of a type's owner run on the way. The table of types in
 * docs/TYPES.md is this file in words. */
#ifndef ESINK_PG_EXPRESSION_H
#define ESINK_PG_EXPRESSION_H

#include <stdbool.h>

#include "base/buf.h"
#include "source/postgres/catalog.h"

/* Appends an expression of type text, never NULL. value: an SQL expression of that type. Sets
 * *settings when the output depends on session settings, so that the function needs its SET
 * clauses; leaves it alone otherwise. */
void expression_json(struct buf *sql, const struct pg_catalog *catalog, pg_oid type,
	const char *value, bool *settings);

/* A JSON object of the columns of a row variable (`NEW`), those for which wanted(context, index)
 * holds. */
void expression_object(struct buf *sql, const struct pg_catalog *catalog,
	const struct pg_columns *columns, const char *row,
	bool (*wanted)(const void *context, size_t index), const void *context, bool *settings);

/* Appends a text[] expression: the users in a routing column; NULL where the column is. flat: in one dimension, so that
 * others can be put behind them. */
void expression_users(struct buf *sql, const struct pg_catalog *catalog, pg_oid type,
	const char *value, bool flat, bool *settings);

/* Appends a boolean expression: whether a value, and what it is made of, has the types that the expressions were made for.
 * Nothing else of it may be looked at before: another type means another text, and a cast that somebody made. */
void expression_typed(
	struct buf *sql, const struct pg_catalog *catalog, pg_oid type, const char *value);

/* As expression_users(), of a value whose type is no longer that one: by output functions alone. */
void expression_users_now(
	struct buf *sql, const struct pg_catalog *catalog, pg_oid type, const char *value);

void sql_identifier(struct buf *sql, const char *name); /* "na""me" */
void sql_literal(
	struct buf *sql, const char *text); /* 'te''xt', or E'..' where it holds a backslash */

#endif
