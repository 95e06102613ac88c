/* A transaction that writes to a table holds its definition until it commits, and an ALTER TABLE waits for it. So when a table
 * still has the columns of a shape after the rows were read, those rows were written while it had them; and when it has not, the
 * rows are marked, before they are written down and anybody is told.
 *
 * information_schema is asked, not the table: a statement on the table would queue up behind an ALTER TABLE that waits for some
 * long transaction, and every other table's events behind it. It passes over a table whose definition is just being replaced, with
 * a warning. Then we are not sure and come again, and when that lasts, an ALTER TABLE with LOCK=EXCLUSIVE, tell the key alone.
 *
 * Nothing is asked where neither the rules keep anything back, nor the shapes of former rules, nor of tables of which they do not.
 */
#include "source/mysql/guard.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "rules/ruleset.h"
#include "source/mysql/error.h"
#include "source/mysql/text.h"

#define UNSURE_MS 1000

void my_guard_forget(struct my_guard *guard)
{
	for (size_t i = 0; i < guard->count; i++) {
		my_form_finish(&guard->shapes[i].shape);
		buf_finish(&guard->shapes[i].layout);
	}
	guard->count = 0;
	guard->state = GUARD_UNKNOWN;
}

void my_guard_finish(struct my_guard *guard)
{
	my_guard_forget(guard);
	free(guard->shapes);
}

static enum status find(struct my_guard *guard, struct my_db *db, int64_t id, struct my_guard_shape **ret, struct err *err)
{
	struct my_guard_shape one = {.layout = buf_init(BUF_NO_MAX)}; /* bounded by the table's columns */
	enum status status;

	for (size_t i = guard->count; i-- > 0;)
		if (guard->shapes[i].shape.id == id) {
			*ret = &guard->shapes[i];
			return STATUS_OK;
		}
	status = my_form_load(db, id, &one.shape, err);
	if (status != STATUS_OK && (status != STATUS_NOT_FOUND || db->error == MY_NO_TABLE))
		return status;
	one.shape.id = id; /* one that nobody wrote down is told to nobody */
	one.withholds = one.shape.topic && my_fit_withholds(&one.shape);
	mem_grow(&guard->shapes, &guard->room, guard->count, sizeof(*guard->shapes));
	guard->shapes[guard->count] = one;
	*ret = &guard->shapes[guard->count++];
	return STATUS_OK;
}

/* Which shapes the rows have. *any: one that keeps something back. */
static enum status look_at_rows(struct my_guard *guard, struct my_db *db, const struct my_moved *moved, bool *any, struct err *err)
{
	struct my_guard_shape *one = NULL;
	enum status status = STATUS_OK;

	*any = false;
	for (size_t i = 0; i < guard->count; i++)
		guard->shapes[i].present = false;
	for (size_t i = 0; i < moved->count && status == STATUS_OK; i++) {
		int64_t id = moved->rows[i].shape;

		if (!id || (one && one->shape.id == id)) /* mostly they come one after the other */
			continue;
		status = find(guard, db, id, &one, err);
		if (status == STATUS_OK && one->withholds)
			*any = one->present = true;
	}
	return status;
}

/* A topic is table or schema.table, and both may hold a dot: the rules say where. */
static size_t schema_len(const struct my_db *db, const struct my_form_shape *shape)
{
	const struct ruleset *rules = db->config->rules;

	for (size_t i = 0; i < rules->table_count; i++) {
		const char *schema = rules->tables[i].schema;
		size_t len = schema ? strlen(schema) : 0;

		if (len && !strncasecmp(shape->topic, schema, len) && shape->topic[len] == '.' &&
			!strcasecmp(shape->topic + len + 1, rules->tables[i].table))
			return len;
	}
	return strcspn(shape->topic, ".");
}

static const char *table_of(const struct my_db *db, const struct my_form_shape *shape)
{
	size_t len = shape->in_default_schema ? 0 : schema_len(db, shape);

	return shape->in_default_schema ? shape->topic : shape->topic + len + (shape->topic[len] == '.');
}

static void ask(const struct my_db *db, const struct my_form_shape *shape, struct buf *sql)
{
	struct span schema = span_of(db->config->database);

	if (!shape->in_default_schema)
		schema = (struct span){shape->topic, schema_len(db, shape)};
	buf_printf(sql, "%s(SELECT %" PRId64 ", TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ",
		sql->len ? " UNION ALL " : "", shape->id);
	my_text_literal(sql, schema);
	buf_text(sql, " AND TABLE_NAME = ");
	my_text_literal(sql, span_of(table_of(db, shape)));
	buf_text(sql, ")");
}

static enum status ask_all(const struct my_guard *guard, struct my_db *db, MYSQL_RES **rows, bool *skipped, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by the shapes */
	enum status status;

	for (size_t i = 0; i < guard->count; i++)
		if (guard->shapes[i].present)
			ask(db, &guard->shapes[i].shape, &sql);
	buf_text(&sql, " ORDER BY 1, 4");
	status = my_query(db, sql.bytes, MY_TIMEOUT_MS, rows, err);
	*skipped = status == STATUS_OK && mysql_warning_count(db->conn) > 0;
	return status;
}

