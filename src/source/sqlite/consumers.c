/* What is kept of consumers. What writes takes the database's one lock for a moment: a look without it comes first, so that
 * a poll that acknowledges nothing writes once a second only, and what may be long (a consumer's marks) goes in batches. A
 * cursor or a mark that the disk has not yet is lost with the machine's power, and the events come again; that a consumer is there
 * is on the disk when it is answered. */
#include <stdio.h>

#include "base/mem.h"
#include "source/sqlite/hold.h"
#include "source/sqlite/lane.h"

#define WAIT_MS 2000 /* for the lock, and never longer than STATEMENT_TIMEOUT */
#define BATCH 1000   /* marks */

#define CURSOR "CASE WHEN c.journal = (SELECT journal FROM esink_meta) THEN c.cursor ELSE " LITE_START " END"
#define FIELDS "SELECT c.name, c.topics, c.types, " CURSOR ", " \
	"CAST(round((c.updated_at - 2440587.5) * 86400000.0) AS INTEGER), c.dropped, c.generation FROM esink_consumer c"
/* It is there still, and so is the journal: ?1 the name, ?3 the generation, ?4 the journal. */
#define AS_READ "c.name = ?1 AND NOT c.dropped AND c.generation = ?3 AND (SELECT journal FROM esink_meta) = ?4"
#define MARKS "SELECT consumer, id, skipped FROM esink_mark WHERE "

enum { ALL, ONE, LOOK, RENEW, OTHERS, MAKE, FORGET, FORGET_MARKS, HEAR, SETTLE, COUNT, MARK, UNMARK, MARKS_OF_ONE, MARKS_OF_ALL, STATEMENTS };
_Static_assert(STATEMENTS <= LITE_CONSUMER_STATEMENTS, "room in a lane");

static const char *const statements[] = {
	[ALL] = FIELDS " ORDER BY c.name",
	[ONE] = FIELDS " WHERE c.name = ?1",
	/* Whether there is anything to write of it: ?2 a cursor. */
	[LOOK] = "SELECT " CURSOR ", " CURSOR " < ?2 OR c.updated_at < julianday('now') - 1.0 / 86400 FROM esink_consumer c "
		"WHERE " AS_READ,
	[RENEW] = "UPDATE esink_consumer SET topics = ?2, types = ?3, updated_at = julianday('now') WHERE name = ?1 AND NOT dropped "
		"AND generation IS NOT ?4",
	[OTHERS] = "SELECT count(*) FROM esink_consumer WHERE name <> ?1",
	[MAKE] = "INSERT OR REPLACE INTO esink_consumer (name, topics, types, cursor, journal, updated_at, dropped, generation) "
		"SELECT ?1, ?2, ?3, ?4, journal, julianday('now'), 0, ?5 FROM esink_meta",
	[FORGET] = "DELETE FROM esink_consumer WHERE name = ?1",
	[FORGET_MARKS] = "DELETE FROM esink_mark WHERE consumer = ?1 AND id IN (SELECT id FROM esink_mark WHERE consumer = ?1 LIMIT ?2)",
	[HEAR] = "UPDATE esink_consumer AS c SET cursor = max(" CURSOR ", ?2), journal = (SELECT journal FROM esink_meta), "
		"updated_at = julianday('now') WHERE " AS_READ,
	[SETTLE] = "DELETE FROM esink_mark WHERE consumer = ?1 AND id IN (SELECT id FROM esink_mark WHERE consumer = ?1 AND "
		"skipped = 0 AND id <= ?2 ORDER BY id LIMIT ?3)",
	[COUNT] = "SELECT count(*), min(id) FROM (SELECT id FROM esink_mark WHERE consumer = ?1 AND id > ?2 ORDER BY id LIMIT ?3)",
	[MARK] = "INSERT INTO esink_mark (consumer, id, skipped) VALUES (?1, ?2, ?3) ON CONFLICT (consumer, id) DO UPDATE SET "
		"skipped = excluded.skipped WHERE skipped <> excluded.skipped",
	[UNMARK] = "DELETE FROM esink_mark WHERE consumer = ?1 AND id = ?2",
	[MARKS_OF_ONE] = MARKS "consumer = ?4 AND id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3",
	[MARKS_OF_ALL] = MARKS "id BETWEEN ?1 AND ?2 ORDER BY id, consumer LIMIT ?3",
};

static sqlite3_int64 number(uint64_t id)
{
	return id < INT64_MAX ? (sqlite3_int64)id : INT64_MAX;
}

/* Compiled once, bound to nothing but a name. Where our tables are gone capture makes them anew within a second. */
static enum status statement(struct lane *lane, int which, const char *name, sqlite3_stmt **ret, struct err *err)
{
	enum status status = lite_lane_prepared(lane, statements[which], &lane->consumer[which], err);

