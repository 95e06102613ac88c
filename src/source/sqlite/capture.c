/* What a trigger writes: the row's values, each into a column v<slot> of its own, which has no type and keeps it as it is.
 *
 *   v1 .. v<front>   the columns that may leave the table or that route, in table order: of the new row, of a delete the old
 *   the rest         of an update's old row the key and the routing columns, with OLD_ROWS all of them
 *
 * Whether an update changed the audience is found out when the row is read, not by the writer. Measured against building JSON
 * in the trigger this costs the writer half: the trigger's whole work is one record.
 *
 * One thing could make the INSERT fail: a record longer than the writer's SQLITE_LIMIT_LENGTH, 10^9 bytes or, where an
 * application follows https://sqlite.org/security.html, 10^6. So each value that can be long at all is looked at by itself
 * (add_guarded()), and one that the record may not have room for is written as CAPTURE_TOO_LONG, 16 bytes; the reader tells the
 * key alone of such a row. The length of a value as a BLOB is known without looking at its bytes. Measured against a pair of
 * triggers with opposite conditions on the sum of all lengths it costs the writer a third.
 */
#include "source/sqlite/capture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/sqlite/recall.h"
#include "source/sqlite/text.h"
#include "sql.h" /* made by the build from triggers/ */

/* Shares of the record, in bytes. Values shorter than these together fit into a record of 10^6 bytes. */
#define SMALL_FIXED 350000 /* of keys, users, and columns declared as numbers, which only hold text by mistake */
#define SMALL_LONG 400000  /* of the others */
#define FIXED_MAX 100000   /* longest of the first kind */
#define PROBE 2400000      /* a writer whose limit is below has room for the small ones only; any other's is taken to be SQLite's */
#define RECORD_MAX 900000000

enum { INSERT, UPDATE, DELETE, EVENTS };
static const char *const words[] = {"insert", "update", "delete"};
static const char *const events[] = {"INSERT", "UPDATE", "DELETE"};

static void add_slot(struct shape *shape, size_t column, int side, bool sent, bool route)
{
	shape->slots[shape->count++] = (struct slot){column, side, sent, route};
}

static void make_slots(struct shape *shape, const bool *route, bool whole, bool old_rows)
{
	const struct lite_table *table = shape->table;

	shape->count = 0;
	shape->whole = whole;
	shape->old = whole && old_rows;
	for (int side = 0; side < 2; side++) {
		for (size_t i = 0; i < table->count; i++) {
			bool sent = table->rule.sent[i] && (table->columns[i].key || (whole && (!side || old_rows)));

			if (sent || route[i])
				add_slot(shape, i, side, sent, route[i]);
		}
		if (!side)
			shape->front = shape->count;
	}
}

void lite_shape_make(const struct lite_table *table, struct shape *shape)
{
	AUTO_FREE bool *route = mem_zero(table->count + 1, sizeof(*route));
	AUTO_BUF struct buf text = buf_init(BUF_NO_MAX); /* bounded by the table's columns */

	*shape = (struct shape){.table = table};
	shape->slots = mem_zero(2 * table->count + 1, sizeof(*shape->slots));
	for (size_t i = 0; i < table->rule.route_count; i++)
		route[table->rule.route[i]] = true;
	make_slots(shape, route, !table->rule.missing, table->rule.old_rows);
	if (shape->count > CAPTURE_MAX_SLOTS)
		make_slots(shape, route, !table->rule.missing, false);
	if (shape->count > CAPTURE_MAX_SLOTS)
		make_slots(shape, route, false, false);
	if (shape->count > CAPTURE_MAX_SLOTS) /* a key of a thousand columns: nothing can be told of it */
		shape->count = shape->front = 0;
	lite_shape_write(shape, 0, &text);
	fingerprint_text(buf_as_span(&text), shape->word);
}

void lite_shape_finish(struct shape *shape)
{
	free(shape->slots);
	*shape = (struct shape){0};
}

static void write_slot(int64_t id, size_t slot, int side, const char *name, const char *rest, struct buf *sql)
{
	buf_printf(sql, "INSERT INTO esink_column VALUES (%" PRId64 ", %zu, %d, ", id, slot, side);
	text_literal(sql, name);
	buf_printf(sql, ", %s);\n", rest);
}

void lite_shape_write(const struct shape *shape, int64_t id, struct buf *sql)
{
	size_t slots = shape->count;
	char rest[64];

	buf_printf(sql, "INSERT INTO esink_shape (id, topic, word, broadcast, whole) VALUES (%" PRId64 ", ", id);
	text_literal(sql, shape->table->name);
	buf_printf(sql, ", '%s', %d, %d);\n", shape->word, shape->table->rule.broadcast, shape->whole + shape->old);
	for (size_t i = 0; i < shape->count; i++) {
		const struct slot *slot = &shape->slots[i];
		const struct lite_column *column = &shape->table->columns[slot->column];

		snprintf(rest, sizeof(rest), "%d, %d, %d, %d", slot->sent, slot->route, column->key, column->form);
		write_slot(id, i + 1, slot->side, column->name, rest, sql);
	}
	for (size_t i = 0; i < shape->table->count; i++) {
		const struct lite_column *column = &shape->table->columns[i];

		if (!column->withheld_as[0])
			continue;
		write_slot(id, ++slots, 2, column->name, "0, 0, 0, 0", sql);
		write_slot(id, ++slots, 3, column->withheld_as[0], "0, 0, 0, 0", sql);
		write_slot(id, ++slots, 4, column->withheld_as[1], "0, 0, 0, 0", sql);
	}
}

