/* MySQL's DDL commits by itself, statement by statement, so a plan that was cut off half way must do no harm and be gone on with:
 * tables come before shapes, shapes before the triggers that write them, and every plan (plan.h) is made by looking at what is there.
 *
 * What a trigger that names a column that is not there writes is told by its key at best (capture.c), so triggers are compared with
 * what they should be. MariaDB replaces one at once; MySQL drops it and makes the new one while the table is locked, so
 * that no write falls in between.
 */
#include "source/mysql/install.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/mysql/capture.h"
#include "source/mysql/error.h"
#include "source/mysql/fit.h"
#include "source/mysql/recall.h"
#include "source/mysql/rows.h"
#include "source/mysql/text.h"
#include "sql.h" /* made by the build from triggers/ */

#define TRIGGERS_TIMEOUT_MS 60000 /* of thousands of them */

/* Our own things, in the order in which schema.sql makes them. */
static const char *const kinds[] = {"outbox", "journal", "shape", "meta", "consumer", "mark", "prelock", "emit"};
#define KINDS (sizeof(kinds) / sizeof(*kinds))
#define FUNCTION (KINDS - 2)
#define PROCEDURE (KINDS - 1)
static const int versions[KINDS] = {1, 2, 1, 1, 2, 1, 1, 2};

static const char *name_of(const struct my_db *db, size_t kind)
{
	static const char *const names[] = {NULL, "esink_journal", "esink_shape", "esink_meta", "esink_consumer", "esink_mark", "esink_prelock",
		"esink_emit"};

	return kind ? names[kind] : db->config->outbox;
}

/* -- our own tables --------------------------------------------------------------------------------------------------- */

/* there[kind]: 0 not there, 1 ours, 2 of another version of us, 3 somebody else's, 4 a procedure that names the schema, as former versions
 * wrote it: in a copy of the database it would write to the outbox of the original. */
static enum status look(struct my_db *db, int there[KINDS], struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by the configuration */
	AUTO_BUF struct buf former = buf_init(BUF_NO_MAX); /* two names */
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status;
	MYSQL_ROW row;

	memset(there, 0, KINDS * sizeof(*there));
	buf_text(&sql, "SELECT TABLE_NAME, TABLE_COMMENT, '' FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN (");
	for (size_t kind = 0; kind < KINDS; kind++) {
		buf_text(&sql, kind ? ", " : "");
		my_text_literal(&sql, span_of(name_of(db, kind)));
	}
	my_text_table(&former, db->config->database, db->config->outbox);
	buf_text(&sql, ") UNION ALL SELECT ROUTINE_NAME, ROUTINE_COMMENT, ROUTINE_DEFINITION FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() "
		"AND (ROUTINE_NAME = 'esink_emit' AND ROUTINE_TYPE = 'PROCEDURE' OR ROUTINE_NAME = 'esink_prelock' AND ROUTINE_TYPE = 'FUNCTION')");
	status = my_query(db, sql.bytes, MY_TIMEOUT_MS, &rows, err);
	while (status == STATUS_OK && (row = mysql_fetch_row(rows)))
		for (size_t kind = 0; kind < KINDS; kind++) {
			AUTO_FREE char *comment = mem_format("esink %s %d", kinds[kind], versions[kind]);
			AUTO_FREE char *any = mem_format("esink %s ", kinds[kind]);

			if (!strcasecmp(row[0], name_of(db, kind)))
				there[kind] = !row[1] || strncmp(row[1], any, strlen(any)) != 0 ? 3 : strcmp(row[1], comment) != 0 ? 2 :
					row[2] && strstr(row[2], former.bytes) ? 4 : 1;
		}
	return status;
}

static enum status refuse(struct my_db *db, const int there[KINDS], struct err *err)
{
	for (size_t kind = 0; kind < KINDS; kind++)
		if (there[kind] == 2 || there[kind] == 3)
			return err_set(err, STATUS_INVALID, "%s: database \"%s\" has a %s \"%s\" that is not esink's, or of another version of "
				"it: rename or drop it%s", kind ? "MYSQL_DATABASE" : "MYSQL_TABLE_TARGET", db->config->database,
				kind == PROCEDURE ? "procedure" : kind == FUNCTION ? "function" : "table", name_of(db, kind), kind ? "" : ", or choose another name");
	return STATUS_OK;
}

