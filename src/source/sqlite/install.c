/* A plan is the text of the statements that lead from what is there to what should be; it is made by reading, and when it is
 * not empty it is made again and run in one write transaction, so that nothing can change in between.
 *
 * A trigger that names a column that is not there makes every write of its table fail, so triggers are compared byte by byte
 * with what they should be. SQLite fires a table's triggers from the youngest to the oldest; an application's own trigger
 * that writes again must not come before ours, or the second change would get the lower id: when one is younger, ours are
 * made anew.
 */
#include "source/sqlite/install.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/sqlite/capture.h"
#include "source/sqlite/recall.h"
#include "source/sqlite/text.h"
#include "sql.h" /* made by the build from triggers/ */

#define VERSION 1
#define FIRST_SLOTS 9 /* of schema.sql, and of a published row: see reader.c */
/* Of the triggers in a file, ours. */
#define OURS "type = 'trigger' AND (substr(name, 1, 13) IN ('esink insert ', 'esink update ', 'esink delete ') OR " \
	"substr(name, 1, 12) = 'esink large ' OR substr(name, 1, 15) = 'esink withheld ')"

struct present {
	struct one {
		char *name, *table, *sql;
		int64_t place;
		bool ours, kept;
	} *items; /* table by table, as by_table() has them */
	size_t count, room;
	struct {
		char *topic, *word;
		int64_t id;
		bool retired;
	} *shapes;
	size_t shape_count, shape_room;
};

static void present_finish(struct present *present)
{
	for (size_t i = 0; i < present->count; i++) {
		free(present->items[i].name);
		free(present->items[i].table);
		free(present->items[i].sql);
	}
	free(present->items);
	for (size_t i = 0; i < present->shape_count; i++) {
		free(present->shapes[i].topic);
		free(present->shapes[i].word);
	}
	free(present->shapes);
}

static int by_table(const void *a, const void *b)
{
	return strcasecmp(((const struct one *)a)->table, ((const struct one *)b)->table);
}

