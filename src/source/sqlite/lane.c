/* Look-ups, writes and reads, each on a lane's own connection. A lane connects when it is first used, and again when the
 * file under the name is another one by now. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "source/sqlite/auth_table.h"
#include "source/sqlite/lane.h"
#include "source/token_table.h"

#define BATCH_BYTES (8u << 20)

void *sqlite_lane_create(void *opaque)
{
	struct sqlite *source = opaque;
	struct lane *lane = mem_zero(1, sizeof(*lane));

	lane->config = source->config;
	lane->db = (struct db){.path = lane->config->path, .stop_fd = lane->config->stop_fd, .hurry = true};
	lite_reader_init(&lane->reader, lane->config->rules, lane->config->path);
	return lane;
}

static void disconnect(struct lane *lane)
{
	sqlite3_stmt **all[] = {&lane->lookup, &lane->append, &lane->journal, &lane->read, &lane->range, &lane->time};

	lite_reader_forget(&lane->reader);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		sqlite3_finalize(*all[i]);
		*all[i] = NULL;
	}
	for (size_t i = 0; i < LITE_CONSUMER_STATEMENTS; i++) {
		sqlite3_finalize(lane->consumer[i]);
		lane->consumer[i] = NULL;
	}
	db_close(&lane->db);
}

void sqlite_lane_destroy(void *opaque)
{
	struct lane *lane = opaque;

	if (!lane)
		return;
	disconnect(lane);
	lite_reader_finish(&lane->reader);
	free(lane);
}

enum status lite_lane_ready(struct lane *lane, int timeout_ms, struct err *err)
{
	if (lane->db.conn && db_is_moved(&lane->db))
		disconnect(lane);
	db_wait(&lane->db, timeout_ms);
	return lane->db.conn ? STATUS_OK : db_open(&lane->db, false, err);
}

enum status lite_lane_prepared(struct lane *lane, const char *sql, sqlite3_stmt **stmt, struct err *err)
{
	return *stmt ? STATUS_OK : db_prepare(&lane->db, sql, stmt, err);
}

/* -- look-up ---------------------------------------------------------------------------------------------------------- */

static enum status take_user(const struct source_config *config, sqlite3_stmt *row, struct source_user *user, struct err *err)
{
	int type = sqlite3_column_type(row, 0);
	int64_t number = type == SQLITE_INTEGER ? sqlite3_column_int64(row, 0) : INT64_MAX;
	bool numeric = sqlite3_column_int(row, 1) && number >= INT32_MIN && number <= INT32_MAX;
	struct span id;

	if (type == SQLITE_NULL || type == SQLITE_BLOB)
		return token_table_refuse(config, 1, err);
	id.p = (const char *)sqlite3_column_text(row, 0);
	id.len = (size_t)sqlite3_column_bytes(row, 0);
	if (!id.p || memchr(id.p, 0, id.len) || !utf8_valid(id.p, id.len))
		return token_table_refuse(config, 1, err);
	user->id = mem_text_n(id.p, id.len);
	user->numeric = numeric;
	return STATUS_OK;
}

static enum status find_user(struct lane *lane, struct span token, struct source_user *user, struct err *err)
{
	struct source_user found = {NULL, false};
	enum status status;

	sqlite3_bind_text(lane->lookup, 1, token.p, (int)token.len, SQLITE_STATIC);
	status = db_step(&lane->db, lane->lookup, err);
	if (status == STATUS_OK)
		status = take_user(lane->config, lane->lookup, &found, err);
	else if (status == STATUS_NOT_FOUND)
		status = token_table_refuse(lane->config, 0, err);
	if (status == STATUS_OK) {
		status = db_step(&lane->db, lane->lookup, err);
		if (status == STATUS_NOT_FOUND) {
			*user = found;
			found.id = NULL;
			status = STATUS_OK;
		} else if (status == STATUS_OK) {
			status = token_table_refuse(lane->config, 2, err);
		}
	}
	free(found.id);
	sqlite3_reset(lane->lookup);
	sqlite3_clear_bindings(lane->lookup);
	return status;
}

enum status sqlite_lookup(void *opaque, struct span token, struct source_user *user, struct err *err)
{
	struct lane *lane = opaque;
	enum status status;

