/* A row of esink_event is values without names; its shape says what they are. Here they become JSON text, users and an event.
 *
 * The database is the application's, and whoever writes to it may have put anything into esink_event by hand: nothing here
 * trusts a row to be well formed, and what cannot be understood is told as an event with its key alone.
 *
 * Text that is no UTF-8 is told with U+FFFD in the places; text with a NUL as \u0000. Neither is ever the id of a user.
 */
#include "source/sqlite/reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "source/sqlite/capture.h"
#include "source/sqlite/form.h"

enum column { ID, SHAPE, KIND, AT, VALUES };
enum { INSERT, UPDATE, DELETE, KEY_ALONE = 4, PUBLISHED = 8, EMITTED };
/* Of a published row, from VALUES on. */
enum { TOPIC, TYPE, DATA, AUDIENCE, SOURCE, SOURCE_TYPE, EVENT_VERSION, REF, TIMESTAMP };

#define DAY_MS 86400000.0
#define EPOCH 2440587.5 /* 1970 as a Julian day */

void lite_reader_init(struct reader *reader, const struct ruleset *rules, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct buf *bufs[] = {&reader->data, &reader->old, &reader->old_key, &reader->json, &reader->texts};

	*reader = (struct reader){.today.rules = rules, .source = slash ? slash + 1 : path};
	for (size_t i = 0; i < sizeof(bufs) / sizeof(*bufs); i++)
		*bufs[i] = buf_init(BUF_NO_MAX); /* bounded by SQLite's longest row */
}

void lite_reader_forget(struct reader *reader)
{
	for (size_t i = 0; i < reader->form_count; i++)
		lite_form_finish(&reader->forms[i]);
	reader->form_count = 0;
	sqlite3_finalize(reader->json_stmt);
	sqlite3_finalize(reader->list_stmt);
	reader->json_stmt = reader->list_stmt = NULL;
}

void lite_reader_finish(struct reader *reader)
{
	lite_reader_forget(reader);
	free(reader->forms);
	free(reader->users.items);
	free(reader->old_users.items);
	buf_finish(&reader->data);
	buf_finish(&reader->old);
	buf_finish(&reader->old_key);
	buf_finish(&reader->json);
	buf_finish(&reader->texts);
	today_finish(&reader->today);
}

/* Newest first: one shape after the other is in use. NULL: nobody wrote it down. */
static enum status form_of(struct reader *reader, struct db *db, int64_t id, const struct form **ret, struct err *err)
{
	struct form form;
	enum status status;

	*ret = NULL;
	for (size_t i = reader->form_count; i-- > 0;)
		if (reader->forms[i].id == id) {
			*ret = &reader->forms[i];
			return STATUS_OK;
		}
	status = lite_form_load(db, id, &form, err);
	if (status == STATUS_NOT_FOUND)
		return STATUS_OK;
	if (status != STATUS_OK)
		return status;
	mem_grow(&reader->forms, &reader->form_room, reader->form_count, sizeof(*reader->forms));
	reader->forms[reader->form_count] = form;
	*ret = &reader->forms[reader->form_count++];
	return STATUS_OK;
}

/* -- values ----------------------------------------------------------------------------------------------------------- */

/* Text of a JSON column: as it is, without white space, when it is one JSON value. SQLite's own parser lets pass what a
 * browser's does not; ruleset_filter_data() is strict, but takes objects only, and of several values the last part. */
static bool add_json(struct reader *reader, struct db *db, struct span text, struct buf *out)
{
	AUTO_FREE char *strict = NULL;
	struct err ignored;
	bool one;

	if (!utf8_valid(text.p, text.len) || (!reader->json_stmt &&
		db_prepare(db, "SELECT json_valid(?1)", &reader->json_stmt, &ignored) != STATUS_OK))
		return false;
	sqlite3_bind_text(reader->json_stmt, 1, text.p, (int)text.len, SQLITE_STATIC);
	one = db_step(db, reader->json_stmt, &ignored) == STATUS_OK && sqlite3_column_int(reader->json_stmt, 0);
	sqlite3_reset(reader->json_stmt);
	sqlite3_clear_bindings(reader->json_stmt);
	if (!one)
		return false;
	buf_clear(&reader->json);
	buf_text(&reader->json, "{\"\":");
	buf_span(&reader->json, text);
	buf_text(&reader->json, "}");
	if (ruleset_filter_data(reader->today.rules, "", buf_as_span(&reader->json), &strict, &ignored) != STATUS_OK)
		return false;
	buf_bytes(out, strict + 4, strlen(strict) - 5);
	return true;
}