static enum status present_load(struct db *db, struct present *present, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	enum status status = db_prepare(db, "SELECT name, tbl_name, sql, rowid, " OURS " FROM sqlite_schema "
		"WHERE type = 'trigger'", &stmt, err);

	while (status == STATUS_OK && (status = db_step(db, stmt, err)) == STATUS_OK) {
		mem_grow(&present->items, &present->room, present->count, sizeof(*present->items));
		present->items[present->count++] = (struct one){
			.name = mem_text((const char *)sqlite3_column_text(stmt, 0)),
			.table = mem_text((const char *)sqlite3_column_text(stmt, 1)),
			.sql = mem_text((const char *)sqlite3_column_text(stmt, 2)),
			.place = sqlite3_column_int64(stmt, 3),
			.ours = sqlite3_column_int(stmt, 4)};
	}
	if (present->count)
		qsort(present->items, present->count, sizeof(*present->items), by_table);
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status shapes_load(struct db *db, struct present *present, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	enum status status = db_prepare(db, "SELECT topic, word, id, retired IS NOT NULL FROM esink_shape ORDER BY id", &stmt, err);

	while (status == STATUS_OK && (status = db_step(db, stmt, err)) == STATUS_OK) {
		mem_grow(&present->shapes, &present->shape_room, present->shape_count, sizeof(*present->shapes));
		present->shapes[present->shape_count].topic = mem_text(db_bytes(stmt, 0).p);
		present->shapes[present->shape_count].word = mem_text(db_bytes(stmt, 1).p);
		present->shapes[present->shape_count].id = sqlite3_column_int64(stmt, 2);
		present->shapes[present->shape_count++].retired = sqlite3_column_int(stmt, 3);
	}
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* The triggers of a table: from *first on, as many as are returned. */
static size_t triggers_of(const struct present *present, const char *table, struct one **first)
{
	struct one key = {.table = (char *)table}, *any, *end = present->items + present->count;
	size_t count = 0;

	any = present->count ? bsearch(&key, present->items, present->count, sizeof(*present->items), by_table) : NULL;
	while (any && any > present->items && !by_table(any - 1, &key))
		any--;
	for (*first = any; any && any < end && !by_table(any, &key); any++)
		count++;
	return count;
}

/* -- our own tables --------------------------------------------------------------------------------------------------- */

static enum status refuse_strangers(struct db *db, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	enum status status = db_prepare(db, "SELECT name FROM sqlite_schema WHERE (name = 'esink_event' AND "
		"sql NOT LIKE 'CREATE TABLE esink_event (id INTEGER PRIMARY KEY, shape, kind, at, v1%') OR (name = 'esink_meta' AND "
		"sql NOT LIKE 'CREATE TABLE esink_meta (version INTEGER NOT NULL%') OR (name = 'esink_consumer' AND "
		"sql NOT LIKE 'CREATE TABLE esink_consumer (name TEXT NOT NULL PRIMARY KEY, topics%') OR (name = 'esink_mark' AND "
		"sql NOT LIKE 'CREATE TABLE esink_mark (consumer TEXT NOT NULL, id%')", &stmt, err);

	if (status == STATUS_OK)
		status = db_step(db, stmt, err);
	if (status == STATUS_OK)
		return err_set(err, STATUS_INVALID, "SQLITE_PATH: \"%s\" has a table %s that is not esink's: rename it, for esink "
			"keeps its journal under that name", db->path, (const char *)sqlite3_column_text(stmt, 0));
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* *whole: all parts are there, and of this version. */
static enum status look_at_schema(struct db *db, bool *whole, bool *any, struct err *err)
{
	int64_t parts = 0, version = 0;
	enum status status = refuse_strangers(db, err);

	if (status == STATUS_OK)
		status = db_number(db, "SELECT count(*) FROM sqlite_schema WHERE name IN ('esink_event', 'esink_shape', "
			"'esink_column', 'esink_meta', 'esink_emit', 'esink emit')", &parts, err);
	if (status == STATUS_OK && parts == 6)
		status = db_number(db, "SELECT coalesce(max(version), 0) FROM esink_meta", &version, err);
	*any = parts > 0;
	*whole = parts == 6 && version == VERSION;
	return status;
}

static void plan_schema(bool any, struct present *present, struct buf *plan)
{
	for (size_t i = 0; i < present->count; i++) {
		if (!present->items[i].ours)
			continue;
		buf_text(plan, "DROP TRIGGER ");
		text_name(plan, present->items[i].name);
		buf_text(plan, ";\n");
	}
	present_finish(present);
	*present = (struct present){0};
	if (any)
		buf_text(plan, sql_sqlite_uninstall);
	buf_text(plan, sql_sqlite_schema);
	buf_printf(plan, "INSERT INTO esink_meta VALUES (%d, '');\n", VERSION);
}

/* Those of consumers: without them nothing of the journal is lost, so they are made by themselves. */
static enum status plan_consumers(struct db *db, struct buf *plan, struct err *err)
{
	static const char sql[] = "SELECT count(*) FROM sqlite_schema WHERE name = ";
	int64_t consumer = 0, mark = 0, whole = 0;
	char one[160];
	enum status status;

	snprintf(one, sizeof(one), "%s'esink_consumer'", sql);
	status = db_number(db, one, &consumer, err);
	snprintf(one, sizeof(one), "%s'esink_consumer' AND sql LIKE '%%, generation INTEGER%%'", sql);
	if (status == STATUS_OK)
		status = db_number(db, one, &whole, err);
	snprintf(one, sizeof(one), "%s'esink_mark'", sql);
	if (status == STATUS_OK)
		status = db_number(db, one, &mark, err);
	if (status == STATUS_OK && consumer && !whole)
		buf_text(plan, "ALTER TABLE esink_consumer ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;\n");
	if (status != STATUS_OK || (consumer && mark))
		return status;
	if (mark)
		buf_text(plan, "DROP TABLE esink_mark;\n");
	buf_text(plan, consumer ? strstr(sql_sqlite_consumers, "CREATE TABLE esink_mark") : sql_sqlite_consumers);
	return STATUS_OK;
}

/* -- one watched table ------------------------------------------------------------------------------------------------ */

/* The shape's id: the one it has, or the next one, with the statements that make it. */
static int64_t plan_shape(const struct shape *shape, const struct present *present, int64_t *next, struct buf *plan)
{
	int64_t id;

	for (size_t i = 0; i < present->shape_count; i++)
		if (!present->shapes[i].retired && !strcmp(present->shapes[i].word, shape->word) && !strcmp(present->shapes[i].topic, shape->table->name))
			return present->shapes[i].id;
	id = (*next)++;
	lite_shape_write(shape, id, plan);
	return id;
}

static bool is_overtaken(const struct present *present, const char *table)
{
	int64_t oldest = INT64_MAX, youngest = 0;
	struct one *one;

	for (size_t left = triggers_of(present, table, &one); left; left--, one++) {
		if (one->ours && one->place < oldest)
			oldest = one->place;
		if (!one->ours && one->place > youngest)
			youngest = one->place;
	}
	return youngest > oldest;
}

static bool keep(struct present *present, const char *table, const struct lite_trigger *trigger)
{
	struct one *one;

	for (size_t left = triggers_of(present, table, &one); left; left--, one++)
		if (one->ours && !strcmp(one->name, trigger->name) && !strcmp(one->sql, trigger->sql))
			return one->kept = true;
	return false;
}

/* It has one of ours for each kind of change. */
static bool is_captured(const struct present *present, const char *table)
{
	struct one *one;
	int kinds = 0;

	for (size_t left = triggers_of(present, table, &one); left; left--, one++)
		kinds += one->ours && (!strncmp(one->name, "esink insert ", 13) || !strncmp(one->name, "esink update ", 13) ||
					      !strncmp(one->name, "esink delete ", 13));
	return kinds == 3;
}

/* Also one that has been gone, or of no interest, for a while: its shape stays for as long as anybody could resume before that. */
static bool was_watched(const struct present *present, const char *table)
{
	for (size_t i = 0; i < present->shape_count; i++)
		if (!strcasecmp(present->shapes[i].topic, table))
			return true;
	return false;
}

/* wanted: what must be created once all that is not kept is gone. */
static void plan_triggers(const struct shape *shape, int64_t id, struct present *present, struct buf *wanted)
{
	struct lite_trigger triggers[CAPTURE_TRIGGERS];
	size_t count = lite_capture_triggers(shape, id, triggers);
	bool overtaken = is_overtaken(present, shape->table->name);

	for (size_t i = 0; i < count; i++) {
		if (overtaken || !keep(present, shape->table->name, &triggers[i])) {
			buf_text(wanted, triggers[i].sql);
			buf_text(wanted, ";\n");
		}
		free(triggers[i].name);
		free(triggers[i].sql);
	}
}

static enum status plan_width(struct db *db, bool whole, size_t slots, struct buf *plan, struct err *err)
{
	int64_t have = FIRST_SLOTS;
	enum status status = STATUS_OK;

	/* A thousand columns added one by one take SQLite ten seconds and more: it reads the whole schema again for each. */
	if (!whole && slots > FIRST_SLOTS) {
		buf_text(plan, "DROP TABLE esink_event;\nCREATE TABLE esink_event (id INTEGER PRIMARY KEY, shape, kind, at");
		for (size_t slot = 1; slot <= slots; slot++)
			buf_printf(plan, ", v%zu", slot);
		buf_text(plan, ");\n");
		return STATUS_OK;
	}
	if (whole)
		status = db_number(db, "SELECT count(*) FROM pragma_table_info('esink_event') WHERE name LIKE 'v%'", &have, err);
	for (size_t slot = (size_t)have + 1; status == STATUS_OK && slot <= slots; slot++)
		buf_printf(plan, "ALTER TABLE esink_event ADD COLUMN v%zu;\n", slot);
	return status;
}

struct parts {
	struct buf shapes, triggers, current;
	size_t slots;
	int64_t next;
	bool strict;
};

static void plan_table(const struct lite_table *table, struct present *present, struct parts *parts, struct install_result *result)
{
	struct shape shape;
	int64_t id;

	lite_shape_make(table, &shape);
	id = plan_shape(&shape, present, &parts->next, &parts->shapes);
	if (shape.count > parts->slots)
		parts->slots = shape.count;
	if (!is_captured(present, table->name) && (!parts->strict || was_watched(present, table->name)))
		buf_printf(&result->uncaptured, "%s%s", result->uncaptured.len ? ", " : "", table->name);
	if (table->count && !shape.whole && !table->rule.missing)
		log_warn("sqlite", "table %s has too many columns for one row of the journal: its events carry keys alone", table->name);
	plan_triggers(&shape, id, present, &parts->triggers);
	buf_printf(&parts->current, "%s%" PRId64, parts->current.len ? ", " : "", id);
	lite_shape_finish(&shape);
}

/* -- the plan --------------------------------------------------------------------------------------------------------- */

static void assemble(const struct parts *parts, const struct present *present, bool whole, struct buf *plan)
{
	for (size_t i = 0; i < present->count; i++) {
		const struct one *one = &present->items[i];

		if (!one->ours || one->kept)
			continue;
		buf_text(plan, "DROP TRIGGER ");
		text_name(plan, one->name);
		buf_text(plan, ";\n");
	}
	buf_span(plan, buf_as_span(&parts->shapes));
	buf_span(plan, buf_as_span(&parts->triggers));
	if (plan->len && whole)
		buf_printf(plan, "UPDATE esink_shape SET retired = julianday('now') WHERE retired IS NULL AND id NOT IN (%s);\n",
			parts->current.len ? parts->current.bytes : "0");
}

static enum status make_plan(struct db *db, const struct catalog *catalog, bool strict, struct install_result *result, struct err *err)
{
	struct present present = {0};
	struct parts parts = {.shapes = buf_init(BUF_NO_MAX), .triggers = buf_init(BUF_NO_MAX), .current = buf_init(BUF_NO_MAX),
		.slots = FIRST_SLOTS, .next = 1, .strict = strict}; /* all bounded by the schema */
	struct buf *plan = &result->statements;
	bool whole = false, any = false;
	enum status status = look_at_schema(db, &whole, &any, err);

	if (status == STATUS_OK)
		status = present_load(db, &present, err);
	if (status == STATUS_OK && !whole)
		plan_schema(any, &present, plan);
	result->made_schema = !whole;
	if (status == STATUS_OK && whole)
		status = db_number(db, "SELECT coalesce(max(id), 0) + 1 FROM esink_shape", &parts.next, err);
	if (status == STATUS_OK && whole)
		status = shapes_load(db, &present, err);
	for (size_t i = 0; i < catalog->count && status == STATUS_OK; i++)
		plan_table(&catalog->tables[i], &present, &parts, result);
	if (status == STATUS_OK)
		status = plan_width(db, whole, parts.slots, plan, err);
	if (status == STATUS_OK)
		assemble(&parts, &present, whole, plan);
	if (status == STATUS_OK)
		status = plan_consumers(db, plan, err);
	buf_finish(&parts.shapes);
	buf_finish(&parts.triggers);
	buf_finish(&parts.current);
	present_finish(&present);
	return status;
}

static void result_clear(struct install_result *result)
{
	result->statements.max = result->uncaptured.max = BUF_NO_MAX; /* bounded by the schema */
	buf_clear(&result->statements);
	buf_clear(&result->uncaptured);
}

void lite_install_result_finish(struct install_result *result)
{
	buf_finish(&result->statements);
	buf_finish(&result->uncaptured);
}

static enum status load_and_plan(struct db *db, const struct ruleset *rules, bool strict, struct catalog **catalog,
	struct install_result *result, struct err *complaint, struct err *err)
{
	enum status status = lite_catalog_load(db, rules, strict, catalog, complaint, err);

	result_clear(result);
	return status == STATUS_OK ? make_plan(db, *catalog, strict, result, err) : status;
}

enum status lite_install_plan(struct db *db, const struct ruleset *rules, struct catalog **catalog,
	struct install_result *result, struct err *err)
{
	return load_and_plan(db, rules, true, catalog, result, NULL, err);
}

static void roll_back(struct db *db)
{
	struct err ignored;

	if (!sqlite3_get_autocommit(db->conn) && db_run(db, "ROLLBACK", &ignored) != STATUS_OK)
		db_close(db);
}

/* One look, and what it says, in a transaction that begins with `begin`. */
static enum status attempt(struct db *db, const char *begin, const struct ruleset *rules, bool strict,
	struct install_result *result, int64_t *schema_version, struct err *complaint, struct err *err)
{
	struct catalog *catalog = NULL;
	enum status status = db_run(db, begin, err);
	bool run = !strcmp(begin, "BEGIN IMMEDIATE");

	if (status != STATUS_OK)
		return status;
	complaint->text[0] = 0;
	status = load_and_plan(db, rules, strict, &catalog, result, complaint, err);
	if (status == STATUS_OK && run && result->statements.len)
		status = db_run(db, result->statements.bytes, err);
	if (status == STATUS_OK)
		status = db_number(db, "PRAGMA schema_version", schema_version, err);
	if (status == STATUS_OK && catalog && (run || !result->statements.len))
		lite_recall_complaint(catalog, complaint);
	lite_catalog_free(catalog);
	if (status == STATUS_OK)
		status = db_run(db, "COMMIT", err);
	if (status != STATUS_OK)
		roll_back(db);
	return status;
}

enum status lite_install_all(struct db *db, const struct ruleset *rules, bool strict, struct install_result *result,
	int64_t *schema_version, struct err *complaint, struct err *err)
{
	int64_t version = 0;
	enum status status = attempt(db, "BEGIN", rules, strict, result, &version, complaint, err);

	if (status == STATUS_OK && result->statements.len)
		status = attempt(db, "BEGIN IMMEDIATE", rules, strict, result, &version, complaint, err);
	if (status == STATUS_OK) /* what was looked at and not done is looked at again */
		*schema_version = version;
	return status;
}

static enum status list_consumers(struct db *db, struct buf *lines, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	enum status status = db_prepare(db, "SELECT name FROM esink_consumer ORDER BY name", &stmt, err);

	while (status == STATUS_OK && (status = db_step(db, stmt, err)) == STATUS_OK)
		buf_printf(lines, "  consumer \"%s\", with what it has not read\n", (const char *)sqlite3_column_text(stmt, 0));
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status lite_install_list(struct db *db, struct buf *lines, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	int64_t consumers = 0;
	enum status status = refuse_strangers(db, err);

	if (status == STATUS_OK)
		status = db_prepare(db, "SELECT type || ' \"' || name || '\"' || iif(type = 'trigger', ' on ' || tbl_name, '') "
			"FROM sqlite_schema WHERE name IN ('esink_event', 'esink_shape', 'esink_column', 'esink_meta', 'esink_emit', "
			"'esink_consumer', 'esink_mark') OR (" OURS ") ORDER BY type DESC, name", &stmt, err);
	while (status == STATUS_OK && (status = db_step(db, stmt, err)) == STATUS_OK)
		buf_printf(lines, "  %s\n", (const char *)sqlite3_column_text(stmt, 0));
	if (status == STATUS_NOT_FOUND)
		status = db_number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'esink_consumer'", &consumers, err);
	return status == STATUS_OK && consumers ? list_consumers(db, lines, err) : status;
}

enum status lite_install_remove(struct db *db, struct err *err)
{
	struct present present = {0};
	AUTO_BUF struct buf plan = buf_init(BUF_NO_MAX); /* bounded by the schema */
	enum status status = db_run(db, "BEGIN IMMEDIATE", err);

	if (status != STATUS_OK)
		return status;
	status = refuse_strangers(db, err);
	if (status == STATUS_OK)
		status = present_load(db, &present, err);
	for (size_t i = 0; i < present.count; i++)
		if (present.items[i].ours) {
			buf_text(&plan, "DROP TRIGGER ");
			text_name(&plan, present.items[i].name);
			buf_text(&plan, ";\n");
		}
	present_finish(&present);
	buf_text(&plan, sql_sqlite_uninstall);
	buf_text(&plan, "DROP TABLE IF EXISTS esink_mark;\nDROP TABLE IF EXISTS esink_consumer;\n");
	if (status == STATUS_OK)
		status = db_run(db, plan.bytes, err);
	if (status == STATUS_OK)
		status = db_run(db, "COMMIT", err);
	if (status != STATUS_OK)
		roll_back(db);
	return status;
}