	if (memchr(token.p, 0, token.len) || !utf8_valid(token.p, token.len))
		return err_set(err, STATUS_UNAUTHORIZED, "the token is not text");
	status = lite_lane_ready(lane, lane->config->statement_timeout_ms, err);
	if (status == STATUS_OK && !lane->lookup)
		status = lite_auth_table_statement(&lane->db, lane->config, &lane->lookup, err);
	if (status == STATUS_NOT_FOUND && lane->config->auth_table_optional)
		return err_set(err, STATUS_UNAUTHORIZED, "AUTH_TABLE: there is no table");
	if (status == STATUS_OK)
		status = find_user(lane, token, user, err);
	if (status != STATUS_OK && status != STATUS_UNAUTHORIZED) {
		sqlite3_finalize(lane->lookup); /* the table may have changed: find it again next time */
		lane->lookup = NULL;
	}
	return status;
}

/* -- writes ----------------------------------------------------------------------------------------------------------- */

/* v1.. of a published row: see reader.c. */
/* at is when the row was written whatever time the publisher gave it, for it is what RETENTION goes by. */
static const char append_sql[] = "INSERT INTO esink_event (shape, kind, at, v1, v2, v3, v4, v5, v6, v7, v8, v9) "
	"VALUES (0, 8, julianday('now'), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?1)";

static enum status append(struct lane *lane, const struct publication *item, struct err *err)
{
	sqlite3_stmt *stmt = lane->append;
	enum status status;

	if (item->timestamp)
		sqlite3_bind_int64(stmt, 1, item->timestamp);
	db_bind_text(stmt, 2, item->topic);
	db_bind_text(stmt, 3, item->type);
	db_bind_text(stmt, 4, item->data);
	if (item->broadcast)
		sqlite3_bind_int(stmt, 5, 1);
	else
		db_bind_text(stmt, 5, item->user);
	db_bind_text(stmt, 6, item->source);
	db_bind_text(stmt, 7, item->source_type);
	sqlite3_bind_int(stmt, 8, item->version);
	db_bind_text(stmt, 9, item->ref);
	status = db_finish_step(&lane->db, stmt, err);
	sqlite3_clear_bindings(stmt);
	return status;
}

enum status sqlite_publish(void *opaque, struct publication *const *items, size_t count, int timeout_ms, struct err *err)
{
	struct lane *lane = opaque;
	enum status status = lite_lane_ready(lane, timeout_ms, err);

	/* What was answered with 200 is on the disk. */
	if (status == STATUS_OK && !lane->append)
		status = db_run(&lane->db, "PRAGMA synchronous = FULL", err);
	if (status == STATUS_OK)
		status = lite_lane_prepared(lane, append_sql, &lane->append, err);
	if (status == STATUS_OK)
		status = db_run(&lane->db, "BEGIN IMMEDIATE", err);
	for (size_t i = 0; status == STATUS_OK && i < count; i++)
		status = append(lane, items[i], err);
	if (status == STATUS_OK)
		status = db_run(&lane->db, "COMMIT", err);
	if (status != STATUS_OK && lane->db.conn && !sqlite3_get_autocommit(lane->db.conn))
		sqlite3_exec(lane->db.conn, "ROLLBACK", NULL, NULL, NULL);
	return status;
}

/* -- reads ------------------------------------------------------------------------------------------------------------ */

static enum status check_journal(struct lane *lane, struct span journal, struct err *err)
{
	bool same;
	enum status status = lite_lane_prepared(lane, "SELECT journal FROM esink_meta", &lane->journal, err);

	if (status != STATUS_OK)
		return status;
	status = db_step(&lane->db, lane->journal, err);
	same = status == STATUS_OK && span_equal(journal, db_bytes(lane->journal, 0));
	sqlite3_reset(lane->journal);
	if (status == STATUS_OK && !same)
		return err_set(err, STATUS_GONE, "the journal is another one");
	return status;
}

static enum status take_page(
	struct lane *lane, const char *journal, uint64_t after, size_t max, struct event_batch *batch, struct err *err)
{
	size_t bytes = 0;
	uint64_t expected = after + 1;
	enum status status = lite_lane_prepared(lane, READER_SQL, &lane->read, err);

