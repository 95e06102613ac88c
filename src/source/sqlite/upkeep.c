/* What capture looks after beside fetching: the file, the schema, the journal's length, the log's length. All on capture's own
 * connection, between fetches.
 *
 * What of it writes takes the database's one write lock, and an application that has set no busy_timeout fails meanwhile. So
 * rows are deleted in batches whose size follows the time that the last one took, with pauses of ten times that, and a lock
 * that somebody holds is not waited for but tried again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "source/silence.h"
#include "source/sqlite/hold.h"
#include "source/sqlite/install.h"
#include "source/sqlite/sqlite.h"

#define LOOK_EVERY_MS 1000
#define BUSY_RETRY_MS 200
#define INSTALL_WAIT_MS 50
#define PRUNE_WAIT_MS 10
#define PRUNE_TARGET_US 1500 /* of one batch */
#define PRUNE_MAX 2000       /* rows of one batch */
#define PRUNE_FIRST 64
#define LOG_BYTES_MAX (64 << 20) /* sixteen times what SQLite lets it grow to by itself: nobody else copies it */

static void set_complaint(struct sqlite *source, const struct err *complaint)
{
	pthread_mutex_lock(&source->lock);
	if (complaint->text[0] && strcmp(source->complaint.text, complaint->text) != 0)
		log_warn("sqlite", "%s", complaint->text);
	else if (!complaint->text[0] && source->complaint.text[0])
		log_info("sqlite", "mended: %s", source->complaint.text);
	source->complaint = *complaint;
	pthread_mutex_unlock(&source->lock);
}

/* The triggers that were lacking are in place. */
static enum status see_holes(struct sqlite *source, const char *lacked, struct err *err)
{
	int64_t last = 0;
	enum status status;

	if (lacked && *lacked)
		holes_seen(&source->hole_watch, "sqlite", lacked);
	if (!holes_over(&source->hole_watch, ""))
		return STATUS_OK;
	status = db_number(&source->db, "SELECT coalesce(max(id), 0) FROM esink_event", &last, err);
	if (status != STATUS_OK)
		return status;
	holes_add(&source->hole_watch, (uint64_t)last);
	holes_seen(&source->hole_watch, "sqlite", "");
	return STATUS_OK;
}

enum status lite_upkeep_install(struct sqlite *source, bool strict, bool *made_schema, struct err *err)
{
	struct install_result result = {0};
	struct err complaint = {""};
	enum status status = lite_install_all(&source->db, source->config->rules, strict, &result, &source->schema_version, &complaint, err);

	if (status == STATUS_OK) {
		set_complaint(source, &complaint);
		*made_schema = result.made_schema;
		if (result.statements.len)
			log_info("sqlite", "triggers were made for what TABLE_NAMES and the other rules say now");
	}
	if (status == STATUS_OK) {
		status = see_holes(source, result.uncaptured.bytes, err);
		if (status != STATUS_OK)
			source->schema_version = -1; /* it is looked at again, or nobody would be told */
	}
	lite_install_result_finish(&result);
	return status;
}

static enum status watch_note(struct sqlite *source, struct err *err)
{
	struct note_state state = {.head = source->position, .at = source->at};
	enum status status;

	if (!lite_note_is_gone(&source->note))
		return STATUS_OK;
	memcpy(state.journal, source->journal, sizeof(state.journal));
	status = lite_note_renew(&source->note, source->config->path, &state, err);
	if (status == STATUS_OK)
		log_warn("sqlite", "the note beside \"%s\" (-esink) was deleted: made anew", source->config->path);
	return status;
}

/* -- the schema ------------------------------------------------------------------------------------------------------- */

static enum status reinstall(struct sqlite *source, struct err *err)
{
	bool made_schema = false;
	struct err why = {""};
	enum status status;