/* What the trigger found no room for. */
static bool is_cut(sqlite3_stmt *row, int column)
{
	return sqlite3_column_type(row, column) == SQLITE_BLOB && span_is(db_bytes(row, column), CAPTURE_TOO_LONG);
}

static void add_value(struct reader *reader, struct db *db, sqlite3_stmt *row, int column, enum value_form form, struct buf *out)
{
	int64_t number;
	struct span text;

	switch (sqlite3_column_type(row, column)) {
	case SQLITE_INTEGER:
		number = sqlite3_column_int64(row, column);
		if (form == FORM_BOOLEAN && (number == 0 || number == 1))
			buf_text(out, number ? "true" : "false");
		else
			buf_number(out, number);
		break;
	case SQLITE_FLOAT:
		value_add_real(out, sqlite3_column_double(row, column));
		break;
	case SQLITE_TEXT:
		text = db_bytes(row, column);
		if (form != FORM_JSON || !add_json(reader, db, text, out))
			buf_json_string(out, text);
		break;
	case SQLITE_BLOB:
		if (is_cut(row, column))
			buf_text(out, "null");
		else
			buf_json_base64(out, db_bytes(row, column));
		break;
	default:
		buf_text(out, "null");
	}
}

/* Of a key of which a part found no room the other parts are no key. */
static bool lacks_key(const struct form *form, sqlite3_stmt *row, int side)
{
	int columns = sqlite3_data_count(row);

	for (size_t i = 0; i < form->count; i++) {
		const struct form_slot *slot = &form->slots[i];

		if (slot->side == side && slot->sent && slot->key && (VALUES + (int)i >= columns || is_cut(row, VALUES + (int)i)))
			return true;
	}
	return false;
}

/* The columns of one side as a JSON object; only those of the key, or all. */
static void add_row(struct reader *reader, struct db *db, const struct form *form, sqlite3_stmt *row, int side, bool key_alone,
	struct buf *out)
{
	size_t count = key_alone && lacks_key(form, row, side) ? 0 : form->count;
	int columns = sqlite3_data_count(row);

	buf_clear(out);
	buf_text(out, "{");
	for (size_t i = 0; i < count; i++) {
		const struct form_slot *slot = &form->slots[i];

		if (slot->side != side || !slot->sent || (key_alone && !slot->key) || VALUES + (int)i >= columns)
			continue;
		if (out->len > 1)
			buf_text(out, ",");
		buf_bytes(out, slot->label, slot->label_len);
		add_value(reader, db, row, VALUES + (int)i, slot->form, out);
	}
	buf_text(out, "}");
}

/* -- users ------------------------------------------------------------------------------------------------------------ */

/* A value as text, as SQLite casts it, is the id of a user; NULL, a BLOB and text that is none are nobody's. SQLite keeps
 * the text of a number with the row's value until the next row. */
static void collect_users(const struct form *form, sqlite3_stmt *row, int side, struct span_list *list)
{
	int columns = sqlite3_data_count(row);

	list->count = 0;
	for (size_t i = 0; i < form->count && VALUES + (int)i < columns; i++) {
		int column = VALUES + (int)i, type;
		struct span user;

		if (form->slots[i].side != side || !form->slots[i].route)
			continue;
		type = sqlite3_column_type(row, column);
		if (type == SQLITE_NULL || type == SQLITE_BLOB)
			continue;
		user.p = (const char *)sqlite3_column_text(row, column);
		user.len = (size_t)sqlite3_column_bytes(row, column);
		if (user.p && !memchr(user.p, 0, user.len) && utf8_valid(user.p, user.len))
			span_list_add(list, user);
	}
}

