/* SQL expressions that turn a column into JSON text: one shape of each type, whatever the writer's
 * session is set to, and no code of a type's owner run on the way. The table of types in
 * docs/TYPES.md is this file in words. */
#ifndef ESINK_PG_EXPRESSION_H
#define ESINK_PG_EXPRESSION_H

#include <stdbool.h>

#include "base/buf.h"
#include "source/postgres/catalog.h"

/* Appends an expression of type text, never NULL: a JSON object of the columns of a row variable (`NEW`), those for which
 * wanted(context, index) holds. Sets *settings when the output depends on session settings, so that the function needs its SET
 * clauses; leaves it alone otherwise. */
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

/* The same, and exactly. Where expression_same_is_planned() it is decided once, when the plan is made, and raises where the type is
 * another one: it stands in a block that catches that. */
void expression_same(
	struct buf *sql, const struct pg_catalog *catalog, pg_oid type, const char *value);
bool expression_same_is_planned(const struct pg_catalog *catalog, pg_oid type);

/* Whether expression_users() may be NULL. */
bool expression_users_null(const struct pg_catalog *catalog, pg_oid type);

/* Appends a boolean expression, never NULL: whether OLD and NEW differ in one of these columns, by their bytes: a type's own
 * notion of equality may be its owner's code. */
void expression_differ(struct buf *sql, const struct pg_columns *columns, const size_t *list, size_t count);

/* As expression_users(), of a value whose type is no longer that one: by output functions alone. */
void expression_users_now(
	struct buf *sql, const struct pg_catalog *catalog, pg_oid type, const char *value);

void sql_identifier(struct buf *sql, const char *name); /* "na""me" */
void sql_literal(
	struct buf *sql, const char *text); /* 'te''xt', or E'..' where it holds a backslash */

#endif
