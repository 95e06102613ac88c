/* What a trigger writes: one string of bytes (pack.h) with the row's values, one after the other.
 *
 *   side 0   the columns that may leave the table or that route, in table order: of the new row, of a delete the old
 *   side 1   of an update's old row the key and the routing columns, with OLD_ROWS all of them
 *
 * Whether an update changed the audience is found out when the row is read, not by the writer. JSON_OBJECT() in the trigger was
 * the alternative: it trusts invalid JSON, has no base64 of one line, and costs the writer what the relay can do.
 */
#include "source/mysql/capture.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/mysql/text.h"
#include "sql.h" /* made by the build from triggers/ */

#define KEY_MAX 100000 /* longest key or user that a row too long is told by */
#define NAME_MAX_CHARS 64

enum { INSERT, UPDATE, DELETE };
const char *const my_capture_events[CAPTURE_TRIGGERS] = {"INSERT", "UPDATE", "DELETE"};
static const char *const words[] = {"insert", "update", "delete"};

static bool routes(const struct my_table *table, size_t column)
{
	for (size_t i = 0; i < table->rule.route_count; i++)
		if (table->rule.route[i] == column)
			return true;
	return false;
}

static void add_side(const struct my_table *table, int side, struct my_form_shape *shape)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct my_column *column = &table->columns[i];
		bool whole = shape->whole && (!side || shape->old_rows), route = routes(table, i);
		bool sent = table->rule.sent[i] && (column->key || whole);

		if (sent || route)
			shape->slots[shape->count++] = (struct my_form_slot){mem_text(column->name), side, sent, route, column->key, column->form};
	}
}

void my_capture_shape(const struct my_table *table, struct my_form_shape *shape)
{
	*shape = (struct my_form_shape){.topic = mem_text(table->topic), .in_default_schema = table->in_default_schema,
		.broadcast = table->rule.broadcast, .whole = !table->rule.missing, .old_rows = table->rule.old_rows};
	shape->slots = mem_zero(2 * table->count + 1, sizeof(*shape->slots));
	shape->columns = mem_zero(table->count + 1, sizeof(*shape->columns));
	add_side(table, 0, shape);
	add_side(table, 1, shape);
	for (size_t i = 0; i < table->count; i++)
		shape->columns[shape->column_count++] = (struct my_form_column){mem_text(table->columns[i].name),
			table->columns[i].suspect ? FORM_SUSPECT : table->rule.sent[i] ? FORM_SENT : FORM_WITHHELD};
}

void my_capture_word(const struct my_form_shape *shape, char word[FINGERPRINT_LEN + 1])
{
	AUTO_BUF struct buf text = buf_init(BUF_NO_MAX); /* bounded by the table's columns */

	my_form_write(shape, &text);
	fingerprint_text(buf_as_span(&text), word);
}

/* A trigger's name is the name of a file, too, in which other characters take five bytes. */
char *my_capture_name(const struct my_table *table, int n)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	char word[FINGERPRINT_LEN + 1], *name = mem_format("esink_%s_%s", words[n], table->name);

	if (strlen(name) <= NAME_MAX_CHARS && !table->name[strspn(table->name, plain)])
		return name;
	free(name);
	fingerprint_text(span_of(table->name), word);
	return mem_format("esink_%s_%s", words[n], word);
}

static const struct my_column *column_of(const struct my_table *table, const char *name)
{
	for (size_t i = 0; i < table->count; i++)
		if (!strcmp(table->columns[i].name, name))
			return &table->columns[i];
	return NULL;
}

/* The arguments of the CONCAT_WS() for all slots; key_alone: those that are not the key or users are NULL. */
static void add_values(const struct my_table *table, const struct my_form_shape *shape, int n, bool key_alone, struct buf *out)
{
	for (size_t i = 0; i < shape->count; i++) {
		const struct my_form_slot *slot = &shape->slots[i];
		const struct my_column *column = column_of(table, slot->name);

		if (slot->side && n != UPDATE)
			continue;
		buf_text(out, "\n    ");
		if (key_alone && !slot->key && !slot->route)
			buf_text(out, ", ','");
		else
			my_value_sql(slot->form, column->charset, n == DELETE || slot->side ? "OLD" : "NEW", slot->name, key_alone ? KEY_MAX : 0, out);
	}
}

static char *fill(const char *word, const char *outbox, int64_t id, int n, const struct buf *values, const struct buf *keys)
{
	char shape[24], kind[16], key_kind[16];

	snprintf(shape, sizeof(shape), "%" PRId64, id);
	snprintf(kind, sizeof(kind), "%d", n);
	snprintf(key_kind, sizeof(key_kind), "%d", n + 4);
	return my_text_fill(sql_mysql_capture, (const char *const[]){"word", word, "outbox", outbox, "shape", shape, "kind", kind, "key_kind",
		key_kind, "values", values->bytes, "keys", keys->bytes, NULL});
}

char *my_capture_body(const struct my_table *table, const struct my_form_shape *shape, int64_t id, int n, const char *database,
	const char *outbox)
{
	AUTO_BUF struct buf values = buf_init(BUF_NO_MAX), keys = buf_init(BUF_NO_MAX), target = buf_init(BUF_NO_MAX); /* the columns */
	AUTO_FREE char *body = NULL;
	char word[FINGERPRINT_LEN + 1];

	buf_text(&values, "");
	buf_text(&keys, "");
	add_values(table, shape, n, false, &values);
	add_values(table, shape, n, true, &keys);
	my_text_table(&target, database, outbox);
	body = fill("", target.bytes, id, n, &values, &keys);
	fingerprint_text(span_of(body), word);
	return fill(word, target.bytes, id, n, &values, &keys);
}

bool my_capture_same(const char *body, const char *there)
{
	size_t len = strcspn(body, "\n");

	return strlen(there) > len && !strncmp(body, there, len);
}