static void add_value(const struct shape *shape, size_t i, int event, struct buf *out)
{
	buf_text(out, event == DELETE || shape->slots[i].side ? "OLD." : "NEW.");
	text_name(out, shape->table->columns[shape->slots[i].column].name);
}

static size_t slots_of(const struct shape *shape, int event)
{
	return event == UPDATE ? shape->count : shape->front;
}

/* SQLite's column affinity is one that makes numbers of text. */
static bool is_numeric(const char *type)
{
	return strcasestr(type, "int") || (*type && !strcasestr(type, "char") && !strcasestr(type, "clob") &&
		!strcasestr(type, "text") && !strcasestr(type, "blob"));
}

/* Nothing is lost when a long value in it is not told. A JSON or DATETIME column is numeric, too, but holds text. */
static bool is_fixed(const struct slot *slot, const struct lite_column *column)
{
	return slot->route || column->key || strcasestr(column->type, "int") || strcasestr(column->type, "real") ||
		strcasestr(column->type, "floa") || strcasestr(column->type, "doub");
}

/* How many values of an event can be long, of each kind. */
struct guarded {
	size_t fixed, others;
};

static struct guarded count_guarded(const struct shape *shape, int event)
{
	struct guarded guarded = {0, 0};

	for (size_t i = 0; i < slots_of(shape, event); i++) {
		const struct lite_column *column = &shape->table->columns[shape->slots[i].column];

		if (!column->is_short)
			(*(is_fixed(&shape->slots[i], column) ? &guarded.fixed : &guarded.others))++;
	}
	return guarded;
}

/* An application may have lowered SQLITE_LIMIT_LENGTH, which nothing in SQL tells; but printf() gives NULL for text longer than
 * that, and is asked for long values only (with zeros, which it writes eight times as fast as blanks). Numbers sort before any text: that comparison saves making text of them. Every word here
 * is paid for by applications that compile their statement anew each time. SQLITE_LIMIT_EXPR_DEPTH may be 10: this is 7 deep. */
static void add_guarded(const struct shape *shape, const struct guarded *guarded, size_t i, int event, struct buf *out)
{
	const struct lite_column *column = &shape->table->columns[shape->slots[i].column];
	bool fixed = is_fixed(&shape->slots[i], column);
	AUTO_BUF struct buf text = buf_init(BUF_NO_MAX); /* a name */
	const char *value;
	size_t share;

	add_value(shape, i, event, &text);
	value = text.bytes;
	if (column->is_short) {
		buf_text(out, value);
		return;
	}
	share = fixed ? SMALL_FIXED / guarded->fixed : SMALL_LONG / guarded->others;
	buf_text(out, "CASE WHEN ");
	if (is_numeric(column->type))
		buf_printf(out, "%s >= '' COLLATE BINARY AND ", value);
	buf_printf(out, "length(CAST(%s AS BLOB)) > %zu THEN ", value, fixed && share > FIXED_MAX ? FIXED_MAX : share);
	if (fixed)
		buf_text(out, CAPTURE_TOO_LONG_SQL);
	else
		buf_printf(out, "CASE WHEN printf('%%0%dd', 0) IS NULL THEN " CAPTURE_TOO_LONG_SQL " WHEN length(CAST(%s AS BLOB)) > %zu THEN "
			CAPTURE_TOO_LONG_SQL " ELSE %s END", PROBE, value, RECORD_MAX / guarded->others, value);
	buf_printf(out, " ELSE %s END", value);
}

static struct lite_trigger make_trigger(const struct shape *shape, int64_t id, int event)
{
	AUTO_BUF struct buf name = buf_init(BUF_NO_MAX), table = buf_init(BUF_NO_MAX); /* bounded by the table's columns */
	AUTO_BUF struct buf slots = buf_init(BUF_NO_MAX), values = buf_init(BUF_NO_MAX);
	AUTO_FREE char *id_text = mem_format("%" PRId64, id), *kind = mem_format("%d", event);
	struct guarded guarded = count_guarded(shape, event);
	struct lite_trigger trigger;

	trigger.name = mem_format("esink %s %s", words[event], shape->table->name);
	text_name(&name, trigger.name);
	text_name(&table, shape->table->name);
	buf_text(&slots, "");
	buf_text(&values, "");
	for (size_t i = 0; i < slots_of(shape, event); i++) {
		buf_printf(&slots, ", v%zu", i + 1);
		buf_text(&values, ", ");
		add_guarded(shape, &guarded, i, event, &values);
	}
	trigger.sql = text_fill(sql_sqlite_capture,
		(const char *const[]){"name", name.bytes, "event", events[event], "table", table.bytes, "slots", slots.bytes,
			"shape", id_text, "kind", kind, "values", values.bytes, NULL});
	return trigger;
}

size_t lite_capture_triggers(const struct shape *shape, int64_t id, struct lite_trigger triggers[CAPTURE_TRIGGERS])
{
	AUTO_FREE char *guard_name = mem_format("esink withheld %s", shape->table->name);
	AUTO_BUF struct buf quoted = buf_init(BUF_NO_MAX); /* a name */
	size_t count = 0;
	char *guard;

	for (int event = 0; event < EVENTS; event++)
		triggers[count++] = make_trigger(shape, id, event);
	text_name(&quoted, guard_name);
	guard = lite_recall_trigger(shape->table, quoted.bytes);
	if (guard) {
		triggers[count].name = guard_name;
		guard_name = NULL;
		triggers[count++].sql = guard;
	}
	return count;
}