	log_info("sqlite", "the schema has changed: looking at the triggers");
	db_wait(&source->db, INSTALL_WAIT_MS);
	status = lite_upkeep_install(source, false, &made_schema, &why);
	db_wait(&source->db, 0);
	if (status == STATUS_UNAVAILABLE && source->db.conn) {
		set_complaint(source, &why); /* a busy database: capture goes on meanwhile with what there is */
		source->next_look = clock_ms() + BUSY_RETRY_MS;
		return STATUS_OK;
	}
	if (status != STATUS_OK) {
		*err = why;
		return status;
	}
	if (!made_schema)
		return STATUS_OK;
	source->lost = true;
	return err_set(err, STATUS_GONE, "SQLITE_PATH: \"%s\": tables of esink were gone and have been made anew",
		source->config->path);
}

static enum status watch_schema(struct sqlite *source, struct err *err)
{
	enum status status = db_step(&source->db, source->schema_stmt, err);
	int64_t version = status == STATUS_OK ? sqlite3_column_int64(source->schema_stmt, 0) : 0;

	sqlite3_reset(source->schema_stmt);
	if (status != STATUS_OK || version == source->schema_version)
		return status;
	return reinstall(source, err);
}

/* -- the journal's length --------------------------------------------------------------------------------------------- */

static int64_t prune_interval(int64_t retention_ms)
{
	int64_t interval = retention_ms / 20;

	return interval < 500 ? 500 : interval > 60000 ? 60000 : interval;
}

/* The last of the oldest rows that may go now; 0: none. Never the newest, nor one that was not told yet, or that a consumer needs. */
static enum status find_old(struct sqlite *source, int64_t *last, struct err *err)
{
	char sql[640];

	snprintf(sql, sizeof(sql),
		"SELECT coalesce(max(id), 0) FROM (SELECT id, at FROM esink_event WHERE id < (SELECT max(id) FROM esink_event) "
		"AND id < %" PRIu64 " AND id <= coalesce(" LITE_HELD ", 9223372036854775807) ORDER BY id LIMIT %" PRId64 ") WHERE at < julianday('now') - %.9f", source->position,
		source->prune_count, (double)source->config->retention_ms / 86400000.0);
	return db_number(&source->db, sql, last, err);
}

static void roll_back(struct db *db)
{
	if (!sqlite3_get_autocommit(db->conn))
		sqlite3_exec(db->conn, "ROLLBACK", NULL, NULL, NULL);
}

/* Of shapes that no row has any more. The rows of a shape are all older than its end; that its id is also less than that of the oldest row's shape is asked
 * for the sake of a clock that was set back. */
static enum status forget_shapes(struct sqlite *source, struct err *err)
{
	char where[320], sql[768];
	int64_t count = 0;
	enum status status;

	snprintf(where, sizeof(where),
		"SELECT id FROM esink_shape WHERE retired < julianday('now') - %.9f AND id < (SELECT coalesce(max(shape), 0) FROM "
		"(SELECT shape FROM esink_event ORDER BY id LIMIT 1)) AND retired < (SELECT at FROM esink_event ORDER BY id LIMIT 1)", (double)source->config->retention_ms / 43200000.0);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM (%s)", where);
	status = db_number(&source->db, sql, &count, err);
	if (status != STATUS_OK || !count)
		return status;
	snprintf(sql, sizeof(sql), "BEGIN IMMEDIATE; DELETE FROM esink_column WHERE shape IN (%s); DELETE FROM esink_shape WHERE id "
		"IN (%s); COMMIT", where, where);
	status = db_run(&source->db, sql, err);
	roll_back(&source->db);
	return status;
}

static enum status delete_to(struct sqlite *source, int64_t last, struct err *err)
{
	int64_t begun, took;
	char sql[160];
	enum status status;