/* Statement number kind of schema.sql: paragraphs, the comment before each left out. */
static char *schema_statement(struct my_db *db, size_t kind)
{
	struct buf names[KINDS];
	const char *pairs[2 * KINDS + 1] = {NULL}, *text = sql_mysql_schema;
	AUTO_FREE char *part = NULL;
	const char *end;
	char *sql;

	for (size_t i = 0; i < KINDS; i++) {
		names[i] = buf_init(BUF_NO_MAX); /* a name */
		my_text_name(&names[i], name_of(db, i));
		pairs[2 * i] = kinds[i];
		pairs[2 * i + 1] = names[i].bytes;
	}
	for (size_t i = 0; i <= kind && text; i++) {
		text = strstr(text, "\n\n");
		text = text ? text + 2 : NULL;
	}
	end = text ? strstr(text, "\n\n") : NULL;
	part = text ? mem_text_n(text, end ? (size_t)(end - text) : strlen(text)) : mem_text("");
	sql = my_text_fill(part, pairs);
	for (size_t i = 0; i < KINDS; i++)
		buf_finish(&names[i]);
	return sql;
}

/* With what was granted on it, which MySQL would take away: there it stays. */
static void plan_replacement(struct my_db *db, size_t kind, struct my_plan *plan)
{
	AUTO_FREE char *sql = schema_statement(db, kind);

	my_plan_add(plan, SUMMARY_REPLACE, mem_text(name_of(db, kind)), mem_format("CREATE OR REPLACE%s", sql + strlen("CREATE")), NULL);
}

enum status my_install_plan_schema(struct my_db *db, struct my_plan *plan, bool *any, struct err *err)
{
	int there[KINDS];
	enum status status = look(db, there, err);

	if (status == STATUS_OK)
		status = refuse(db, there, err);
	*any = false;
	for (size_t kind = 0; kind < KINDS && status == STATUS_OK; kind++) {
		*any |= there[kind] == 1;
		if (!there[kind])
			my_plan_add(plan, SUMMARY_CREATE, mem_text(name_of(db, kind)), schema_statement(db, kind), NULL);
		if (there[kind] == 4 && db->maria)
			plan_replacement(db, kind, plan);
	}
	return status;
}

/* -- triggers --------------------------------------------------------------------------------------------------------- */

struct present {
	MYSQL_RES *rows, *shapes;
	struct my_rows by_table, by_name, shapes_of; /* of one table in the order in which they fire */
	bool *kept;
};
enum { NAME, SCHEMA, TABLE, BODY, MODE, DEFINER, EVENT, TIMING, OURS };

/* With one list of names a schema: the server looks into a list by halves, and into conditions one by one. */
static void add_tables(const struct my_catalog *catalog, struct buf *sql)
{
	for (size_t i = 0; catalog && i < catalog->count; i++) {
		size_t before = 0;

		while (before < i && strcmp(catalog->tables[before].schema, catalog->tables[i].schema) != 0)
			before++;
		if (before < i)
			continue;
		buf_text(sql, " OR (EVENT_OBJECT_SCHEMA = ");
		my_text_literal(sql, span_of(catalog->tables[i].schema));
		for (size_t t = i; t < catalog->count; t++)
			if (!strcmp(catalog->tables[t].schema, catalog->tables[i].schema)) {
				buf_text(sql, t == i ? " AND EVENT_OBJECT_TABLE IN (" : ", ");
				my_text_literal(sql, span_of(catalog->tables[t].name));
			}
		buf_text(sql, "))");
	}
}