/* Nothing that routes was changed: found out without making text of it. */
static bool same_route(const struct form *form, sqlite3_stmt *row)
{
	int columns = sqlite3_data_count(row), old = VALUES;

	for (size_t i = 0; i < form->count && form->slots[i].side == 0; i++)
		old++;
	for (int new = VALUES; new < columns && new - VALUES < (int)form->count && form->slots[new - VALUES].side == 0; new++) {
		int type = sqlite3_column_type(row, new);

		if (!form->slots[new - VALUES].route)
			continue;
		while (old < columns && old - VALUES < (int)form->count && !form->slots[old - VALUES].route)
			old++;
		if (old >= columns || old - VALUES >= (int)form->count || type != sqlite3_column_type(row, old) || type == SQLITE_FLOAT)
			return false;
		if (type == SQLITE_INTEGER ? sqlite3_column_int64(row, new) != sqlite3_column_int64(row, old) : type != SQLITE_NULL &&
			!span_equal(db_bytes(row, new), db_bytes(row, old)))
			return false;
		old++;
	}
	return true;
}

/* -- a table's change -------------------------------------------------------------------------------------------------- */

static bool any_cut(const struct form *form, sqlite3_stmt *row)
{
	int columns = sqlite3_data_count(row);

	for (size_t i = 0; i < form->count && VALUES + (int)i < columns; i++)
		if (is_cut(row, VALUES + (int)i))
			return true;
	return false;
}

/* Data first, users last: asking for a number's text changes what SQLite says of its type. */
static void fill_change(struct reader *reader, struct db *db, const struct form *form, sqlite3_stmt *row, int kind,
	struct event_parts *parts)
{
	static const char *const types[] = {"insert", "update", "delete", "update"};
	bool key_alone = !form->whole || kind & KEY_ALONE || any_cut(form, row), update = (kind & 3) == UPDATE;
	bool may_move = update && !same_route(form, row);

	parts->topic = span_of(form->topic);
	parts->type = span_of(types[kind & 3]);
	parts->incomplete = key_alone;
	parts->broadcast = form->broadcast;
	add_row(reader, db, form, row, 0, key_alone, &reader->data);
	parts->data = buf_as_span(&reader->data);
	if (update && !key_alone && form->old) {
		add_row(reader, db, form, row, 1, false, &reader->old);
		parts->old = buf_as_span(&reader->old);
	}
	if (may_move)
		add_row(reader, db, form, row, 1, true, &reader->old_key);
	collect_users(form, row, 0, &reader->users);
	parts->users = reader->users.items;
	parts->user_count = reader->users.count;
	if (!may_move)
		return;
	collect_users(form, row, 1, &reader->old_users);
	parts->rerouted = !span_list_same(&reader->users, &reader->old_users);
	if (!parts->rerouted)
		return;
	parts->old_users = reader->old_users.items;
	parts->old_user_count = reader->old_users.count;
	parts->old_key = buf_as_span(&reader->old_key);
}

/* -- a published event ------------------------------------------------------------------------------------------------- */

static struct span cell(sqlite3_stmt *row, int which)
{
	if (VALUES + which >= sqlite3_data_count(row) || sqlite3_column_type(row, VALUES + which) != SQLITE_TEXT)
		return (struct span){NULL, 0};
	return db_bytes(row, VALUES + which);
}

static struct span word(sqlite3_stmt *row, int which, const char *otherwise)
{
	struct span span = cell(row, which);

	return span.p ? span_of(span.p) : span_of(otherwise); /* not beyond a NUL */
}

/* A JSON list of users, or true. */
static enum status read_audience(struct reader *reader, struct db *db, sqlite3_stmt *row, struct event_parts *parts, struct err *err)
{
	struct span list = cell(row, AUDIENCE);
	enum status status = STATUS_OK;

