/* Finding the watched tables. SQLite's names do not differ in case only, so what fits a name by rules/bind.c is one table at
 * most. Every table of the file is in the default schema, `main`.
 */
#include "source/sqlite/catalog.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/doubts.h"
#include "source/sqlite/recall.h"

struct listed {
	char *name, *type;
};

struct list {
	struct listed *items;
	size_t count, room;
};

static void list_finish(struct list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].name);
		free(list->items[i].type);
	}
	free(list->items);
}

static enum status list_load(struct db *db, struct list *list, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	enum status status = db_prepare(db,
		"SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'", &stmt, err);

	while (status == STATUS_OK && (status = db_step(db, stmt, err)) == STATUS_OK) {
		mem_grow(&list->items, &list->room, list->count, sizeof(*list->items));
		list->items[list->count++] = (struct listed){mem_text((const char *)sqlite3_column_text(stmt, 0)),
			mem_text((const char *)sqlite3_column_text(stmt, 1))};
	}
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static const struct listed *list_find(const struct list *list, const struct table_name *name)
{
	for (size_t i = 0; i < list->count; i++) {
		struct relation relation = {"main", list->items[i].name, true, NULL, 0};

		if (table_name_matches(name, &relation))
			return &list->items[i];
	}
	return NULL;
}

static enum status no_table(const struct list *list, const struct table_name *name, struct err *err)
{
	AUTO_FREE const char **names = mem_zero(list->count + 1, sizeof(*names));
	const char *close;

	if (name->schema && strcasecmp(name->schema, "main") != 0)
		return err_set(err, STATUS_NOT_FOUND, "TABLE_NAMES: \"%s\": an SQLite file has no schema \"%s\"; write \"%s\" alone",
			name->text, name->schema, name->table);
	for (size_t i = 0; i < list->count; i++)
		names[i] = list->items[i].name;
	close = closest_name(name->table, names, list->count);
	if (close)
		return err_set(err, STATUS_NOT_FOUND, "TABLE_NAMES: there is no table \"%s\"; did you mean \"%s\"?", name->text, close);
	return err_set(err, STATUS_NOT_FOUND, "TABLE_NAMES: there is no table \"%s\"", name->text);
}

static enum status check_kind(const struct listed *listed, const struct table_name *name, struct err *err)
{
	if (!strncasecmp(listed->name, "esink_", 6) &&
		(!strcasecmp(listed->name + 6, "event") || !strcasecmp(listed->name + 6, "shape") ||
			!strcasecmp(listed->name + 6, "column") || !strcasecmp(listed->name + 6, "meta") ||
			!strcasecmp(listed->name + 6, "emit")))
		return err_set(err, STATUS_INVALID, "TABLE_NAMES: \"%s\" is a table of esink itself, which cannot be watched; name "
			"tables of your application", name->text);
	if (!strcmp(listed->type, "table"))
		return STATUS_OK;
	return err_set(err, STATUS_INVALID, "TABLE_NAMES: \"%s\" is %s, which cannot be watched; name %s", name->text,
		!strcmp(listed->type, "view") ? "a view" : !strcmp(listed->type, "virtual") ? "a virtual table" :
		"a table that a virtual table keeps its data in", !strcmp(listed->type, "view") ? "the table behind it" :
		"an ordinary table");
}

static void find_rowid(struct lite_table *table, bool without_rowid)
{
	struct lite_column *key = NULL;

	for (size_t i = 0; i < table->count; i++) {
		if (table->columns[i].key && key)
			return;
		if (table->columns[i].key)
			key = &table->columns[i];
	}
	if (key && !without_rowid)
		key->is_short |= !strcasecmp(key->type, "integer");
}

enum status lite_catalog_columns(struct db *db, struct lite_table *table, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	bool without_rowid = true;
	size_t room = 0;
	/* hidden 1: of a virtual table; 2 and 3: generated, which NEW and OLD have like any other. */
	enum status status = db_prepare(db,
		"SELECT x.name, x.type, x.pk, l.wr, l.strict AND x.type "
		"COLLATE NOCASE IN ('INT', 'INTEGER', 'REAL') FROM pragma_table_xinfo(?1) x LEFT JOIN pragma_table_list(?1) l ON "
		"l.schema = 'main' AND l.name = ?1 COLLATE NOCASE WHERE x.hidden <> 1 ORDER BY x.cid", &stmt, err);

	if (status == STATUS_OK)
		db_bind_text(stmt, 1, table->name);
	while (status == STATUS_OK && (status = db_step(db, stmt, err)) == STATUS_OK) {
		struct lite_column column = {.name = mem_text((const char *)sqlite3_column_text(stmt, 0)),
			.type = mem_text(db_bytes(stmt, 1).p), .key = sqlite3_column_int(stmt, 2),
			.is_short = sqlite3_column_int(stmt, 4)};

		if (!column.type)
			column.type = mem_text("");
		column.form = value_form_of(column.type);
		without_rowid = sqlite3_column_int(stmt, 3);
		mem_grow(&table->columns, &room, table->count, sizeof(*table->columns));
		table->columns[table->count++] = column;
	}
	find_rowid(table, without_rowid);
	table->column_names = mem_zero(table->count + 1, sizeof(*table->column_names));
	for (size_t i = 0; i < table->count; i++)
		table->column_names[i] = table->columns[i].name;
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status missing_column(const struct lite_table *table, struct err *err)
{
	const char *dot = strrchr(table->rule.missing, '.');
	const char *close = closest_name(dot ? dot + 1 : "", table->column_names, table->count);

	if (close)
		return err_set(err, STATUS_NOT_FOUND, "%s: table %s has no such column; did you mean \"%s\"?",
			table->rule.missing, table->name, close);
	return err_set(err, STATUS_NOT_FOUND, "%s: table %s has no such column", table->rule.missing, table->name);
}

static enum status bind(struct db *db, struct catalog *catalog, struct lite_table *table, bool strict,
	struct err *complaint, struct err *err)
{
	enum status status = lite_catalog_columns(db, table, err);
	struct relation relation = {"main", table->name, true, table->column_names, table->count};

	if (status != STATUS_OK)
		return status;
	ruleset_bind(catalog->rules, &relation, &table->rule);
	if (table->rule.missing && strict)
		return missing_column(table, err);
	if (table->rule.missing && complaint && !complaint->text[0])
		table_rule_complain(&table->rule, complaint);
	lite_recall_withheld(catalog, table);
	return STATUS_OK;
}

static bool is_loaded(const struct catalog *catalog, const char *name)
{
	for (size_t i = 0; i < catalog->count; i++)
		if (!strcmp(catalog->tables[i].name, name))
			return true;
	return false;
}

static enum status load_tables(struct db *db, struct catalog *catalog, const struct list *list, bool strict,
	struct err *complaint, struct err *err)
{
	const struct ruleset *rules = catalog->rules;
	enum status status = STATUS_OK;

	for (size_t i = 0; i < rules->table_count && status == STATUS_OK; i++) {
		const struct listed *listed = list_find(list, &rules->tables[i]);
		struct err why = {""};

		status = listed ? check_kind(listed, &rules->tables[i], &why) : no_table(list, &rules->tables[i], &why);
		if (status != STATUS_OK && strict)
			return err_set(err, status, "%s", why.text);
		if (status != STATUS_OK && complaint && !complaint->text[0])
			*complaint = why;
		if (status == STATUS_OK && !is_loaded(catalog, listed->name)) {
			struct lite_table *table = &catalog->tables[catalog->count++];

			table->name = mem_text(listed->name);
			status = bind(db, catalog, table, strict, complaint, err);
		} else {
			status = STATUS_OK;
		}
	}
	return status;
}

enum status lite_catalog_load(struct db *db, const struct ruleset *rules, bool strict, struct catalog **ret,
	struct err *complaint, struct err *err)
{
	struct catalog *catalog = mem_zero(1, sizeof(*catalog));
	struct list list = {0};
	enum status status;

	catalog->rules = rules;
	catalog->tables = mem_zero(rules->table_count + 1, sizeof(*catalog->tables));
	status = list_load(db, &list, err);
	if (status == STATUS_OK)
		status = lite_recall_load(db, catalog, err);
	if (status == STATUS_OK)
		status = load_tables(db, catalog, &list, strict, complaint, err);
	list_finish(&list);
	if (status == STATUS_OK)
		*ret = catalog;
	else
		lite_catalog_free(catalog);
	return status;
}

void lite_catalog_table_finish(struct lite_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		free(table->columns[i].name);
		free(table->columns[i].type);
		free(table->columns[i].withheld_as[0]);
		free(table->columns[i].withheld_as[1]);
	}
	free(table->columns);
	free(table->column_names);
	free(table->name);
	table_rule_finish(&table->rule);
}

void lite_catalog_free(struct catalog *catalog)
{
	if (!catalog)
		return;
	for (size_t i = 0; i < catalog->count; i++)
		lite_catalog_table_finish(&catalog->tables[i]);
	lite_recall_finish(catalog);
	free(catalog->tables);
	free(catalog);
}

static const struct lite_table *almost(const struct catalog *catalog, const struct table_name *name, bool *matches)
{
	for (size_t i = 0; i < catalog->count; i++) {
		struct relation relation = {"main", catalog->tables[i].name, true, NULL, 0};

		*matches = table_name_matches(name, &relation);
		if (*matches || !strcasecmp(name->table, relation.table))
			return &catalog->tables[i];
	}
	return NULL;
}

static void warn_unprotecting(const struct catalog *catalog)
{
	AUTO_FREE struct relation *tables = mem_zero(catalog->count + 1, sizeof(*tables));

	for (size_t i = 0; i < catalog->count; i++)
		tables[i] = (struct relation){"main", catalog->tables[i].name, true, NULL, 0};
	doubts_of_unwatched("sqlite", catalog->rules, tables, catalog->count);
}

void lite_catalog_warn_idle(const struct catalog *catalog)
{
	warn_unprotecting(catalog);
	for (size_t i = 0; i < catalog->rules->old_row_count; i++) {
		bool matches = false;

		if (!almost(catalog, &catalog->rules->old_rows[i], &matches))
			log_warn("sqlite", "OLD_ROWS: table \"%s\" is not in TABLE_NAMES: naming it does nothing",
				catalog->rules->old_rows[i].text);
	}
	for (size_t r = 0; r < catalog->rules->route_count; r++) {
		const struct table_name *name = &catalog->rules->routes[r].table;
		bool matches = false;
		const struct lite_table *table = almost(catalog, name, &matches);

		if (!table)
			log_warn("sqlite", "TABLE_AUTH_COLUMN_ROUTING: table \"%s\" is not in TABLE_NAMES: its rule does nothing", name->text);
		else if (!matches && !table->rule.broadcast && !table->rule.route_count)
			log_warn("sqlite", "TABLE_AUTH_COLUMN_ROUTING: \"%s\" is no rule for table %s, whose rows reach no user: write "
				"the name as the table has it", name->text, table->name);
	}
}

void lite_catalog_warn_tokens(const struct catalog *catalog, const struct source_config *config)
{
	for (size_t i = 0; i < catalog->count; i++) {
		const struct lite_table *table = &catalog->tables[i];
		const struct watched watched = {
			{"main", table->name, true, table->column_names, table->count}, table->name, &table->rule};

		doubts_of_tokens("sqlite", config, &watched);
	}
}