static enum status present_load(struct my_db *db, const struct my_catalog *catalog, struct present *present, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by the configuration */
	enum status status;

	buf_text(&sql, "SELECT TRIGGER_NAME, EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, ACTION_STATEMENT, SQL_MODE, DEFINER = CURRENT_USER(), "
		"EVENT_MANIPULATION, ACTION_TIMING, " CAPTURE_OURS " FROM information_schema.TRIGGERS WHERE (TRIGGER_NAME LIKE 'esink|_%' ESCAPE '|'");
	add_tables(catalog, &sql);
	buf_text(&sql, ") ORDER BY EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, ACTION_ORDER");
	status = my_query(db, sql.bytes, TRIGGERS_TIMEOUT_MS, &present->rows, err);
	if (status == STATUS_OK) {
		present->kept = mem_zero((size_t)mysql_num_rows(present->rows) + 1, sizeof(*present->kept));
		my_rows_index(&present->by_table, present->rows, SCHEMA, TABLE);
		my_rows_index(&present->by_name, present->rows, SCHEMA, NAME);
		mysql_data_seek(present->rows, 0);
	}
	return status;
}

/* Their table need not be there where we only look. */
static enum status shapes_load(struct my_db *db, bool only_look, struct present *present, struct err *err)
{
	enum status status;

	db->error = 0;
	status = my_query(db, MY_SHAPES_SQL, MY_TIMEOUT_MS, &present->shapes, err);
	if (status == STATUS_OK)
		my_rows_index(&present->shapes_of, present->shapes, SHAPE_TOPIC, SHAPE_WORD);
	return status != STATUS_OK && only_look && db->conn ? STATUS_OK : status;
}

static void present_finish(struct present *present)
{
	my_rows_finish(&present->by_table);
	my_rows_finish(&present->by_name);
	my_rows_finish(&present->shapes_of);
	my_cleanup_result(&present->rows);
	my_cleanup_result(&present->shapes);
	free(present->kept);
}

/* Whether a trigger of ours writes to this very outbox: others belong to a relay on another one. */
static bool writes_here(const struct my_db *db, MYSQL_ROW row)
{
	AUTO_BUF struct buf target = buf_init(BUF_NO_MAX); /* two names */

	buf_text(&target, "INSERT INTO ");
	my_text_table(&target, db->config->database, db->config->outbox);
	buf_text(&target, " ");
	return my_int(row[OURS]) && row[BODY] && strstr(row[BODY], target.bytes);
}

enum found { NOT_THERE, ELSEWHERE, OTHER, SAME };

/* Whether there is such a trigger: on another table, which was this one before it was renamed, with another body, or as it
 * should be. *on: that table. */
static enum found find(struct present *present, const struct my_table *table, const char *name, const char *body, const char **on)
{
	const struct my_row *there;
	MYSQL_ROW row;

	if (!my_rows_find(&present->by_name, table->schema, name, &there))
		return NOT_THERE;
	row = there->cells;
	present->kept[there->at] = true;
	*on = row[TABLE];
	if (strcmp(row[TABLE], table->name) != 0)
		return ELSEWHERE;
	return row[BODY] && my_capture_same(body, row[BODY]) && row[MODE] && !*row[MODE] && my_int(row[DEFINER]) ? SAME : OTHER;
}

/* It has one of ours for each kind of change. */
static bool is_captured(struct my_db *db, struct present *present, const struct my_table *table)
{
	const struct my_row *row;
	int have = 0;

	for (size_t left = my_rows_find(&present->by_table, table->schema, table->name, &row); left; left--, row++)
		have += writes_here(db, row->cells);
	return have == CAPTURE_TRIGGERS;
}

/* The first trigger of the application for the same event, which ours goes before: what it writes elsewhere comes after. What has our name
 * is being replaced. */
static void add_order(struct present *present, const struct my_table *table, int n, const char *name, struct buf *sql)
{
	const struct my_row *row;

	for (size_t left = my_rows_find(&present->by_table, table->schema, table->name, &row); left; left--, row++)
		if (!strcmp(row->cells[TIMING], "AFTER") && !strcmp(row->cells[EVENT], my_capture_events[n]) && !my_int(row->cells[OURS]) &&
			strcmp(row->cells[NAME], name) != 0) {
			buf_text(sql, " PRECEDES ");
			my_text_name(sql, row->cells[NAME]);
			return;
		}
}

