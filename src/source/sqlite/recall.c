/* The rules name columns and names move: after `RENAME secret TO old_secret; ADD secret` the rules would send the column that
 * holds every secret so far, and after two names were swapped, the wrong one of them.
 *
 * A column has no number in SQLite that outlives a dropped neighbour. But SQLite itself follows names: it writes a column's
 * new name into every trigger. So each table with withheld columns has a trigger that lists them and never fires
 * (triggers/sqlite/withheld.sql), and after a rename the list has the new names; the trigger's body has those of the day on
 * which they were first withheld, as literals, pairs of table and column:
 *
 *   CREATE TRIGGER "esink withheld users" AFTER UPDATE OF "old_secret" ON "users" WHEN 0 BEGIN SELECT 'users', 'secret'; END
 *
 * A table that is rebuilt under its name loses the trigger, and so does one whose triggers were dropped by hand: what they
 * remembered of renamed columns is kept in esink_column as well, with the table's newest shape.
 *
 * A column stays withheld as long as the rules withhold that old name, whatever it is called now; /ready says so. That ends
 * when FILTERS or COLUMNS no longer withhold it, or with `esink --uninstall`, which forgets. Where a FILTERS column is missing
 * and no list tells which one it was, nothing of the table is sent but keys.
 */
#include "source/sqlite/recall.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/sqlite/text.h"
#include "sql.h" /* made by the build from triggers/ */

#define GROUP 500 /* of pairs: no SELECT may have more than 2000 columns, and an UPDATE compiles what never runs, too */
#define AGAIN "; SELECT "

char *lite_recall_trigger(const struct lite_table *table, const char *name)
{
	AUTO_BUF struct buf columns = buf_init(BUF_NO_MAX), names = buf_init(BUF_NO_MAX); /* bounded by the table's columns */
	AUTO_BUF struct buf on = buf_init(BUF_NO_MAX);
	size_t pairs = 0;

	for (size_t i = 0; i < table->count; i++) {
		const struct lite_column *column = &table->columns[i];

		if (table->rule.sent[i])
			continue;
		if (columns.len) {
			buf_text(&columns, ", ");
			buf_text(&names, ++pairs % GROUP ? ", " : AGAIN);
		}
		text_name(&columns, column->name);
		text_literal(&names, column->withheld_as[0] ? column->withheld_as[0] : table->name);
		buf_text(&names, ", ");
		text_literal(&names, column->withheld_as[1] ? column->withheld_as[1] : column->name);
	}
	if (!columns.len)
		return NULL;
	text_name(&on, table->name);
	return text_fill(sql_sqlite_withheld,
		(const char *const[]){"name", name, "columns", columns.bytes, "table", on.bytes, "names", names.bytes, NULL});
}

/* Do today's rules withhold what had this name then? */
static bool still_withheld(const struct catalog *catalog, const char *table, const char *column)
{
	struct relation then = {"main", table, true, &column, 1};
	struct table_rule rule;
	bool withheld;

	ruleset_bind(catalog->rules, &then, &rule);
	withheld = !rule.sent[0];
	table_rule_finish(&rule);
	return withheld;
}

static void recall(const struct catalog *catalog, struct lite_table *table, const char *name, char *const then[2])
{
	for (size_t i = 0; i < table->count; i++) {
		struct lite_column *column = &table->columns[i];

		if (strcasecmp(column->name, name) != 0 || !table->rule.sent[i] ||
			(!table->rule.missing_filter && !still_withheld(catalog, then[0], then[1])))
			continue;
		table->rule.sent[i] = false;
		for (int part = 0; part < 2; part++)
			column->withheld_as[part] = mem_text(then[part]);
	}
}

static char *next(const char **at, char quote)
{
	*at += strspn(*at, ", ");
	return text_unquote(at, quote);
}

/* The two lists of the guard trigger, in step. */
static bool read_guard(const struct catalog *catalog, struct lite_table *table, const char *sql)
{
	const char *names = strchr(sql, '"'), *literals;
	AUTO_FREE char *own = names ? text_unquote(&names, '"') : NULL;
	bool any = false;
	char *name;

	names = own ? strstr(names, " OF ") : NULL;
	literals = names ? strstr(names, "BEGIN SELECT ") : NULL;
	if (!literals)
		return false;
	names += strlen(" OF ");
	literals += strlen("BEGIN SELECT ");
	while ((name = next(&names, '"'))) {
		char *then[2] = {NULL, NULL};

		if (!strncmp(literals, AGAIN, strlen(AGAIN)))
			literals += strlen(AGAIN);
		then[0] = next(&literals, '\'');
		then[1] = next(&literals, '\'');
		if (then[0] && then[1])
			recall(catalog, table, name, then);
		any |= then[1] != NULL;
		free(name);
		free(then[0]);
		free(then[1]);
	}
	return any;
}