	snprintf(sql, sizeof(sql), "DELETE FROM esink_event WHERE id <= %" PRId64 "; DELETE FROM esink_mark WHERE id <= %" PRId64, last, last);
	/* A writer in a tight loop leaves gaps only; a wait of ours holds up nobody but capture. */
	db_wait(&source->db, PRUNE_WAIT_MS);
	status = db_run(&source->db, "BEGIN IMMEDIATE", err);
	db_wait(&source->db, 0);
	begun = clock_us();
	if (status == STATUS_OK)
		status = db_run(&source->db, sql, err);
	if (status == STATUS_OK)
		status = db_run(&source->db, "COMMIT", err);
	took = clock_us() - begun;
	roll_back(&source->db);
	if (status != STATUS_OK)
		return status;
	if (took > PRUNE_TARGET_US)
		source->prune_count = source->prune_count > 3 ? source->prune_count / 2 : 1;
	else if (took < PRUNE_TARGET_US / 2 && source->prune_count < PRUNE_MAX)
		source->prune_count *= 2;
	log_debug("sqlite", "journal up to event %" PRId64 " deleted: the write lock was held for %" PRId64 " us", last, took);
	source->next_prune = clock_ms() + 1 + took / 100;
	return STATUS_OK;
}

static enum status prune(struct sqlite *source, struct err *err)
{
	int64_t last = 0;
	enum status status;

	if (!source->prune_count)
		source->prune_count = PRUNE_FIRST;
	source->next_prune = clock_ms() + prune_interval(source->config->retention_ms);
	status = find_old(source, &last, err);
	if (status == STATUS_OK && last)
		status = delete_to(source, last, err);
	else if (status == STATUS_OK)
		status = forget_shapes(source, err);
	if (status == STATUS_UNAVAILABLE) { /* somebody writes */
		source->next_prune = clock_ms() + BUSY_RETRY_MS;
		return STATUS_OK;
	}
	return status;
}

/* A look that found somebody writing comes again soon. */
static enum status drop_silent(struct sqlite *source, struct err *err)
{
	enum status status = lite_hold_drop_silent(source, err);

	source->next_hold = clock_ms() + silence_look_ms(source->config->consumer_max_silence_ms);
	if (status != STATUS_UNAVAILABLE)
		return status;
	source->next_hold = clock_ms() + BUSY_RETRY_MS;
	return STATUS_OK;
}

/* -- the log's length ------------------------------------------------------------------------------------------------- */

static void shorten_log(struct sqlite *source)
{
	struct stat log;

	if (!source->wakeup.log || stat(source->wakeup.log, &log) != 0 || log.st_size < LOG_BYTES_MAX ||
		log.st_size == source->log_bytes)
		return;
	source->log_bytes = log.st_size;
	lite_checkpoint_ask(&source->checkpoint);
}

/* -- all of it -------------------------------------------------------------------------------------------------------- */

int lite_upkeep_due_ms(const struct sqlite *source)
{
	int64_t due = source->next_look < source->next_prune ? source->next_look : source->next_prune;

	due -= clock_ms();
	return due < 1 ? 1 : due > LOOK_EVERY_MS ? LOOK_EVERY_MS : (int)due;
}

enum status lite_upkeep_run(struct sqlite *source, struct err *err)
{
	bool due = clock_ms() >= source->next_look;
	enum status status = STATUS_OK;

	if ((due || source->look_at_file) && db_is_moved(&source->db))
		return err_set(err, STATUS_UNAVAILABLE, "SQLITE_PATH: \"%s\" was deleted or replaced by another file",
			source->config->path);
	if (due || source->look_at_file)
		status = watch_note(source, err);
	if (due)
		source->next_look = clock_ms() + LOOK_EVERY_MS;
	if (status == STATUS_OK && (due || source->look_at_schema))
		status = watch_schema(source, err);
	if (due)
		shorten_log(source);
	source->look_at_file = source->look_at_schema = false;
	if (status == STATUS_OK && clock_ms() >= source->next_hold)
		status = drop_silent(source, err);
	if (status == STATUS_OK && clock_ms() >= source->next_prune)
		status = prune(source, err);
	return status;
}
