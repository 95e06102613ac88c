/* Finding the watched tables. The server decides by lower_case_table_names whether names that differ in case are one table, so
 * of several that fit, the one that is spelt as the rule says is taken.
 *
 * MariaDB's JSON is LONGTEXT with a check json_valid(column), by which such a column is known.
 */
#include "source/mysql/catalog.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/fingerprint.h"
#include "source/mysql/form.h"
#include "source/mysql/recall.h"
#include "source/mysql/rows.h"
#include "source/mysql/text.h"

#define CHECKS_TIMEOUT_MS 60000 /* of what opens every table of a schema */
#define COLUMNS "TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, COLUMN_KEY, GENERATION_EXPRESSION"

/* What the server says of all tables that the configuration names, asked once and not table by table. */
struct answers {
	MYSQL_RES *list, *checks; /* checks NULL: MySQL, which has a type of its own for JSON */
	MYSQL_RES *columns, *shapes;
	struct my_rows columns_of, shapes_of;
};

static bool is_default(const struct my_db *db, const char *schema)
{
	return !strcmp(schema, db->config->database);
}

static void add_schema(struct buf *sql, const char *schema)
{
	my_text_literal(sql, span_of(schema));
}

/* The default schema, and those that TABLE_NAMES name. */
static void add_schemas(struct buf *sql, const struct my_db *db, const struct ruleset *rules)
{
	buf_text(sql, "(");
	add_schema(sql, db->config->database);
	for (size_t i = 0; i < rules->table_count; i++)
		if (rules->tables[i].schema) {
			buf_text(sql, ", ");
			add_schema(sql, rules->tables[i].schema);
		}
	buf_text(sql, ")");
}

/* Tables and views. */
static enum status list_load(struct my_db *db, const struct ruleset *rules, MYSQL_RES **list, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by the configuration */

	buf_text(&sql, "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ");
	add_schemas(&sql, db, rules);
	buf_text(&sql, " ORDER BY 1, 2");
	return my_query(db, sql.bytes, MY_TIMEOUT_MS, list, err);
}

/* All checks that make a column JSON, at once: the server opens every table of a schema for each such question, whichever is asked for. */
static enum status checks_load(struct my_db *db, const struct ruleset *rules, MYSQL_RES **checks, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by the configuration */

	buf_text(&sql, "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA IN ");
	add_schemas(&sql, db, rules);
	buf_text(&sql, " AND CHECK_CLAUSE LIKE '%json_valid(%'");
	return my_query(db, sql.bytes, CHECKS_TIMEOUT_MS, checks, err);
}

static MYSQL_ROW list_find(struct my_db *db, MYSQL_RES *list, const struct table_name *name)
{
	MYSQL_ROW row, best = NULL;

	mysql_data_seek(list, 0);
	while ((row = mysql_fetch_row(list))) {
		struct relation relation = {row[0], row[1], is_default(db, row[0]), NULL, 0};

		if (table_name_matches(name, &relation) && (!best || !strcmp(row[1], name->table)))
			best = row;
	}
	return best;
}

static enum status no_table(struct my_db *db, MYSQL_RES *list, const struct table_name *name, struct err *err)
{
	AUTO_FREE const char **names = mem_zero((size_t)mysql_num_rows(list) + 1, sizeof(*names));
	const char *close;
	size_t count = 0;
	MYSQL_ROW row;

	mysql_data_seek(list, 0);
	while ((row = mysql_fetch_row(list)))
		if (name->schema ? !strcasecmp(row[0], name->schema) : is_default(db, row[0]))
			names[count++] = row[1];
	close = closest_name(name->table, names, count);
	if (close)
		return err_set(err, STATUS_NOT_FOUND, "TABLE_NAMES: there is no table \"%s\"; did you mean \"%s\"?", name->text, close);
	return err_set(err, STATUS_NOT_FOUND, "TABLE_NAMES: there is no table \"%s\" that \"%s\" may see in database \"%s\"", name->text,
		db->config->user ? db->config->user : "", name->schema ? name->schema : db->config->database);
}