	if (status == STATUS_FAILED)
		return STATUS_UNAVAILABLE;
	if (status != STATUS_OK)
		return status;
	*ret = lane->consumer[which];
	sqlite3_reset(*ret);
	sqlite3_clear_bindings(*ret);
	if (name)
		db_bind_text(*ret, 1, name);
	return STATUS_OK;
}

static enum status ready(struct lane *lane, struct err *err)
{
	int timeout = lane->config->statement_timeout_ms;

	return lite_lane_ready(lane, timeout < WAIT_MS ? timeout : WAIT_MS, err);
}

/* Whether a commit is on the disk when it is answered; not within a transaction. */
static enum status durable(struct lane *lane, bool yes, struct err *err)
{
	return db_run(&lane->db, yes ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err);
}

static enum status not_registered(const char *name, struct err *err)
{
	return err_set(err, STATUS_NOT_FOUND, "there is no consumer \"%s\"", name);
}

/* Runs one that is bound; *changed: rows. */
static enum status change(struct lane *lane, sqlite3_stmt *stmt, int *changed, struct err *err)
{
	enum status status = db_finish_step(&lane->db, stmt, err);

	*changed = status == STATUS_OK ? sqlite3_changes(lane->db.conn) : 0;
	return status;
}

static enum status begin(struct lane *lane, struct err *err)
{
	return db_run(&lane->db, "BEGIN IMMEDIATE", err);
}

static enum status end(struct lane *lane, enum status status, struct err *err)
{
	if (status == STATUS_OK)
		status = db_run(&lane->db, "COMMIT", err);
	if (status != STATUS_OK && lane->db.conn && !sqlite3_get_autocommit(lane->db.conn))
		sqlite3_exec(lane->db.conn, "ROLLBACK", NULL, NULL, NULL);
	return status;
}

/* -- all of them ------------------------------------------------------------------------------------------------------ */

static char *text(sqlite3_stmt *row, int column)
{
	struct span bytes = db_bytes(row, column);

	return mem_text_n(bytes.p ? bytes.p : "", bytes.len);
}

enum status sqlite_consumers(void *opaque, const char *name, struct consumer_list *list, struct err *err)
{
	struct lane *lane = opaque;
	sqlite3_stmt *row = NULL;
	size_t before = list->count;
	enum status status = ready(lane, err);

	if (status == STATUS_OK)
		status = statement(lane, name ? ONE : ALL, name, &row, err);
	while (status == STATUS_OK && (status = db_step(&lane->db, row, err)) == STATUS_OK) {
		struct consumer consumer = {.name = text(row, 0), .topics = text(row, 1), .types = text(row, 2),
			.cursor = (uint64_t)sqlite3_column_int64(row, 3), .updated_at = sqlite3_column_int64(row, 4),
			.dropped = sqlite3_column_int(row, 5), .generation = (uint64_t)sqlite3_column_int64(row, 6)};

		consumer_list_add(list, &consumer);
	}
	sqlite3_reset(row);
	if (status == STATUS_NOT_FOUND && (!name || list->count > before))
		return STATUS_OK;
	return status == STATUS_NOT_FOUND ? not_registered(name, err) : status;
}

/* -- coming and going ------------------------------------------------------------------------------------------------- */

/* A batch of its marks; *all: there were no more. */
static enum status forget_marks(struct lane *lane, const char *name, bool *all, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int gone = 0;
	enum status status = statement(lane, FORGET_MARKS, name, &stmt, err);

	if (status == STATUS_OK) {
		sqlite3_bind_int(stmt, 2, BATCH);
		status = change(lane, stmt, &gone, err);
	}
	*all = status == STATUS_OK && gone < BATCH;
	return status;
}

/* MAKE, or RENEW, which leaves alone what is `lost`. */
static enum status set_patterns(struct lane *lane, int which, const struct consumer *consumer, const struct consumer *lost,
	bool *done, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int changed = 0;
	enum status status = statement(lane, which, consumer->name, &stmt, err);

	if (status != STATUS_OK)
		return status;
	db_bind_text(stmt, 2, consumer->topics);
	db_bind_text(stmt, 3, consumer->types);
	if (which == MAKE) {
		sqlite3_bind_int64(stmt, 4, number(consumer->cursor));
		sqlite3_bind_int64(stmt, 5, number(consumer->generation));
	} else if (lost) {
		sqlite3_bind_int64(stmt, 4, number(lost->generation));
	}
	status = change(lane, stmt, &changed, err);
	*done = changed > 0;
	return status;
}

static enum status check_others(struct lane *lane, const char *name, struct err *err)
{
	sqlite3_stmt *row = NULL;
	int64_t others = 0;
	enum status status = statement(lane, OTHERS, name, &row, err);

