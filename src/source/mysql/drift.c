/* What is looked at each second: whether columns or triggers of the watched tables have changed, and rules that do nothing.
 *
 * information_schema opens a table's files for each row of an answer, so every table is asked for by its own names, which the
 * server's optimizer takes as the one table to open; the answer is hashed, and only when its word is another one than before
 * is the whole catalogue read.
 */
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "source/fingerprint.h"
#include "source/mysql/catalog.h"
#include "source/mysql/text.h"

static void ask(struct my_db *db, const struct table_name *name, const char *select, const char *schema, const char *table,
	struct buf *sql)
{
	buf_printf(sql, "%s(%s WHERE %s = ", sql->len ? " UNION ALL " : "", select, schema);
	my_text_literal(sql, span_of(name->schema ? name->schema : db->config->database));
	buf_printf(sql, " AND %s = ", table);
	my_text_literal(sql, span_of(name->table));
	buf_text(sql, ")");
}

static enum status add_rows(struct my_db *db, const struct buf *sql, struct buf *text, struct err *err)
{
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status = my_query(db, sql->bytes, MY_TIMEOUT_MS, &rows, err);
	MYSQL_ROW row;

	while (status == STATUS_OK && (row = mysql_fetch_row(rows)))
		for (unsigned i = 0; i < mysql_num_fields(rows); i++)
			buf_json_string(text, span_of(row[i] ? row[i] : ""));
	return status;
}

enum status my_catalog_word(struct my_db *db, char word[17], struct err *err)
{
	const struct ruleset *rules = db->config->rules;
	AUTO_BUF struct buf columns = buf_init(BUF_NO_MAX), triggers = buf_init(BUF_NO_MAX); /* bounded by the configuration */
	AUTO_BUF struct buf text = buf_init(BUF_NO_MAX);                                    /* and by its tables */
	enum status status = STATUS_OK;

	for (size_t i = 0; i < rules->table_count; i++) {
		ask(db, &rules->tables[i], "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, COLUMN_KEY, ORDINAL_POSITION "
			"FROM information_schema.COLUMNS", "TABLE_SCHEMA", "TABLE_NAME", &columns);
		ask(db, &rules->tables[i], "SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME, CREATED, DEFINER FROM information_schema.TRIGGERS",
			"EVENT_OBJECT_SCHEMA", "EVENT_OBJECT_TABLE", &triggers);
	}
	if (columns.len)
		status = add_rows(db, &columns, &text, err);
	if (status == STATUS_OK && triggers.len)
		status = add_rows(db, &triggers, &text, err);
	if (status == STATUS_OK)
		fingerprint_text(buf_as_span(&text), word);
	return status;
}

static const struct my_table *almost(const struct my_catalog *catalog, const struct table_name *name, bool *matches)
{
	for (size_t i = 0; i < catalog->count; i++) {
		const struct my_table *table = &catalog->tables[i];
		struct relation relation = {table->schema, table->name, table->in_default_schema, NULL, 0};

		*matches = table_name_matches(name, &relation);
		if (*matches || (!name->schema && table->in_default_schema && !strcasecmp(name->table, relation.table)))
			return table;
	}
	return NULL;
}

void my_catalog_warn_idle(const struct my_catalog *catalog)
{
	for (size_t r = 0; r < catalog->rules->route_count; r++) {
		const struct table_name *name = &catalog->rules->routes[r].table;
		bool matches = false;
		const struct my_table *table = almost(catalog, name, &matches);

		if (!table)
			log_warn("mysql", "TABLE_AUTH_COLUMN_ROUTING: table \"%s\" is not in TABLE_NAMES: its rule does nothing", name->text);
		else if (!matches && !table->rule.broadcast && !table->rule.route_count)
			log_warn("mysql", "TABLE_AUTH_COLUMN_ROUTING: \"%s\" is no rule for table %s, whose rows reach no user: write "
				"the name as the table has it", name->text, table->topic);
	}
}