	if (status != STATUS_OK)
		return status;
	sqlite3_bind_int64(lane->read, 1, (sqlite3_int64)expected);
	sqlite3_bind_int64(lane->read, 2, (sqlite3_int64)max);
	while (bytes < BATCH_BYTES && (status = db_step(&lane->db, lane->read, err)) == STATUS_OK) {
		struct event *event = NULL;

		if (lite_reader_id(lane->read) != expected++) {
			status = err_set(err, STATUS_GONE, "the journal does not reach back to event %llu",
				(unsigned long long)expected - 1);
			break;
		}
		status = lite_reader_event(&lane->reader, &lane->db, lane->read, journal, &event, err);
		if (status != STATUS_OK)
			break;
		bytes += event->size;
		event_batch_add(batch, event);
	}
	sqlite3_reset(lane->read);
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status sqlite_read(void *opaque, struct span journal, uint64_t after, uint64_t key, size_t max, struct event_batch *batch,
	struct err *err)
{
	struct lane *lane = opaque;
	char name[JOURNAL_LEN + 1];
	enum status status = lite_lane_ready(lane, lane->config->statement_timeout_ms, err);

	(void)key; /* the id is all that is needed to go on */
	snprintf(name, sizeof(name), "%.*s", (int)journal.len, journal.p);
	if (status == STATUS_OK)
		status = db_run(&lane->db, "BEGIN", err);
	if (status != STATUS_OK)
		return status;
	status = check_journal(lane, journal, err);
	/* Shapes are numbered anew when the tables of esink were made anew, and then the journal is another one. */
	if (status == STATUS_OK && strcmp(lane->known, name) != 0) {
		lite_reader_forget(&lane->reader);
		memcpy(lane->known, name, sizeof(name));
	}
	if (status == STATUS_OK)
		status = take_page(lane, name, after, max, batch, err);
	sqlite3_exec(lane->db.conn, "COMMIT", NULL, NULL, NULL);
	if (status != STATUS_OK)
		event_batch_clear(batch);
	return status;
}

/* There is one writer at a time, so times grow with the ids, unless the clock was set back. */
static enum status find_start(struct lane *lane, int64_t since, struct source_range *range, struct err *err)
{
	static const char sql[] = "SELECT 1 FROM esink_event WHERE id = ?1 AND at >= 2440587.5 + ?2 / 86400000.0";
	uint64_t last = range->head;
	enum status status = lite_lane_prepared(lane, sql, &lane->time, err);

	while (status == STATUS_OK && range->start < last) {
		uint64_t middle = range->start + (last - range->start + 1) / 2;

		sqlite3_bind_int64(lane->time, 1, (sqlite3_int64)middle);
		sqlite3_bind_int64(lane->time, 2, since);
		status = db_step(&lane->db, lane->time, err);
		sqlite3_reset(lane->time);
		if (status == STATUS_OK)
			last = middle - 1;
		else if (status == STATUS_NOT_FOUND)
			range->start = middle;
		status = status == STATUS_NOT_FOUND ? STATUS_OK : status;
	}
	return status;
}

/* Two look-ups: SQLite would walk the table for both ends at once. */
static enum status find_ends(struct lane *lane, struct source_range *range, struct err *err)
{
	static const char sql[] = "SELECT journal, (SELECT min(id) FROM esink_event), (SELECT max(id) FROM esink_event) FROM esink_meta";
	enum status status = lite_lane_prepared(lane, sql, &lane->range, err);
	uint64_t oldest;

	if (status == STATUS_OK)
		status = db_step(&lane->db, lane->range, err);
	if (status == STATUS_OK) {
		oldest = (uint64_t)sqlite3_column_int64(lane->range, 1);
		range->head = (uint64_t)sqlite3_column_int64(lane->range, 2);
		range->floor = range->start = oldest ? oldest - 1 : 0;
		snprintf(range->journal, sizeof(range->journal), "%s", (const char *)sqlite3_column_text(lane->range, 0));
	}
	sqlite3_reset(lane->range);
	return status == STATUS_NOT_FOUND ? err_set(err, STATUS_UNAVAILABLE, "esink_meta is empty") : status;
}

enum status sqlite_range(void *opaque, int64_t since, struct source_range *ret, struct err *err)
{
	struct lane *lane = opaque;
	struct source_range range = {.floor = 0};
	enum status status = lite_lane_ready(lane, lane->config->statement_timeout_ms, err);

	if (status == STATUS_OK)
		status = db_run(&lane->db, "BEGIN", err);
	if (status != STATUS_OK)
		return status;
	status = find_ends(lane, &range, err);
	if (status == STATUS_OK && since != INT64_MIN)
		status = find_start(lane, since, &range, err);
	sqlite3_exec(lane->db.conn, "COMMIT", NULL, NULL, NULL);
	if (status == STATUS_OK)
		*ret = range;
	return status;
}