static void plan_drop(const char *schema, const char *table, const char *name, enum summary_verb verb, bool lock, struct my_plan *plan)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX), on = buf_init(BUF_NO_MAX); /* names */

	buf_text(&sql, "DROP TRIGGER IF EXISTS ");
	my_text_table(&sql, schema, name);
	my_text_table(&on, schema, table);
	my_plan_add(plan, verb, verb == SUMMARY_DROP ? mem_format("%s on %s", name, table) : NULL, buf_take(&sql), lock ? buf_take(&on) : NULL);
}

static void plan_trigger(struct my_db *db, struct present *present, const struct my_table *table, int n, const char *body,
	struct my_plan *plan)
{
	AUTO_FREE char *name = my_capture_name(table, n);
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX), on = buf_init(BUF_NO_MAX); /* bounded by the table's columns */
	const char *there_on = NULL;
	enum found found = find(present, table, name, body, &there_on);
	bool lock = found == OTHER && !db->maria;

	if (found == SAME)
		return;
	my_text_table(&on, table->schema, table->name);
	if (found == ELSEWHERE || lock)
		plan_drop(table->schema, there_on, name, SUMMARY_REPLACE, lock, plan);
	buf_text(&sql, found == OTHER && db->maria ? "CREATE OR REPLACE TRIGGER " : "CREATE TRIGGER ");
	my_text_name(&sql, name);
	buf_printf(&sql, " AFTER %s ON ", my_capture_events[n]);
	my_text_name(&sql, table->name);
	buf_text(&sql, " FOR EACH ROW");
	add_order(present, table, n, name, &sql);
	buf_printf(&sql, " %s", body);
	my_plan_add(plan, found == OTHER ? SUMMARY_REPLACE : SUMMARY_CREATE, mem_format("%s on %s", name, table->topic), buf_take(&sql),
		lock ? buf_take(&on) : NULL)->schema = table->in_default_schema ? NULL : mem_text(table->schema);
}

/* The shape's id: the one it has, or a new one; 0: it has none, and we only look. */
static enum status shape_id(struct my_db *db, const struct my_form_shape *shape, bool only_look, const struct present *present, int64_t *id,
	struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX), layout = buf_init(BUF_NO_MAX); /* bounded by the table's columns */
	char word[FINGERPRINT_LEN + 1];
	const struct my_row *row;
	enum status status;
	size_t count;

	my_capture_word(shape, word);
	count = my_rows_find(&present->shapes_of, shape->topic, word, &row);
	*id = count ? my_int(row[count - 1].cells[SHAPE_ID]) : 0;
	if (*id || only_look)
		return STATUS_OK;
	my_form_write(shape, &layout);
	buf_text(&sql, "INSERT INTO esink_shape (topic, word, layout) VALUES (");
	my_text_literal(&sql, span_of(shape->topic));
	buf_printf(&sql, ", '%s', ", word);
	my_text_bytes(&sql, buf_as_span(&layout));
	buf_text(&sql, ")");
	status = my_run_buf(db, &sql, MY_TIMEOUT_MS, err);
	*id = status == STATUS_OK ? (int64_t)mysql_insert_id(db->conn) : 0;
	return status;
}

static void plan_doubt(const struct my_table *table, MYSQL_ROW shape, struct my_plan *plan)
{
	AUTO_BUF struct buf mark = buf_init(BUF_NO_MAX), layout = buf_init(BUF_NO_MAX); /* bounded by the table's columns */
	struct span before = span_of(shape[SHAPE_LAYOUT]);
	struct my_form_shape former = {0};

	my_form_read(before, &former);
	if (my_fit_withholds(&former) && my_fit_judge(&former, table->column_names, table->count) != FIT_WHOLE) {
		my_form_write(&former, &layout);
		if (!span_equal(before, buf_as_span(&layout))) {
			buf_text(&mark, "UPDATE esink_shape SET word = '', layout = ");
			my_text_bytes(&mark, buf_as_span(&layout));
			buf_printf(&mark, " WHERE id = %s", shape[SHAPE_ID]);
			my_plan_add(plan, SUMMARY_REPLACE, NULL, buf_take(&mark), NULL);
		}
	}
	my_form_finish(&former);
}

