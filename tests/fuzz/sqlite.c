/* Rows of SQLite's journal, and the shapes that say what is in them: whoever may write to the application's file may have put
 * anything there. Every row becomes an event whose envelope is strict JSON for each class; a column that is not sent is in none,
 * and nobody is a receiver whose id is not a value of a routing column.
 *
 * Fields: the table; flags (b: broadcast, w: whole, p: published, e: emitted, u: update, d: delete, k: key alone); then for each
 * slot two: its name behind three letters (side 0 or 1; s: sent, r: routes, k: key, -: none of them; form), and its value behind a
 * letter (i integer, f real, t text, b BLOB, n NULL). A published row has values only in the second of the two.
 */
#include "fuzz.h"

#include <jansson.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "rules/ruleset.h"
#include "source/sqlite/reader.h"
#include "sql.h"
#include "wire/wire.h"

#define SLOTS_MAX 9
#define SECRET_NAME "not sent"

struct slot_input {
	bool sent, route;
	int side;
	char *name;
};

static struct db db = {.path = "fuzz.db", .stop_fd = -1};
static struct ruleset *rules;

static void run(const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(db.conn, sql, NULL, NULL, &message) != SQLITE_OK) {
		fprintf(stderr, "ERROR: %s: %s\n", sql, message);
		abort();
	}
}

static void open_db(void)
{
	struct err err;

	MUST(sqlite3_open(":memory:", &db.conn) == SQLITE_OK);
	run(sql_sqlite_schema);
	run("BEGIN");
	rules = ruleset_create(&(struct ruleset_text){.table_names = "orders,notes", .routing = "{\"orders\":\"owner\",\"notes\":\"*\"}",
				       .filters = "orders.password", .auth_table = "auth", .auth_column = "token"},
		&err);
	MUST(rules);
}

/* What the first letter makes of the rest. text: it may be anything, also no UTF-8 and with NULs. */
static void bind(sqlite3_stmt *stmt, int at, struct span value)
{
	char kind = value.len ? value.p[0] : 'n';
	struct span rest = {value.p + (value.len > 0), value.len ? value.len - 1 : 0};
	char *text = fuzz_text(rest);

	if (kind == 'i')
		sqlite3_bind_int64(stmt, at, strtoll(text, NULL, 10));
	else if (kind == 'f')
		sqlite3_bind_double(stmt, at, strtod(text, NULL));
	else if (kind == 'b')
		sqlite3_bind_blob(stmt, at, text, (int)rest.len, SQLITE_TRANSIENT);
	else if (kind != 'n')
		sqlite3_bind_text(stmt, at, text, (int)rest.len, SQLITE_TRANSIENT);
	free(text);
}

/* Made once: most of the time went into it. Reset at its next use. */
static sqlite3_stmt *prepare(const char *sql)
{
	static struct {
		char sql[160];
		sqlite3_stmt *stmt;
	} made[32];
	sqlite3_stmt *stmt = NULL;
	size_t at = 0;

	while (at < 31 && made[at].stmt && strcmp(made[at].sql, sql) != 0)
		at++;
	if (made[at].stmt) {
		sqlite3_reset(made[at].stmt);
		return made[at].stmt;
	}

	MUST(sqlite3_prepare_v2(db.conn, sql, -1, &stmt, NULL) == SQLITE_OK && strlen(sql) < sizeof(made[0].sql));
	memcpy(made[at].sql, sql, strlen(sql) + 1);
	return made[at].stmt = stmt;
}

static void write_shape(struct span topic, const char *flags)
{
	sqlite3_stmt *stmt = prepare("INSERT INTO esink_shape VALUES (1, ?1, 'w', ?2, ?3, NULL)");

	if (topic.len && *topic.p == 2) /* a BLOB, where text belongs */
		sqlite3_bind_blob(stmt, 1, topic.p, (int)topic.len, SQLITE_TRANSIENT);
	else
		sqlite3_bind_text(stmt, 1, topic.len ? topic.p : "", (int)topic.len, SQLITE_TRANSIENT);
	sqlite3_bind_int(stmt, 2, strchr(flags, 'b') != NULL);
	sqlite3_bind_int(stmt, 3, strchr(flags, 'w') != NULL);
	MUST(sqlite3_step(stmt) == SQLITE_DONE);
	sqlite3_reset(stmt);
}

static struct slot_input write_slot(int number, struct span field)
{
	sqlite3_stmt *stmt = prepare("INSERT INTO esink_column VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)");
	char *text = fuzz_text(field), letter = field.len > 1 ? text[1] : 's';
	struct slot_input slot = {.sent = letter == 's' || letter == 'k', .route = letter == 'r', .side = field.len ? text[0] & 1 : 0};

