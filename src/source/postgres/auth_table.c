/* Finding the token table and making its statement. */
#include "source/postgres/auth_table.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "rules/ruleset.h"
#include "source/postgres/expression.h"
#include "source/postgres/statement.h"
#include "source/token_table.h"

/* Row security applies to us, and either no policy shows us all rows or a restrictive one may hide some. */
#define OUR_POLICY                                                                                 \
	"(SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*') AND EXISTS " \
	"(SELECT FROM unnest(p.polroles) r (role) WHERE r.role = '0'::oid OR pg_has_role(r.role, " \
	"'USAGE'::text)) AND "
#define SHOWS_ALL "pg_catalog.pg_get_expr(p.polqual, c.oid) = 'true'::text"
#define HIDES                                                                                      \
	"row_security_active(c.oid) AND (NOT EXISTS " OUR_POLICY "p.polpermissive AND " SHOWS_ALL  \
	") OR EXISTS " OUR_POLICY "NOT p.polpermissive AND NOT (" SHOWS_ALL ")))"

/* $1 schema.table or table, $2 token column, $3 user column; the columns are NULL where the table
 * lacks them. */
static const char find_sql[] =
	"SELECT n.nspname, c.relname, t.attname, u.attname, "
	"has_column_privilege(c.oid, t.attnum, 'SELECT') AND has_column_privilege(c.oid, u.attnum, "
	"'SELECT'), has_schema_privilege(n.oid, 'USAGE'), c.oid, " HIDES " "
	"FROM (SELECT CASE WHEN strpos($1::text, '.') > 0 THEN split_part($1::text, '.', 1) END AS "
	"s, "
	"CASE WHEN strpos($1::text, '.') > 0 THEN substr($1::text, strpos($1::text, '.') + 1) ELSE "
	"$1::text END AS t) w "
	"JOIN pg_namespace n ON n.nspname IN (coalesce(w.s, " PG_DEFAULT_SCHEMA "), lower(w.s)) "
	"JOIN pg_class c ON c.relnamespace = n.oid AND c.relname IN (w.t, lower(w.t)) AND "
	"c.relkind IN ('r', 'p', 'v', 'm', 'f') "
	"LEFT JOIN pg_attribute t ON t.attrelid = c.oid AND t.attname IN ($2::text, "
	"lower($2::text)) AND NOT t.attisdropped "
	"LEFT JOIN pg_attribute u ON u.attrelid = c.oid AND u.attname IN ($3::text, "
	"lower($3::text)) AND NOT u.attisdropped "
	"ORDER BY (c.relname = w.t) DESC, (t.attname = $2::text) DESC NULLS LAST, (u.attname = "
	"$3::text) DESC NULLS LAST LIMIT 1";

/* Names what comes close. */
static enum status missing_column(struct pg *pg, const char *variable, const char *table,
	const char *column, const char *oid, int timeout_ms, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	AUTO_FREE const char **all = NULL;
	const char *close = NULL;
	enum status status = pg_query(pg,
		"SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = "
		"$1::pg_catalog.oid AND a.attnum > 0::pg_catalog.int2 AND NOT a.attisdropped",
		1, &oid, timeout_ms, &result, err);

	if (status != STATUS_OK)
		return status;
	all = mem_zero((size_t)PQntuples(result) + 1, sizeof(*all));
	for (int i = 0; i < PQntuples(result); i++)
		all[i] = PQgetvalue(result, i, 0);
	close = closest_name(column, all, (size_t)PQntuples(result));
	if (close)
		return err_set(err, STATUS_NOT_FOUND,
			"%s: table \"%s\" has no column \"%s\"; did you mean \"%s\"?", variable, table,
			column, close);
	return err_set(err, STATUS_NOT_FOUND, "%s: table \"%s\" has no column \"%s\"", variable,
		table, column);
}

static enum status judge(struct pg *pg, int timeout_ms, const struct source_config *config,
	const PGresult *found, struct err *err)
{
	if (PQntuples(found) == 0)
		return err_set(err, STATUS_NOT_FOUND,
			"AUTH_TABLE: there is no table \"%s\"%s", config->auth_table,
			token_table_advice(config));
	if (PQgetisnull(found, 0, 2))
		return missing_column(pg, "AUTH_COLUMN", config->auth_table, config->auth_column,
			PQgetvalue(found, 0, 6), timeout_ms, err);
	if (PQgetisnull(found, 0, 3))
		return missing_column(pg, "AUTH_USER_COLUMN", config->auth_table,
			config->auth_user_column, PQgetvalue(found, 0, 6), timeout_ms, err);
	if (!pg_bool(found, 0, 5))
		return err_set(err, STATUS_DENIED,
			"AUTH_TABLE: no right to read \"%s\"; run: GRANT USAGE ON SCHEMA \"%s\" TO "
			"\"%s\";",
			config->auth_table, PQgetvalue(found, 0, 0), PQuser(pg->conn));
	if (!pg_bool(found, 0, 4))
		return err_set(err, STATUS_DENIED,
			"AUTH_TABLE: no right to read \"%s\"; run: GRANT SELECT ON \"%s\".\"%s\" "
			"TO \"%s\";",
			config->auth_table, PQgetvalue(found, 0, 0), PQgetvalue(found, 0, 1),
			PQuser(pg->conn));
	return STATUS_OK;
}

enum status auth_table_statement(struct pg *pg, const struct source_config *config, int timeout_ms,
	char **ret, struct err *err)
{
	const char *params[] = {config->auth_table, config->auth_column, config->auth_user_column};
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by the catalogue's names */
	AUTO_RESULT PGresult *found = NULL;
	enum status status = pg_query(pg, find_sql, 3, params, timeout_ms, &found, err);

	if (status == STATUS_OK)
		status = judge(pg, timeout_ms, config, found, err);
	if (status != STATUS_OK)
		return status;
	buf_text(&sql, "SELECT ");
	sql_identifier(&sql, PQgetvalue(found, 0, 3));
	buf_text(&sql, ", ");
	sql_identifier(&sql, PQgetvalue(found, 0, 3));
	buf_text(&sql, "::pg_catalog.text, ");
	sql_identifier(&sql, PQgetvalue(found, 0, 2));
	buf_text(&sql, "::pg_catalog.text FROM ");
	sql_identifier(&sql, PQgetvalue(found, 0, 0));
	buf_text(&sql, ".");
	sql_identifier(&sql, PQgetvalue(found, 0, 1));
	buf_text(&sql, " WHERE ");
	sql_identifier(&sql, PQgetvalue(found, 0, 2));
	buf_text(&sql, " = $1 LIMIT 2");
	*ret = buf_take(&sql);
	return STATUS_OK;
}

enum status auth_table_warn(struct pg *pg, const struct source_config *config, int timeout_ms, struct err *err)
{
	const char *params[] = {config->auth_table, config->auth_column, config->auth_user_column};
	AUTO_RESULT PGresult *found = NULL;
	enum status status = pg_query(pg, find_sql, 3, params, timeout_ms, &found, err);

	if (status == STATUS_OK && PQntuples(found) == 1 && pg_bool(found, 0, 7))
		log_warn("postgres", "AUTH_TABLE: row security of \"%s\" applies to role \"%s\": a token whose row no policy shows it is "
			"refused; to show it all of them run: CREATE POLICY esink ON \"%s\".\"%s\" FOR SELECT TO \"%s\" USING (true); "
			"a RESTRICTIVE policy hides them all the same",
			config->auth_table, PQuser(pg->conn), PQgetvalue(found, 0, 0), PQgetvalue(found, 0, 1), PQuser(pg->conn));
	return status;
}