/* What former triggers wrote and still write, until they are replaced, may not be what their shape says (fit.c). It is written
 * down before they are, since today's columns may be gone when the rows are moved. */
static void plan_doubts(const struct my_table *table, int64_t current, const struct present *present, struct my_plan *plan)
{
	const struct my_row *row;

	for (size_t left = my_rows_find(&present->shapes_of, table->topic, NULL, &row); left; left--, row++)
		if (my_int(row->cells[SHAPE_ID]) != current)
			plan_doubt(table, row->cells, plan);
}

/* Also one that has been gone, or of no interest, for a while: its shape stays for as long as anybody could resume before that. */
static enum status was_watched(struct my_db *db, const struct my_table *table, bool *watched, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* a name */
	int64_t shapes = 0;
	enum status status;

	buf_text(&sql, "SELECT COUNT(*) FROM esink_shape WHERE topic = ");
	my_text_literal(&sql, span_of(table->topic));
	status = my_number(db, sql.bytes, &shapes, err);
	*watched = shapes > 0;
	return status;
}

static enum status look_whether_captured(struct my_db *db, const struct my_table *table, struct present *present, struct my_plan *plan,
	struct err *err)
{
	bool watched = plan->running, ours = false;
	const struct my_row *row;
	enum status status = STATUS_OK;

	if (is_captured(db, present, table))
		return STATUS_OK;
	/* Not by one that was just being altered: everybody would be sent away for it. */
	if (!my_rows_find(&present->by_table, table->schema, table->name, &row))
		status = my_recall_is_ours(db, table, &ours, err);
	if (status == STATUS_OK && ours)
		return err_set(err, STATUS_TOO_MANY, "table %s is being altered: looking again", table->topic);
	if (status == STATUS_OK && !watched)
		status = was_watched(db, table, &watched, err);
	if (status == STATUS_OK && watched)
		buf_printf(&plan->uncaptured, "%s%s", plan->uncaptured.len ? ", " : "", table->topic);
	return status;
}

static enum status plan_table(struct my_db *db, const struct my_table *table, bool only_look, struct present *present,
	struct my_plan *plan, struct buf *current, struct err *err)
{
	struct my_form_shape shape;
	int64_t id = 0;
	enum status status = only_look ? STATUS_OK : look_whether_captured(db, table, present, plan, err);

	my_capture_shape(table, &shape);
	if (status == STATUS_OK)
		status = shape_id(db, &shape, only_look, present, &id, err);
	if (status == STATUS_OK && !only_look)
		plan_doubts(table, id, present, plan);
	if (status == STATUS_OK) {
		buf_printf(current, ", %" PRId64, id);
		for (int n = 0; n < CAPTURE_TRIGGERS; n++) {
			AUTO_FREE char *body = my_capture_body(db, table, &shape, id, n);

			plan_trigger(db, present, table, n, body, plan);
		}
	}
	my_form_finish(&shape);
	return status;
}

/* New shapes in one transaction, which waits for the disk once; it ends before any trigger is made. */
static enum status plan_tables(struct my_db *db, const struct my_catalog *catalog, bool only_look, struct present *present,
	struct my_plan *plan, struct buf *current, struct err *err)
{
	enum status status = only_look ? STATUS_OK : my_run(db, "START TRANSACTION", MY_TIMEOUT_MS, err);
	struct err ignored;

	for (size_t i = 0; i < catalog->count && status == STATUS_OK; i++)
		status = plan_table(db, &catalog->tables[i], only_look, present, plan, current, err);
	if (status == STATUS_OK && !only_look)
		status = my_run(db, "COMMIT", MY_TIMEOUT_MS, err);
	if (status != STATUS_OK && !only_look && db->conn && my_run(db, "ROLLBACK", MY_TIMEOUT_MS, &ignored) != STATUS_OK)
		my_close(db);
	return status;
}