static enum status check_kind(struct my_db *db, MYSQL_ROW row, const struct table_name *name, struct err *err)
{
	bool own = is_default(db, row[0]) && (!strcmp(row[1], db->config->outbox) || !strcmp(row[1], "esink_journal") ||
		!strcmp(row[1], "esink_shape") || !strcmp(row[1], "esink_meta"));

	if (own)
		return err_set(err, STATUS_INVALID, "TABLE_NAMES: \"%s\" is a table of esink itself, which cannot be watched; name "
			"tables of your application", name->text);
	if (!strcasecmp(row[0], "mysql") || !strcasecmp(row[0], "information_schema") || !strcasecmp(row[0], "performance_schema") ||
		!strcasecmp(row[0], "sys"))
		return err_set(err, STATUS_INVALID, "TABLE_NAMES: \"%s\" is a table of the server itself, which can have no triggers",
			name->text);
	if (!strcmp(row[2], "BASE TABLE") || !strcmp(row[2], "SYSTEM VERSIONED"))
		return STATUS_OK;
	return err_set(err, STATUS_INVALID, "TABLE_NAMES: \"%s\" is a %s, which cannot be watched; name %s", name->text,
		strstr(row[2], "VIEW") ? "view" : row[2], strstr(row[2], "VIEW") ? "the table behind it" : "an ordinary table");
}

/* -- columns ---------------------------------------------------------------------------------------------------------- */

static void where_table(struct buf *sql, const struct my_table *table)
{
	buf_text(sql, " WHERE TABLE_SCHEMA = ");
	my_text_literal(sql, span_of(table->schema));
	buf_text(sql, " AND TABLE_NAME = ");
	my_text_literal(sql, span_of(table->name));
}

static bool is_small(const char *type)
{
	return !strcasecmp(type, "int") || !strcasecmp(type, "smallint") || !strcasecmp(type, "mediumint") || !strcasecmp(type, "tinyint");
}

static void take_column(struct my_table *table, size_t *room, MYSQL_ROW row)
{
	/* What system versioning keeps is no value of a row that a trigger sees. */
	if (row[6] && (!strcasecmp(row[6], "ROW START") || !strcasecmp(row[6], "ROW END")))
		return;
	mem_grow(&table->columns, room, table->count, sizeof(*table->columns));
	table->columns[table->count++] = (struct my_column){.name = mem_text(row[1]), .charset = mem_text(row[4]),
		.key = !strcmp(row[5], "PRI"), .small = is_small(row[2]), .form = my_form_of(row[2], row[3])};
}

static void name_columns(struct my_table *table)
{
	table->column_names = mem_zero(table->count + 1, sizeof(*table->column_names));
	for (size_t i = 0; i < table->count; i++)
		table->column_names[i] = table->columns[i].name;
}

static enum status load_columns(struct my_db *db, struct my_table *table, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by two names */
	AUTO_RESULT MYSQL_RES *rows = NULL;
	size_t room = 0;
	enum status status;
	MYSQL_ROW row;

	buf_text(&sql, "SELECT " COLUMNS " FROM information_schema.COLUMNS");
	where_table(&sql, table);
	buf_text(&sql, " ORDER BY ORDINAL_POSITION");
	status = my_query(db, sql.bytes, MY_TIMEOUT_MS, &rows, err);
	while (status == STATUS_OK && (row = mysql_fetch_row(rows)))
		if (!strcmp(row[0], table->name))
			take_column(table, &room, row);
	name_columns(table);
	return status;
}

/* Of all tables, with one list of names a schema: more would make the server look into every schema. */
static enum status columns_load(struct my_db *db, const struct my_catalog *catalog, struct answers *answers, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by the configuration */
	enum status status = STATUS_OK;

	for (size_t i = 0; i < catalog->count; i++) {
		size_t before = 0;

		while (before < i && strcmp(catalog->tables[before].schema, catalog->tables[i].schema) != 0)
			before++;
		if (before < i)
			continue;
		buf_printf(&sql, "%s(SELECT TABLE_SCHEMA, " COLUMNS ", ORDINAL_POSITION FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ",
			sql.len ? " UNION ALL " : "");
		my_text_literal(&sql, span_of(catalog->tables[i].schema));
		for (size_t t = i; t < catalog->count; t++)
			if (!strcmp(catalog->tables[t].schema, catalog->tables[i].schema)) {
				buf_text(&sql, t == i ? " AND TABLE_NAME IN (" : ", ");
				my_text_literal(&sql, span_of(catalog->tables[t].name));
			}
		buf_text(&sql, "))");
	}
	buf_text(&sql, " ORDER BY 1, 2, 9");
	if (catalog->count)
		status = my_query(db, sql.bytes, CHECKS_TIMEOUT_MS, &answers->columns, err);
	if (status == STATUS_OK && catalog->count)
		my_rows_index(&answers->columns_of, answers->columns, 0, 1);
	return status;
}

