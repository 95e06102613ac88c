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

/* -- what a trigger writes -------------------------------------------------------------------------------------------- */

/* An INSERT that names a column which is gone, or has a type now that its function does not take, fails as a whole (1054, 4078), and in a
 * handler nothing catches that but a handler of its own. So behind the one with all values stand some with ever fewer, down to none. Each
 * costs the server memory, 25 kB for each time that it has the table open, but no writer a thing. There are no variables for this: a
 * trigger's are made whenever it runs. */
enum told { WHOLE, KEY_AND_USERS, KEY, USERS, NOTHING };

struct trigger {
	const struct my_table *table;
	const struct my_form_shape *shape;
	int64_t id;
	int n;
	const char *outbox; /* quoted, with its schema */
};

/* Files and the disk. They are not handled by writing less, but fail the write, as they would without a trigger: 3 and 20 are those of the
 * server's own files; 1015 to 1030 of files, 1114 and 1296 of tables, as the engine says. Memory may lack for what the trigger makes alone. */
#define MACHINE "3, 20, 1015, 1016, 1021, 1023, 1024, 1026, 1030, 1114, 1296, 1297"

/* What less can mend: of the row, its columns and their types, as more than max_allowed_packet (1048). The rest fails the write, as it would
 * without a trigger: a disk that is full, of which a key might find room, or a wait for a lock (1205), which is not begun again. SQLEXCEPTION
 * with a RESIGNAL for those would take 13 kB more for each INSERT. MariaDB says 4078 and 4079 of a type; what follows them is MySQL's. */
#define OF_THE_ROW "1048, 1054, 4078, 4079, 1210, 3037, 3156, 3854, 3988"

static bool tells(enum told told, const struct my_form_slot *slot)
{
	return told == WHOLE || (slot->key && (told == KEY_AND_USERS || told == KEY)) || (slot->route && (told == KEY_AND_USERS || told == USERS));
}

/* Whether it tells something, and less than the key and the users. */
static bool is_between(const struct my_form_shape *shape, enum told told)
{
	size_t count = 0, all = 0;

	for (size_t i = 0; i < shape->count; i++) {
		count += tells(told, &shape->slots[i]);
		all += tells(KEY_AND_USERS, &shape->slots[i]);
	}
	return count && count < all;
}

static void add_nulls(int count, struct buf *out)
{
	buf_text(out, count ? "\n    , '" : "");
	for (int i = 0; i < count; i++)
		buf_text(out, ",");
	buf_text(out, count ? "'" : "");
}

/* The arguments of the CONCAT_WS() for all slots; those that are not told are NULL. */
static void add_values(const struct trigger *trigger, enum told told, struct buf *out)
{
	int nulls = 0;

	for (size_t i = 0; i < trigger->shape->count; i++) {
		const struct my_form_slot *slot = &trigger->shape->slots[i];
		const char *row = trigger->n == DELETE || slot->side ? "OLD" : "NEW";

		if (slot->side && trigger->n != UPDATE)
			continue;
		if (!tells(told, slot)) {
			nulls++;
			continue;
		}
		add_nulls(nulls, out);
		nulls = 0;
		buf_text(out, "\n    ");
		my_value_sql(slot->form, column_of(trigger->table, slot->name)->charset, row, slot->name, told == WHOLE ? 0 : KEY_MAX, out);
	}
	add_nulls(nulls, out);
}

static void add_insert(const struct trigger *trigger, enum told told, struct buf *out)
{
	buf_printf(out, "INSERT INTO %s (shape, kind, actor, data) VALUES (%" PRId64 ", %d, LEFT(@esink_actor, 255), CONCAT_WS(_binary'', ''",
		trigger->outbox, trigger->id, trigger->n + 4);
	add_values(trigger, told, out);
	buf_text(out, "));");
}

/* What a handler does: tells so much, and where that fails, too, less. */
static void add_otherwise(const struct trigger *trigger, enum told told, struct buf *out)
{
	enum told less = told + 1;

	if (told == NOTHING) {
		add_insert(trigger, told, out);
		return;
	}
	while (less < NOTHING && !is_between(trigger->shape, less))
		less++;
	buf_text(out, "BEGIN\n  DECLARE CONTINUE HANDLER FOR " OF_THE_ROW "\n  ");
	add_otherwise(trigger, less, out);
	buf_text(out, "\n  ");
	add_insert(trigger, told, out);
	buf_text(out, "\n  END;");
}

static char *fill(const struct trigger *trigger, const char *word, const struct buf *values, const struct buf *otherwise)
{
	AUTO_BUF struct buf schema = buf_init(BUF_NO_MAX); /* a name */
	char shape[24], kind[16];

	my_text_literal(&schema, span_of(trigger->table->schema));
	snprintf(shape, sizeof(shape), "%" PRId64, trigger->id);
	snprintf(kind, sizeof(kind), "%d", trigger->n);
	return my_text_fill(sql_mysql_capture, (const char *const[]){"word", word, "outbox", trigger->outbox, "shape", shape, "kind", kind,
		"machine", MACHINE, "schema", schema.bytes, "values", values->bytes, "otherwise", otherwise->bytes, NULL});
}

char *my_capture_body(const struct my_db *db, const struct my_table *table, const struct my_form_shape *shape, int64_t id, int n)
{
	AUTO_BUF struct buf values = buf_init(BUF_NO_MAX), otherwise = buf_init(BUF_NO_MAX), target = buf_init(BUF_NO_MAX); /* the columns */
	struct trigger trigger = {table, shape, id, n, NULL};
	AUTO_FREE char *body = NULL;
	char word[FINGERPRINT_LEN + 1];

	my_text_table(&target, db->config->database, db->config->outbox);
	trigger.outbox = target.bytes;
	buf_text(&values, "");
	add_values(&trigger, WHOLE, &values);
	add_otherwise(&trigger, KEY_AND_USERS, &otherwise);
	body = fill(&trigger, "", &values, &otherwise);
	fingerprint_text(span_of(body), word);
	return fill(&trigger, word, &values, &otherwise);
}

bool my_capture_same(const char *body, const char *there)
{
	size_t len = strcspn(body, "\n");

	return strlen(there) > len && !strncmp(body, there, len);
}
