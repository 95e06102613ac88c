/* Finding the token table and making its statement.
 *
 * The column's own comparison finds the rows, so that its index serves; then bytes are compared, because a collation such as
 * NOCASE calls equal what is not.
 */
#include "source/sqlite/auth_table.h"

#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "source/sqlite/catalog.h"
#include "source/sqlite/text.h"
#include "source/token_table.h"

static const struct lite_column *find(const struct lite_table *table, const char *name)
{
	for (size_t i = 0; i < table->count; i++)
		if (!strcasecmp(table->columns[i].name, name))
			return &table->columns[i];
	return NULL;
}

static enum status no_column(const char *variable, const struct lite_table *table, const char *name, struct err *err)
{
	const char *close = closest_name(name, table->column_names, table->count);

	if (close)
		return err_set(err, STATUS_NOT_FOUND, "%s: table \"%s\" has no column \"%s\"; did you mean \"%s\"?", variable,
			table->name, name, close);
	return err_set(err, STATUS_NOT_FOUND, "%s: table \"%s\" has no column \"%s\"", variable, table->name, name);
}

/* SQLite's integers have 64 bits whatever they are declared as; these are declared as 16 or 32. */
static bool is_small_integer(const char *type)
{
	static const char *const types[] = {"int", "integer", "smallint", "mediumint", "tinyint", "int2", "int4"};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcasecmp(type, types[i]))
			return true;
	return false;
}

static enum status write_statement(const struct lite_table *table, const struct source_config *config, struct buf *sql,
	struct err *err)
{
	const struct lite_column *token = find(table, config->auth_column), *user = find(table, config->auth_user_column);

	if (!token)
		return no_column("AUTH_COLUMN", table, config->auth_column, err);
	if (!user)
		return no_column("AUTH_USER_COLUMN", table, config->auth_user_column, err);
	buf_text(sql, "SELECT ");
	text_name(sql, user->name);
	buf_printf(sql, ", %d FROM ", is_small_integer(user->type));
	text_name(sql, table->name);
	buf_text(sql, " WHERE ");
	text_name(sql, token->name);
	buf_text(sql, " = ?1 AND CAST(CAST(");
	text_name(sql, token->name);
	buf_text(sql, " AS TEXT) AS BLOB) = CAST(?1 AS BLOB) LIMIT 2");
	return STATUS_OK;
}

enum status lite_auth_table_statement(struct db *db, const struct source_config *config, sqlite3_stmt **ret, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by three names */
	struct table_name name = {0};
	struct lite_table table = {0};
	enum status status = table_name_parse("AUTH_TABLE", config->auth_table, &name, err);

	if (status == STATUS_OK) {
		table.name = mem_text(name.table);
		status = lite_catalog_columns(db, &table, err);
	}
	if (status == STATUS_OK && (!table.count || (name.schema && strcasecmp(name.schema, "main") != 0)))
		status = err_set(err, STATUS_NOT_FOUND, "AUTH_TABLE: there is no table \"%s\"%s",
			config->auth_table, token_table_advice(config));
	if (status == STATUS_OK)
		status = write_statement(&table, config, &sql, err);
	if (status == STATUS_OK)
		status = db_prepare(db, sql.bytes, ret, err);
	table_name_finish(&name);
	lite_catalog_table_finish(&table);
	return status;
}

enum status lite_auth_table_check(struct db *db, const struct source_config *config, bool *there, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	struct err why = {""};
	int64_t tables = 0;
	enum status status = lite_auth_table_statement(db, config, &stmt, &why);

	*there = status == STATUS_OK;
	sqlite3_finalize(stmt);
	status = token_table_spared("sqlite", config, status, &why);
	if (status == STATUS_NOT_FOUND && !config->rules->table_count &&
		db_number(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'esink\\_%' ESCAPE '\\' AND "
			"name NOT LIKE 'sqlite\\_%' ESCAPE '\\'", &tables, err) == STATUS_OK && !tables) {
		log_warn("sqlite", "%s", why.text);
		return STATUS_OK;
	}
	if (status != STATUS_OK)
		*err = why;
	return status;
}