static enum status shapes_load(struct my_db *db, struct answers *answers, struct err *err)
{
	int64_t there = 0;
	enum status status = my_number(db, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = "
		"'esink_shape'", &there, err);

	if (status != STATUS_OK || !there)
		return status;
	status = my_query(db, MY_SHAPES_SQL, MY_TIMEOUT_MS, &answers->shapes, err);
	if (status == STATUS_OK)
		my_rows_index(&answers->shapes_of, answers->shapes, SHAPE_TOPIC, SHAPE_WORD);
	return status;
}

static void answers_finish(struct answers *answers)
{
	my_rows_finish(&answers->columns_of);
	my_rows_finish(&answers->shapes_of);
	my_cleanup_result(&answers->list);
	my_cleanup_result(&answers->checks);
	my_cleanup_result(&answers->columns);
	my_cleanup_result(&answers->shapes);
}

static void find_json(MYSQL_RES *checks, struct my_table *table)
{
	MYSQL_ROW row;

	mysql_data_seek(checks, 0);
	while ((row = mysql_fetch_row(checks)))
		for (size_t i = 0; i < table->count && !strcmp(row[0], table->schema) && !strcmp(row[1], table->name); i++) {
			AUTO_BUF struct buf check = buf_init(BUF_NO_MAX); /* a name */

			buf_text(&check, "json_valid(");
			my_text_name(&check, table->columns[i].name);
			buf_text(&check, ")");
			if (row[2] && !strcasecmp(row[2], check.bytes) && table->columns[i].form == FORM_TEXT)
				table->columns[i].form = FORM_JSON;
		}
}

static enum status load_engine(struct my_db *db, struct my_table *table, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by two names */
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status;
	MYSQL_ROW row;

	buf_text(&sql, "SELECT ENGINE FROM information_schema.TABLES");
	where_table(&sql, table);
	status = my_query(db, sql.bytes, MY_TIMEOUT_MS, &rows, err);
	if (status == STATUS_OK && (row = mysql_fetch_row(rows)))
		table->engine = mem_text(row[0]);
	return status;
}

enum status my_catalog_columns(struct my_db *db, struct my_table *table, struct err *err)
{
	enum status status = load_columns(db, table, err);

	if (status == STATUS_OK && table->count)
		status = load_engine(db, table, err);
	return status;
}

/* -- rules ------------------------------------------------------------------------------------------------------------ */

static enum status missing_column(const struct my_table *table, struct err *err)
{
	const char *dot = strrchr(table->rule.missing, '.');
	const char *close = closest_name(dot ? dot + 1 : "", table->column_names, table->count);

	if (close)
		return err_set(err, STATUS_NOT_FOUND, "%s: table %s has no such column; did you mean \"%s\"?", table->rule.missing,
			table->topic, close);
	return err_set(err, STATUS_NOT_FOUND, "%s: table %s has no such column", table->rule.missing, table->topic);
}

static enum status bind(struct my_db *db, struct my_catalog *catalog, struct my_table *table, const struct answers *answers, bool strict,
	struct err *complaint, struct err *err)
{
	const struct my_row *row;
	enum status status = STATUS_OK;
	struct relation relation;
	size_t room = 0;