	if (!list.p || span_is(list, "true")) {
		parts->broadcast = list.p || sqlite3_column_int(row, VALUES + AUDIENCE) == 1;
		return STATUS_OK;
	}
	if (!reader->list_stmt)
		status = db_prepare(db, "SELECT value FROM json_each(CASE WHEN json_valid(?1) THEN ?1 ELSE '[]' END) "
			"WHERE type IN ('text', 'integer', 'real')", &reader->list_stmt, err);
	if (status != STATUS_OK)
		return status;
	sqlite3_bind_text(reader->list_stmt, 1, list.p, (int)list.len, SQLITE_STATIC);
	buf_clear(&reader->texts);
	while ((status = db_step(db, reader->list_stmt, err)) == STATUS_OK) {
		const char *user = (const char *)sqlite3_column_text(reader->list_stmt, 0);
		size_t len = (size_t)sqlite3_column_bytes(reader->list_stmt, 0);

		if (!user || memchr(user, 0, len) || !utf8_valid(user, len))
			continue;
		buf_bytes(&reader->texts, user, len + 1);
		span_list_add(&reader->users, (struct span){NULL, len});
	}
	sqlite3_reset(reader->list_stmt);
	sqlite3_clear_bindings(reader->list_stmt);
	for (size_t i = 0, at = 0; i < reader->users.count; at += reader->users.items[i++].len + 1)
		reader->users.items[i].p = reader->texts.bytes + at;
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* What SQL emitted was looked at by SQLite's parser alone, and what is said to be published may have been written by hand: only
 * what a strict one takes may go into an envelope. */
static void check_data(struct reader *reader, struct event_parts *parts)
{
	AUTO_FREE char *strict = NULL;
	struct err ignored;

	buf_clear(&reader->data);
	if (parts->data.p && utf8_valid(parts->data.p, parts->data.len) &&
		ruleset_filter_data(reader->today.rules, parts->topic.p, parts->data, &strict, &ignored) == STATUS_OK) {
		buf_text(&reader->data, strict);
	} else {
		buf_text(&reader->data, "{}");
		parts->incomplete = true;
	}
	parts->data = buf_as_span(&reader->data);
}

static enum status fill_published(struct reader *reader, struct db *db, sqlite3_stmt *row, bool emitted,
	struct event_parts *parts, struct err *err)
{
	enum status status = STATUS_OK;

	reader->users.count = 0;
	parts->topic = word(row, TOPIC, "");
	parts->type = word(row, TYPE, "");
	parts->data = cell(row, DATA);
	if (emitted) {
		parts->source_type = span_of("sql");
		status = read_audience(reader, db, row, parts, err);
	} else {
		parts->source = word(row, SOURCE, reader->source);
		parts->source_type = word(row, SOURCE_TYPE, "api");
		parts->ref = cell(row, REF);
		if (VALUES + EVENT_VERSION < sqlite3_data_count(row))
			parts->version = sqlite3_column_int(row, VALUES + EVENT_VERSION);
		if (VALUES + TIMESTAMP < sqlite3_data_count(row) && sqlite3_column_int64(row, VALUES + TIMESTAMP) > 0)
			parts->timestamp = sqlite3_column_int64(row, VALUES + TIMESTAMP);
		parts->broadcast = sqlite3_column_type(row, VALUES + AUDIENCE) == SQLITE_INTEGER;
		if (cell(row, AUDIENCE).p)
			span_list_add(&reader->users, cell(row, AUDIENCE));
	}
	check_data(reader, parts);
	parts->users = reader->users.items;
	parts->user_count = reader->users.count;
	return status;
}

/* -- all of it --------------------------------------------------------------------------------------------------------- */

static int64_t wall_ms(double at)
{
	return at > 0 && at < 1e7 ? (int64_t)llround((at - EPOCH) * DAY_MS) : 0;
}

enum status lite_reader_event(struct reader *reader, struct db *db, sqlite3_stmt *row, const char *journal, struct event **ret,
	struct err *err)
{
	const struct form *form = NULL;
	int kind = sqlite3_column_int(row, KIND);
	struct event_parts parts = {.id = lite_reader_id(row),
		.timestamp = wall_ms(lite_reader_at(row)),
		.version = 1,
		.journal = span_of(journal),
		.source = span_of(reader->source),
		.source_type = span_of("database")};
	enum status status = STATUS_OK;

	if (kind == PUBLISHED || kind == EMITTED) {
		status = fill_published(reader, db, row, kind == EMITTED, &parts, err);
		if (status == STATUS_OK)
			today_published(&reader->today, &parts);
	} else {
		status = form_of(reader, db, sqlite3_column_int64(row, SHAPE), &form, err);
		if (status == STATUS_OK && form) {
			fill_change(reader, db, form, row, kind, &parts);
			today_row(&reader->today, &parts, "main");
		} else {
			parts.topic = parts.type = span_of("?");
			parts.data = span_of("{}");
			parts.incomplete = true;
		}
	}
	if (status == STATUS_OK)
		*ret = event_create(&parts);
	return status;
}