/* -- what the file remembers, read once for all tables ----------------------------------------------------------------- */

static struct lite_remembered *add(struct catalog *catalog, sqlite3_stmt *stmt)
{
	struct lite_remembered *one;

	mem_grow(&catalog->remembered, &catalog->remembered_room, catalog->remembered_count, sizeof(*catalog->remembered));
	one = &catalog->remembered[catalog->remembered_count++];
	*one = (struct lite_remembered){.table = mem_text(db_bytes(stmt, 0).p)};
	return one;
}

static enum status load_guards(struct db *db, struct catalog *catalog, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	enum status status = db_prepare(db, "SELECT tbl_name, sql FROM sqlite_schema WHERE type = 'trigger' AND "
		"substr(name, 1, 15) = 'esink withheld '", &stmt, err);

	while (status == STATUS_OK && (status = db_step(db, stmt, err)) == STATUS_OK)
		add(catalog, stmt)->guard = mem_text(db_bytes(stmt, 1).p);
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* What the triggers said when they were last looked at, by the names of then: lite_shape_write() keeps it. */
static enum status load_kept(struct db *db, struct catalog *catalog, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	int64_t there = 0;
	enum status status = db_number(db, "SELECT count(*) FROM sqlite_schema WHERE name IN ('esink_shape', 'esink_column')", &there, err);

	if (status != STATUS_OK || there != 2)
		return status;
	status = db_prepare(db, "SELECT s.topic, a.name, b.name, c.name FROM (SELECT max(id) AS id, topic FROM esink_shape GROUP BY "
		"topic COLLATE NOCASE) s JOIN esink_column a ON a.shape = s.id AND a.side = 2 JOIN esink_column b ON b.shape = a.shape AND "
		"b.slot = a.slot + 1 JOIN esink_column c ON c.shape = a.shape AND c.slot = a.slot + 2 ORDER BY a.shape, a.slot", &stmt, err);
	while (status == STATUS_OK && (status = db_step(db, stmt, err)) == STATUS_OK) {
		struct lite_remembered *one = add(catalog, stmt);

		one->name = mem_text(db_bytes(stmt, 1).p);
		one->then[0] = mem_text(db_bytes(stmt, 2).p);
		one->then[1] = mem_text(db_bytes(stmt, 3).p);
	}
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status lite_recall_load(struct db *db, struct catalog *catalog, struct err *err)
{
	enum status status = load_guards(db, catalog, err);

	return status == STATUS_OK ? load_kept(db, catalog, err) : status;
}

void lite_recall_finish(struct catalog *catalog)
{
	for (size_t i = 0; i < catalog->remembered_count; i++) {
		struct lite_remembered *one = &catalog->remembered[i];

		free(one->table);
		free(one->guard);
		free(one->name);
		free(one->then[0]);
		free(one->then[1]);
	}
	free(catalog->remembered);
}

void lite_recall_withheld(const struct catalog *catalog, struct lite_table *table)
{
	bool known = false;

	for (size_t i = 0; i < catalog->remembered_count; i++) {
		const struct lite_remembered *one = &catalog->remembered[i];

		if (one->guard && !strcasecmp(one->table, table->name))
			known |= read_guard(catalog, table, one->guard);
	}
	for (size_t i = 0; i < catalog->remembered_count && !known; i++) {
		const struct lite_remembered *one = &catalog->remembered[i];

		if (!one->guard && !strcasecmp(one->table, table->name))
			recall(catalog, table, one->name, one->then);
	}
	for (size_t i = 0; i < table->count && !known && table->rule.missing_filter; i++)
		table->rule.sent[i] = false;
}

void lite_recall_complaint(const struct catalog *catalog, struct err *complaint)
{
	for (size_t t = 0; t < catalog->count; t++) {
		const struct lite_table *table = &catalog->tables[t];

		for (size_t i = 0; i < table->count && !complaint->text[0]; i++) {
			const struct lite_column *column = &table->columns[i];

			if (column->withheld_as[0])
				err_set(complaint, STATUS_FAILED, "FILTERS: column \"%s\" of table %s was withheld as %s.%s and then "
					"renamed; it stays withheld: add %s.%s to FILTERS, or, if it may be sent, run esink --uninstall and "
					"start again", column->name, table->name, column->withheld_as[0], column->withheld_as[1],
					table->name, column->name);
		}
	}
}