	if (status == STATUS_OK)
		status = db_step(&lane->db, row, err);
	if (status != STATUS_OK)
		return status;
	others = sqlite3_column_int64(row, 0);
	sqlite3_reset(row);
	return others < lane->config->max_consumers ? STATUS_OK : consumer_too_many(lane->config->max_consumers, err);
}

/* One transaction; *done false: it has more marks than may go in one. */
static enum status put(struct lane *lane, const struct consumer *consumer, const struct consumer *lost, bool *created, bool *done,
	struct err *err)
{
	bool there = false;
	enum status status = begin(lane, err);

	*done = true;
	if (status == STATUS_OK)
		status = set_patterns(lane, RENEW, consumer, lost, &there, err);
	if (status == STATUS_OK && !there)
		status = check_others(lane, consumer->name, err);
	if (status == STATUS_OK && !there)
		status = forget_marks(lane, consumer->name, done, err);
	*created = !there;
	if (status == STATUS_OK && !there && *done)
		status = set_patterns(lane, MAKE, consumer, NULL, &there, err);
	if (status == STATUS_OK && *done && !there)
		status = err_set(err, STATUS_UNAVAILABLE, "esink_meta is empty");
	return end(lane, status, err);
}

static enum status forget(struct lane *lane, const char *name, bool *done, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int changed = 1;
	enum status status = begin(lane, err);

	*done = false;
	if (status == STATUS_OK)
		status = forget_marks(lane, name, done, err);
	if (status == STATUS_OK && *done)
		status = statement(lane, FORGET, name, &stmt, err);
	if (status == STATUS_OK && *done)
		status = change(lane, stmt, &changed, err);
	status = end(lane, status, err);
	return status == STATUS_OK && !changed ? not_registered(name, err) : status;
}

enum status sqlite_consumer_put(void *opaque, const struct consumer *consumer, const struct consumer *lost, bool *created,
	struct err *err)
{
	struct lane *lane = opaque;
	bool done = false, made = false;
	enum status status = ready(lane, err);

	if (status == STATUS_OK)
		status = durable(lane, true, err);
	while (status == STATUS_OK && !done)
		status = put(lane, consumer, lost, &made, &done, err);
	if (status == STATUS_OK)
		*created = made;
	return status == STATUS_OK ? durable(lane, false, err) : status;
}

enum status sqlite_consumer_delete(void *opaque, const char *name, struct err *err)
{
	struct lane *lane = opaque;
	bool done = false;
	enum status status = ready(lane, err);

	if (status == STATUS_OK)
		status = durable(lane, true, err);
	while (status == STATUS_OK && !done)
		status = forget(lane, name, &done, err);
	return status == STATUS_OK ? durable(lane, false, err) : status;
}

/* -- settling --------------------------------------------------------------------------------------------------------- */

/* A consumer and the journal, as the asker read them. */
struct subject {
	const struct consumer *consumer;
	struct span journal;
};

/* One of the two statements that say AS_READ. ?2: a cursor. */
static enum status statement_on(
	struct lane *lane, int which, const struct subject *of, uint64_t to, sqlite3_stmt **stmt, struct err *err)
{
	enum status status = statement(lane, which, of->consumer->name, stmt, err);

	if (status != STATUS_OK)
		return status;
	sqlite3_bind_int64(*stmt, 2, number(to));
	sqlite3_bind_int64(*stmt, 3, number(of->consumer->generation));
	sqlite3_bind_text(*stmt, 4, of->journal.p, (int)of->journal.len, SQLITE_TRANSIENT);
	return STATUS_OK;
}

/* Without the lock. *cursor: where it is; *news: `to` is beyond it, or it was not heard of for a second. */
static enum status look(
	struct lane *lane, const struct subject *of, uint64_t to, uint64_t *cursor, bool *news, struct err *err)
{
	sqlite3_stmt *row = NULL;
	enum status status = statement_on(lane, LOOK, of, to, &row, err);

	if (status != STATUS_OK)
		return status;
	status = db_step(&lane->db, row, err);
	if (status == STATUS_OK) {
		*cursor = (uint64_t)sqlite3_column_int64(row, 0);
		*news = sqlite3_column_int(row, 1);
	}
	sqlite3_reset(row);
	return status == STATUS_NOT_FOUND ? not_registered(of->consumer->name, err) : status;
}

/* Within a transaction: it was heard of, and its cursor is `to` or beyond. */
static enum status hear(struct lane *lane, const struct subject *of, uint64_t to, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int changed = 0;
	enum status status = statement_on(lane, HEAR, of, to, &stmt, err);

	if (status == STATUS_OK)
		status = change(lane, stmt, &changed, err);
	return status == STATUS_OK && !changed ? not_registered(of->consumer->name, err) : status;
}