/* information_schema passes over a table while an ALTER TABLE replaces its definition. One that has a trigger of ours and a name of the
 * configuration is there all the same: nothing may be concluded from such a look. */
static const char *passed_over(struct my_db *db, const struct my_catalog *catalog, struct present *present)
{
	const struct ruleset *rules = catalog->rules;
	MYSQL_ROW row;

	mysql_data_seek(present->rows, 0);
	for (size_t i = 0; (row = mysql_fetch_row(present->rows)); i++) {
		struct relation on = {row[SCHEMA], row[TABLE], !strcasecmp(row[SCHEMA], db->config->database), NULL, 0};

		for (size_t t = 0; !present->kept[i] && writes_here(db, row) && t < rules->table_count; t++)
			if (table_name_matches(&rules->tables[t], &on) && !my_catalog_has(catalog, row[SCHEMA], row[TABLE]))
				return row[TABLE];
	}
	return NULL;
}

enum status my_install_plan_triggers(struct my_db *db, const struct my_catalog *catalog, bool only_look, struct my_plan *plan,
	struct err *err)
{
	struct present present = {0};
	AUTO_BUF struct buf current = buf_init(BUF_NO_MAX); /* bounded by the tables */
	enum status status = present_load(db, catalog, &present, err);
	MYSQL_ROW row;

	plan->uncaptured.max = BUF_NO_MAX; /* likewise */
	buf_text(&plan->uncaptured, "");
	buf_text(&current, "UPDATE esink_shape SET retired = CURRENT_TIMESTAMP WHERE retired IS NULL AND id NOT IN (0");
	if (status == STATUS_OK)
		status = shapes_load(db, only_look, &present, err);
	if (status == STATUS_OK)
		status = plan_tables(db, catalog, only_look, &present, plan, &current, err);
	if (status == STATUS_OK && !only_look && passed_over(db, catalog, &present))
		status = err_set(err, STATUS_TOO_MANY, "table %s is being altered: looking again", passed_over(db, catalog, &present));
	if (status == STATUS_OK) {
		mysql_data_seek(present.rows, 0);
		for (size_t i = 0; (row = mysql_fetch_row(present.rows)); i++)
			if (!present.kept[i] && writes_here(db, row))
				plan_drop(row[SCHEMA], row[TABLE], row[NAME], SUMMARY_DROP, false, plan);
		buf_text(&current, ")");
		if (plan->count)
			my_plan_add(plan, SUMMARY_REPLACE, NULL, buf_take(&current), NULL);
	}
	present_finish(&present);
	return status;
}

/* -- the end of everything ---------------------------------------------------------------------------------------------- */

enum status my_install_plan_removal(struct my_db *db, struct my_plan *plan, struct err *err)
{
	struct present present = {0};
	int there[KINDS];
	MYSQL_ROW row;
	enum status status = present_load(db, NULL, &present, err);

	while (status == STATUS_OK && (row = mysql_fetch_row(present.rows)))
		if (writes_here(db, row))
			plan_drop(row[SCHEMA], row[TABLE], row[NAME], SUMMARY_DROP, false, plan);
	present_finish(&present);
	if (status == STATUS_OK)
		status = look(db, there, err);
	for (size_t kind = KINDS; kind-- > 0 && status == STATUS_OK;) {
		AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* two names */

		if (!there[kind] || there[kind] == 3)
			continue;
		buf_printf(&sql, "DROP %s IF EXISTS ", kind == PROCEDURE ? "PROCEDURE" : kind == FUNCTION ? "FUNCTION" : "TABLE");
		my_text_table(&sql, db->config->database, name_of(db, kind));
		my_plan_add(plan, SUMMARY_DROP, mem_text(name_of(db, kind)), buf_take(&sql), NULL);
	}
	return status;
}
