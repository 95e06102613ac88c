/* Finding the token table and making its statement.
 *
 * The column's own comparison finds the rows, so that its index serves; then bytes are compared, because a collation calls equal
 * what is not: other cases, accents, spaces at the end.
 */
#include "source/mysql/auth_table.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "source/mysql/catalog.h"
#include "source/mysql/rights.h"
#include "source/mysql/text.h"
#include "source/token_table.h"

static const struct my_column *find(const struct my_table *table, const char *name)
{
	for (size_t i = 0; i < table->count; i++)
		if (!strcasecmp(table->columns[i].name, name))
			return &table->columns[i];
	return NULL;
}

static enum status no_column(const char *variable, const struct my_table *table, const char *name, struct err *err)
{
	const char *close = closest_name(name, table->column_names, table->count);

	if (close)
		return err_set(err, STATUS_NOT_FOUND, "%s: table \"%s\" has no column \"%s\"; did you mean \"%s\"?", variable, table->name,
			name, close);
	return err_set(err, STATUS_NOT_FOUND, "%s: table \"%s\" has no column \"%s\"", variable, table->name, name);
}

static void add_text(const struct my_column *column, struct buf *sql)
{
	buf_text(sql, column->charset ? "CONVERT(" : column->form == FORM_NUMBER ? "CAST(0 + " : "CAST(");
	my_text_name(sql, column->name);
	buf_text(sql, column->charset ? " USING utf8mb4)" : " AS CHAR CHARACTER SET utf8mb4)");
}

static enum status write_statement(struct my_db *db, const struct my_table *table, struct buf *sql, bool *numeric, struct err *err)
{
	const struct my_column *token = find(table, db->config->auth_column), *user = find(table, db->config->auth_user_column);

	if (!token)
		return no_column("AUTH_COLUMN", table, db->config->auth_column, err);
	if (!user)
		return no_column("AUTH_USER_COLUMN", table, db->config->auth_user_column, err);
	*numeric = user->small;
	buf_text(sql, "SELECT ");
	add_text(user, sql);
	buf_text(sql, " FROM ");
	my_text_table(sql, table->schema, table->name);
	buf_text(sql, " WHERE ");
	my_text_name(sql, token->name);
	buf_text(sql, " = ? AND CAST(");
	add_text(token, sql);
	buf_text(sql, " AS BINARY) = CAST(? AS BINARY) LIMIT 2");
	return STATUS_OK;
}

enum status my_auth_table_statement(struct my_db *db, char **ret, bool *numeric, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by three names */
	struct table_name name = {0};
	struct my_table table = {0};
	enum status status = table_name_parse("AUTH_TABLE", db->config->auth_table, &name, err);

	if (status == STATUS_OK) {
		table.schema = mem_text(name.schema ? name.schema : db->config->database);
		table.name = mem_text(name.table);
		status = my_catalog_columns(db, &table, err);
	}
	if (status == STATUS_OK && !table.count && !db->config->auth_table_optional) /* information_schema has it only for those with a right */
		status = my_rights_read(db, "AUTH_TABLE", table.schema, table.name, err);
	if (status == STATUS_OK && !table.count)
		status = err_set(err, STATUS_NOT_FOUND, "AUTH_TABLE: there is no table \"%s\"%s",
			db->config->auth_table, token_table_advice(db->config));
	if (status == STATUS_OK)
		status = write_statement(db, &table, &sql, numeric, err);
	if (status == STATUS_OK)
		*ret = buf_take(&sql);
	table_name_finish(&name);
	my_catalog_table_finish(&table);
	return status;
}

void my_auth_table_explain(struct my_db *db, struct err *err)
{
	struct table_name name = {0};
	struct err why, ignored;

	if (table_name_parse("AUTH_TABLE", db->config->auth_table, &name, &ignored) == STATUS_OK && db->conn &&
		my_rights_read(db, "AUTH_TABLE", name.schema ? name.schema : db->config->database, name.table, &why) == STATUS_DENIED)
		*err = why;
	table_name_finish(&name);
}