static enum status settle(struct lane *lane, const char *name, uint64_t to, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int changed = 0;
	enum status status = statement(lane, SETTLE, name, &stmt, err);

	if (status != STATUS_OK)
		return status;
	sqlite3_bind_int64(stmt, 2, number(to));
	sqlite3_bind_int(stmt, 3, BATCH);
	return change(lane, stmt, &changed, err);
}

enum status sqlite_consumer_advance(
	void *opaque, const struct consumer *consumer, struct span journal, uint64_t cursor, struct err *err)
{
	const struct subject of = {consumer, journal};
	struct lane *lane = opaque;
	uint64_t before = 0;
	bool news = false;
	enum status status = ready(lane, err);

	if (status == STATUS_OK)
		status = look(lane, &of, cursor, &before, &news, err);
	if (status != STATUS_OK || !news)
		return status;
	status = begin(lane, err);
	if (status == STATUS_OK)
		status = hear(lane, &of, cursor, err);
	if (status == STATUS_OK)
		status = settle(lane, consumer->name, cursor, err);
	return end(lane, status, err);
}

static enum status check_room(struct lane *lane, const char *name, uint64_t cursor, uint64_t id, struct err *err)
{
	sqlite3_stmt *row = NULL;
	int64_t count = 0;
	uint64_t lowest = 0;
	enum status status;

	if (mark_budget_take(&lane->marks, name))
		return STATUS_OK;
	status = statement(lane, COUNT, name, &row, err);
	if (status != STATUS_OK)
		return status;
	sqlite3_bind_int64(row, 2, number(cursor));
	sqlite3_bind_int(row, 3, MARKS_MAX);
	status = db_step(&lane->db, row, err);
	if (status == STATUS_OK) {
		count = sqlite3_column_int64(row, 0);
		lowest = (uint64_t)sqlite3_column_int64(row, 1);
	}
	sqlite3_reset(row);
	return status == STATUS_OK ? mark_budget_counted(&lane->marks, name, count, lowest, id, err) : status;
}

/* Within a transaction. Of what is completed at or below the cursor no mark is needed. */
static enum status write_mark(
	struct lane *lane, const struct subject *of, uint64_t id, enum consumer_outcome outcome, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	uint64_t cursor = 0;
	bool news, keep;
	int changed;
	enum status status = look(lane, of, 0, &cursor, &news, err);

	keep = outcome == OUTCOME_SKIPPED || id > cursor;
	if (status == STATUS_OK)
		status = statement(lane, keep ? MARK : UNMARK, of->consumer->name, &stmt, err);
	if (status != STATUS_OK)
		return status;
	sqlite3_bind_int64(stmt, 2, number(id));
	if (keep)
		sqlite3_bind_int(stmt, 3, outcome == OUTCOME_SKIPPED);
	return change(lane, stmt, &changed, err);
}

enum status sqlite_consumer_mark(void *opaque, const struct consumer *consumer, struct span journal, uint64_t id,
	enum consumer_outcome outcome, struct err *err)
{
	const struct subject of = {consumer, journal};
	struct lane *lane = opaque;
	uint64_t cursor = 0;
	bool news = false;
	enum status status = ready(lane, err);

	if (status == STATUS_OK)
		status = look(lane, &of, 0, &cursor, &news, err);
	if (status == STATUS_OK && id > cursor)
		status = check_room(lane, consumer->name, cursor, id, err);
	if (status != STATUS_OK)
		return status;
	status = begin(lane, err);
	if (status == STATUS_OK)
		status = hear(lane, &of, 0, err);
	if (status == STATUS_OK)
		status = write_mark(lane, &of, id, outcome, err);
	return end(lane, status, err);
}

enum status sqlite_consumer_marks(void *opaque, const char *name, uint64_t first, uint64_t last, size_t max,
	struct consumer_mark_list *list, struct err *err)
{
	struct lane *lane = opaque;
	sqlite3_stmt *row = NULL;
	enum status status = ready(lane, err);

	if (status == STATUS_OK)
		status = statement(lane, name ? MARKS_OF_ONE : MARKS_OF_ALL, NULL, &row, err);
	if (status != STATUS_OK)
		return status;
	sqlite3_bind_int64(row, 1, number(first));
	sqlite3_bind_int64(row, 2, number(last));
	sqlite3_bind_int64(row, 3, number(max));
	if (name)
		db_bind_text(row, 4, name);
	while ((status = db_step(&lane->db, row, err)) == STATUS_OK) {
		struct consumer_mark mark = {.id = (uint64_t)sqlite3_column_int64(row, 1),
			.outcome = sqlite3_column_int(row, 2) ? OUTCOME_SKIPPED : OUTCOME_COMPLETED};

		snprintf(mark.consumer, sizeof(mark.consumer), "%s", (const char *)sqlite3_column_text(row, 0));
		consumer_mark_list_add(list, &mark);
	}
	sqlite3_reset(row);
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}
