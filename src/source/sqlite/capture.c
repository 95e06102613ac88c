/* What a trigger writes: the row's values, each into a column v<slot> of its own, which has no type and keeps it as it is.
 *
 *   v1 .. v<front>   the columns that may leave the table or that route, in table order: of the new row, of a delete the old
 *   the rest         of an update's old row the key and the routing columns, with OLD_ROWS all of them
 *
 * Whether an update changed the audience is found out when the row is read, not by the writer. Measured against building JSON
 * in the trigger this costs the writer half: the trigger's whole work is one record.
 *
 * One thing could make the INSERT fail: a record longer than SQLite's limit of 10^9 bytes, when the row itself is near it. A
 * pair of triggers with opposite conditions handles it; the length of a value as a BLOB is known without looking at its bytes.
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

#define RECORD_MAX 990000000 /* of SQLite's 10^9, less what else is in the record */
#define KEY_MAX 100000       /* longest key or user that a row too long is told by */
#define GROUP 50             /* of operands: SQLite bounds an expression's depth at 1000 */

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
	buf_printf(sql, ", '%s', %d, %d);\n", shape->word, shape->table->rule.broadcast, shape->whole);
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

static void add_length(const struct shape *shape, size_t i, int event, struct buf *out)
{
	buf_text(out, "length(CAST(");
	add_value(shape, i, event, out);
	buf_text(out, " AS BLOB))");
}

static size_t slots_of(const struct shape *shape, int event)
{
	return event == UPDATE ? shape->count : shape->front;
}

/* The condition under which a row is too long, in groups with brackets around each. False: no row can be. */
static bool add_too_long(const struct shape *shape, int event, struct buf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < slots_of(shape, event); i++) {
		if (shape->table->columns[shape->slots[i].column].is_rowid)
			continue;
		buf_text(out, !n ? "(" : n % GROUP == 0 ? ") + (" : " + ");
		buf_text(out, "ifnull(");
		add_length(shape, i, event, out);
		buf_text(out, ", 0)");
		n++;
	}
	buf_printf(out, ") > %d", RECORD_MAX);
	return n > 0;
}

static void add_slots(const struct shape *shape, int event, bool large, struct buf *slots, struct buf *values)
{
	for (size_t i = 0; i < slots_of(shape, event); i++) {
		const struct slot *slot = &shape->slots[i];

		if (large && !slot->route && !(slot->sent && shape->table->columns[slot->column].key))
			continue;
		buf_printf(slots, ", v%zu", i + 1);
		buf_text(values, ", ");
		if (large) {
			buf_text(values, "CASE WHEN ");
			add_length(shape, i, event, values);
			buf_printf(values, " <= %d THEN ", KEY_MAX);
		}
		add_value(shape, i, event, values);
		buf_text(values, large ? " END" : "");
	}
}

static struct lite_trigger make_trigger(const struct shape *shape, int64_t id, int event, bool large, const char *when)
{
	AUTO_BUF struct buf name = buf_init(BUF_NO_MAX), table = buf_init(BUF_NO_MAX); /* bounded by the table's columns */
	AUTO_BUF struct buf slots = buf_init(BUF_NO_MAX), values = buf_init(BUF_NO_MAX);
	AUTO_FREE char *id_text = mem_format("%" PRId64, id), *kind = mem_format("%d", event + (large ? 4 : 0));
	struct lite_trigger trigger;

	trigger.name = mem_format("esink %s%s %s", large ? "large " : "", words[event], shape->table->name);
	text_name(&name, trigger.name);
	text_name(&table, shape->table->name);
	buf_text(&slots, "");
	buf_text(&values, "");
	add_slots(shape, event, large, &slots, &values);
	trigger.sql = text_fill(sql_sqlite_capture,
		(const char *const[]){"name", name.bytes, "event", events[event], "table", table.bytes, "when", when,
			"slots", slots.len ? slots.bytes : "", "shape", id_text, "kind", kind, "values", values.len ? values.bytes : "",
			NULL});
	return trigger;
}

size_t lite_capture_triggers(const struct shape *shape, int64_t id, struct lite_trigger triggers[CAPTURE_TRIGGERS])
{
	AUTO_FREE char *guard_name = mem_format("esink withheld %s", shape->table->name);
	AUTO_BUF struct buf quoted = buf_init(BUF_NO_MAX); /* a name */
	size_t count = 0;
	char *guard;

	for (int event = 0; event < EVENTS; event++) {
		AUTO_BUF struct buf large = buf_init(BUF_NO_MAX); /* bounded by the table's columns */
		bool can_be_large = add_too_long(shape, event, &large);
		AUTO_FREE char *small = can_be_large ? mem_format("NOT (%s)", large.bytes) : mem_text("1");

		triggers[count++] = make_trigger(shape, id, event, false, small);
		if (can_be_large)
			triggers[count++] = make_trigger(shape, id, event, true, large.bytes);
	}
	text_name(&quoted, guard_name);
	guard = lite_recall_trigger(shape->table, quoted.bytes);
	if (guard) {
		triggers[count].name = guard_name;
		guard_name = NULL;
		triggers[count++].sql = guard;
	}
	return count;
}