	for (size_t left = my_rows_find(&answers->columns_of, table->schema, table->name, &row); left; left--, row++)
		take_column(table, &room, row->cells + 1);
	if (table->count)
		name_columns(table);
	else /* just replaced, or named by the server as it was asked */
		status = load_columns(db, table, err);
	if (status != STATUS_OK)
		return status;
	if (!table->count) /* no table is without columns */
		return err_set(err, strict ? STATUS_UNAVAILABLE : STATUS_TOO_MANY, "table %s is being altered: looking again", table->topic);
	if (answers->checks)
		find_json(answers->checks, table);
	relation = (struct relation){table->schema, table->name, table->in_default_schema, table->column_names, table->count};
	ruleset_bind(catalog->rules, &relation, &table->rule);
	if (table->rule.missing && strict)
		return missing_column(table, err);
	if (table->rule.missing && complaint && !complaint->text[0])
		table_rule_complain(&table->rule, complaint);
	return my_recall_withheld(db, table, &answers->shapes_of, complaint, err);
}

static void name_table(struct my_db *db, struct my_table *table, MYSQL_ROW row)
{
	table->schema = mem_text(row[0]);
	table->name = mem_text(row[1]);
	table->in_default_schema = is_default(db, row[0]);
	table->topic = table->in_default_schema ? mem_text(row[1]) : mem_format("%s.%s", row[0], row[1]);
	table->engine = row[3] ? mem_text(row[3]) : NULL;
}

bool my_catalog_has(const struct my_catalog *catalog, const char *schema, const char *table)
{
	for (size_t i = 0; i < catalog->count; i++)
		if (!strcmp(catalog->tables[i].schema, schema) && !strcmp(catalog->tables[i].name, table))
			return true;
	return false;
}

static enum status find_tables(struct my_db *db, struct my_catalog *catalog, MYSQL_RES *list, bool strict, struct err *complaint,
	struct err *err)
{
	const struct ruleset *rules = catalog->rules;

	for (size_t i = 0; i < rules->table_count; i++) {
		MYSQL_ROW row = list_find(db, list, &rules->tables[i]);
		struct err why = {""};
		enum status status = row ? check_kind(db, row, &rules->tables[i], &why) : no_table(db, list, &rules->tables[i], &why);

		if (status != STATUS_OK && strict)
			return err_set(err, status, "%s", why.text);
		if (status != STATUS_OK && complaint && !complaint->text[0])
			*complaint = why;
		if (status == STATUS_OK && !my_catalog_has(catalog, row[0], row[1]))
			name_table(db, &catalog->tables[catalog->count++], row);
	}
	return STATUS_OK;
}

static enum status load(struct my_db *db, struct my_catalog *catalog, struct answers *answers, bool strict, struct err *complaint,
	struct err *err)
{
	enum status status = list_load(db, catalog->rules, &answers->list, err);

	if (status == STATUS_OK && db->maria)
		status = checks_load(db, catalog->rules, &answers->checks, err);
	if (status == STATUS_OK)
		status = find_tables(db, catalog, answers->list, strict, complaint, err);
	if (status == STATUS_OK)
		status = columns_load(db, catalog, answers, err);
	if (status == STATUS_OK)
		status = shapes_load(db, answers, err);
	for (size_t i = 0; i < catalog->count && status == STATUS_OK; i++)
		status = bind(db, catalog, &catalog->tables[i], answers, strict, complaint, err);
	return status;
}

enum status my_catalog_load(struct my_db *db, bool strict, struct my_catalog **ret, struct err *complaint, struct err *err)
{
	struct my_catalog *catalog = mem_zero(1, sizeof(*catalog));
	struct answers answers = {0};
	enum status status;

	catalog->rules = db->config->rules;
	catalog->tables = mem_zero(catalog->rules->table_count + 1, sizeof(*catalog->tables));
	status = load(db, catalog, &answers, strict, complaint, err);
	answers_finish(&answers);
	if (status == STATUS_OK)
		*ret = catalog;
	else
		my_catalog_free(catalog);
	return status;
}

void my_catalog_table_finish(struct my_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		free(table->columns[i].name);
		free(table->columns[i].charset);
	}
	free(table->columns);
	free(table->column_names);
	free(table->schema);
	free(table->name);
	free(table->topic);
	free(table->engine);
	table_rule_finish(&table->rule);
}

void my_catalog_free(struct my_catalog *catalog)
{
	if (!catalog)
		return;
	for (size_t i = 0; i < catalog->count; i++)
		my_catalog_table_finish(&catalog->tables[i]);
	free(catalog->tables);
	free(catalog);
}