	slot.name = slot.sent ? strdup(field.len > 3 ? text + 3 : "") : strdup(SECRET_NAME);
	sqlite3_bind_int(stmt, 1, number);
	sqlite3_bind_int(stmt, 2, slot.side);
	if (slot.sent && field.len > 3 && text[3] == 2)
		sqlite3_bind_blob(stmt, 3, text + 3, (int)field.len - 3, SQLITE_TRANSIENT);
	else
		sqlite3_bind_text(stmt, 3, slot.name, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int(stmt, 4, slot.sent);
	sqlite3_bind_int(stmt, 5, slot.route);
	sqlite3_bind_int(stmt, 6, letter == 'k');
	sqlite3_bind_int(stmt, 7, field.len > 2 ? text[2] % 4 : 0);
	MUST(sqlite3_step(stmt) == SQLITE_DONE);
	sqlite3_reset(stmt);
	free(text);
	return slot;
}

static int kind_of(const char *flags)
{
	if (strpbrk(flags, "pe"))
		return strchr(flags, 'p') ? 8 : 9;
	return (strchr(flags, 'u') ? 1 : strchr(flags, 'd') ? 2 : 0) + (strchr(flags, 'k') ? 4 : 0);
}

static size_t write_row(struct span *input, const char *flags, struct slot_input *slots)
{
	sqlite3_stmt *stmt = prepare("INSERT INTO esink_event VALUES (7, ?1, ?2, julianday('now'), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");
	int kind = kind_of(flags);
	size_t count = 0;

	sqlite3_bind_int(stmt, 1, 1);
	sqlite3_bind_int(stmt, 2, kind);
	for (; input->len && count < SLOTS_MAX; count++) {
		struct span slot = fuzz_field(input), value = fuzz_field(input);

		slots[count] = write_slot((int)count + 1, slot);
		bind(stmt, (int)count + 3, value);
	}
	MUST(sqlite3_step(stmt) == SQLITE_DONE);
	sqlite3_reset(stmt);
	return count;
}

/* The id as SQLite casts a routing column of that side, or of either. */
static bool is_a_route(const struct slot_input *slots, size_t count, const struct receiver *receiver)
{
	bool found = false;

	for (size_t i = 0; i < count && !found; i++) {
		char sql[80];
		sqlite3_stmt *stmt;

		if (!slots[i].route)
			continue;
		snprintf(sql, sizeof(sql), "SELECT CAST(v%zu AS TEXT) FROM esink_event", i + 1);
		stmt = prepare(sql);
		MUST(sqlite3_step(stmt) == SQLITE_ROW);
		found = sqlite3_column_type(stmt, 0) == SQLITE_TEXT && (size_t)sqlite3_column_bytes(stmt, 0) == receiver->len &&
			memcmp(sqlite3_column_text(stmt, 0), receiver->id, receiver->len) == 0;
		sqlite3_reset(stmt);
	}
	return found;
}

static void check(struct event *event, int kind, const struct slot_input *slots, size_t count)
{
	for (int class = 0; class < CLASS_COUNT; class++) {
		AUTO_BUF struct buf envelope = buf_init(BUF_NO_MAX);
		json_t *json;

		MUST(envelope_write(&envelope, event, (enum event_class)class));
		json = json_loadb(envelope.bytes, envelope.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
		MUST(json && json_is_object(json_object_get(json, "data")));
		MUST(kind >= 8 || !json_object_get(json_object_get(json, "data"), SECRET_NAME));
		MUST(!json_object_get(json_object_get(json, "old"), SECRET_NAME));
		MUST(strcmp(event->topic.len == 6 ? event->topic.p : "", "orders") != 0 || !json_object_get(json_object_get(json, "data"), "password"));
		json_decref(json);
	}
	for (uint32_t i = 0; i < event->receiver_count && kind < 8; i++)
		MUST(utf8_valid(event->receivers[i].id, event->receivers[i].len) && is_a_route(slots, count, &event->receivers[i]));
}

static void read_back(int kind, const struct slot_input *slots, size_t count)
{
	struct reader reader;
	sqlite3_stmt *stmt = prepare(READER_SQL);
	struct event *event = NULL;
	struct err err = {""};

	lite_reader_init(&reader, rules, db.path);
	sqlite3_bind_int(stmt, 1, 1);
	sqlite3_bind_int(stmt, 2, 1);
	MUST(sqlite3_step(stmt) == SQLITE_ROW);
	if (lite_reader_event(&reader, &db, stmt, "0123456789abcdef", &event, &err) == STATUS_OK)
		check(event, kind, slots, count);
	else
		MUST(*err.text);
	event_unref(event);
	lite_reader_forget(&reader);
	sqlite3_reset(stmt);
	lite_reader_finish(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span input = {(const char *)bytes, size}, topic;
	struct slot_input slots[SLOTS_MAX];
	size_t count;
	char *flags;

	if (!db.conn)
		open_db();
	run("ROLLBACK; BEGIN");
	topic = fuzz_field(&input);
	flags = fuzz_text(fuzz_field(&input));
	write_shape(topic, flags);
	count = write_row(&input, flags, slots);
	read_back(kind_of(flags), slots, count);
	for (size_t i = 0; i < count; i++)
		free(slots[i].name);
	free(flags);
	return 0;
}