/* Its columns as they are now, of the rows of all. False: it has none. */
static bool judge(struct my_guard_shape *one, const struct my_db *db, MYSQL_RES *rows)
{
	const char *table = table_of(db, &one->shape);
	AUTO_FREE const char **names = mem_zero((size_t)mysql_num_rows(rows) + 1, sizeof(*names));
	AUTO_BUF struct buf layout = buf_init(BUF_NO_MAX); /* bounded by the table's columns */
	size_t count = 0;
	MYSQL_ROW row;

	mysql_data_seek(rows, 0);
	while ((row = mysql_fetch_row(rows)))
		if (my_int(row[0]) == one->shape.id && !strcmp(row[1], table)) {
			names[count++] = row[2];
			buf_json_string(&layout, span_of(row[2]));
		}
	if (!count)
		return false;
	if (!one->judged || !span_equal(buf_as_span(&layout), buf_as_span(&one->layout))) {
		one->fit = my_fit_judge(&one->shape, names, count);
		one->judged = true;
		buf_clear(&one->layout);
		buf_span(&one->layout, buf_as_span(&layout));
		if (one->fit != FIT_WHOLE)
			log_warn("mysql", "table %s: a withheld column has gone or columns have changed places, so that rows may hold it under "
				"another name: what was written with the triggers of before is told %s", one->shape.topic,
				one->fit == FIT_KEY ? "by its key alone" : "to nobody, without a value");
	}
	return true;
}

static void mark(struct my_moved *moved, const struct my_guard_shape *one)
{
	for (size_t i = 0; i < moved->count; i++)
		if (moved->rows[i].shape == one->shape.id)
			moved->rows[i].kind |= (int)one->fit;
}

static enum status unsure(struct my_guard *guard, struct err *err)
{
	int64_t now = clock_ms();

	if (!guard->unsure_since)
		guard->unsure_since = now;
	if (now - guard->unsure_since < UNSURE_MS)
		return err_set(err, STATUS_TOO_MANY, "a table is being altered");
	return STATUS_OK;
}

/* AUTH_TABLE's column is always among FILTERS; as a rule that table is not watched. */
static bool keeps_back(const struct ruleset *rules)
{
	bool any = rules->column_count > 0;

	for (size_t i = 0; i < rules->filter_count && !any; i++) {
		any = !rules->filters[i].implied;
		for (size_t j = 0; j < rules->table_count && !any; j++)
			any = !strcasecmp(rules->tables[j].table, rules->filters[i].table.table);
	}
	return any;
}

/* Also what waits since rules were others: who takes from FILTERS what has gone must not be told it under another name. */
static enum status settle(struct my_guard *guard, struct my_db *db, struct err *err)
{
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status = my_query(db, "SELECT layout FROM esink_shape", MY_TIMEOUT_MS, &rows, err);
	bool any = keeps_back(db->config->rules);
	MYSQL_ROW row;

	while (status == STATUS_OK && !any && (row = mysql_fetch_row(rows))) {
		struct my_form_shape shape = {0};

		my_form_read((struct span){row[0], mysql_fetch_lengths(rows)[0]}, &shape);
		any = my_fit_withholds(&shape);
		my_form_finish(&shape);
	}
	if (status == STATUS_OK)
		guard->state = any ? GUARD_ON : GUARD_IDLE;
	return status;
}

enum status my_guard_moved(struct my_guard *guard, struct my_db *db, struct my_moved *moved, struct err *err)
{
	AUTO_RESULT MYSQL_RES *rows = NULL;
	bool any = false, skipped = false, sure = true;
	enum status status = guard->state == GUARD_UNKNOWN ? settle(guard, db, err) : STATUS_OK;

	guard->doubt = false;
	if (status == STATUS_OK && guard->state == GUARD_ON)
		status = look_at_rows(guard, db, moved, &any, err);
	if (status != STATUS_OK || !any)
		return status;
	status = ask_all(guard, db, &rows, &skipped, err);
	for (size_t i = 0; i < guard->count && status == STATUS_OK; i++) {
		struct my_guard_shape *one = &guard->shapes[i];

		if (!one->present)
			continue;
		if (!judge(one, db, rows)) { /* the table has gone, or is being altered */
			sure &= !skipped;
			status = skipped ? unsure(guard, err) : STATUS_OK;
			one->fit = one->fit == FIT_NOTHING ? FIT_NOTHING : FIT_KEY;
			one->judged = false;
		}
		guard->doubt |= one->fit != FIT_WHOLE;
		if (status == STATUS_OK && one->fit != FIT_WHOLE)
			mark(moved, one);
	}
	if (sure)
		guard->unsure_since = 0;
	return status;
}
