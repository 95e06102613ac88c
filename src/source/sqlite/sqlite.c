/* Capture from an SQLite file: the ops of the source thread.
 *
 * The outbox is the journal (triggers/sqlite/schema.sql says why the row's id is the event's), so there is nothing to make
 * of what was committed: fetch() asks whether anybody has committed (db_mark(), which costs nothing),
 * reads on behind its position, and sleeps (wakeup.c). Read transactions last as long as one batch, so that checkpoints can
 * always come to the end of the log.
 *
 * Each read begins with the row that was told last: it must be there, with the time that it had. When it is not, the file's
 * content was replaced under us (a restored backup, another file under the name): a new journal, which the next opening begins
 * (journal.h).
 */
#include "source/sqlite/sqlite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/fingerprint.h"
#include "source/sqlite/auth_table.h"
#include "source/sqlite/install.h"
#include "source/sqlite/journal.h"
#include "source/silence.h"

#define OPEN_WAIT_MS 2000      /* for locks; the pump tries again */
#define READ_WAIT_MS 1000      /* readers wait for nobody, but after a writer was killed the log's index is mended first */
#define WINDOW_US 20000        /* over which the rate of commits is measured */
#define RATE_MAX 10000         /* that we remember, so that it is forgotten after half a second */
#define LOOK_ANYWAY_US 1000000
#define BUSY_RATE 400          /* commits a second, from which on the log is copied for the writers */
#define COPY_FROM 300          /* pages: fewer are not worth two waits for the disk */
#define COPY_UP_TO 1000        /* pages of the log, where its writers begin to copy by themselves (wal_autocheckpoint) */
#define BATCH_BYTES (8u << 20) /* a batch is handed on at this size, whatever its count */

static enum status validate(const struct source_config *config, struct err *err)
{
	if (!*config->path || !strcmp(config->path, ":memory:") || !strncmp(config->path, "file:", 5))
		return err_set(err, STATUS_INVALID,
			"SQLITE_PATH: \"%.200s\" is not the path of a file: other processes must be able to open the database",
			config->path);
	return STATUS_OK;
}

static void *create(const struct source_config *config)
{
	struct sqlite *source = mem_zero(1, sizeof(*source));

	source->config = config;
	source->db = (struct db){.path = config->path, .stop_fd = config->stop_fd};
	source->note.fd = -1;
	lite_reader_init(&source->reader, config->rules, config->path);
	pthread_mutex_init(&source->lock, NULL);
	return source;
}

static void close_all(struct sqlite *source)
{
	lite_checkpoint_finish(&source->checkpoint);
	lite_wakeup_finish(&source->wakeup);
	lite_note_close(&source->note);
	lite_reader_forget(&source->reader);
	sqlite3_finalize(source->schema_stmt);
	sqlite3_finalize(source->read_stmt);
	source->schema_stmt = source->read_stmt = NULL;
	db_close(&source->db);
}

static void destroy(void *opaque)
{
	struct sqlite *source = opaque;

	if (!source)
		return;
	close_all(source);
	lite_reader_finish(&source->reader);
	holes_finish(&source->hole_watch);
	pthread_mutex_destroy(&source->lock);
	free(source);
}

/* -- opening ---------------------------------------------------------------------------------------------------------- */

/* A file that is not there is made, but not as an empty answer to a configuration that asks for its tables. */
static enum status open_file(struct sqlite *source, struct err *err)
{
	const struct source_config *config = source->config;
	bool there = access(config->path, F_OK) == 0;
	enum status status;

	if (!there && !source->started && config->rules->table_count)
		return err_set(err, STATUS_NOT_FOUND, "SQLITE_PATH: there is no file \"%s\", and TABLE_NAMES names \"%s\": make the "
			"database with its tables first, or name the one that has them in SQLITE_PATH, POSTGRES_DATABASE_URL or MYSQL_DATABASE", config->path, config->rules->tables[0].text);
	status = db_open(&source->db, !source->started, err);
	if (status == STATUS_OK && !there)
		log_info("sqlite", "\"%s\" was not there: an empty database was made", config->path);
	return status;
}

static enum status switch_to_wal(struct db *db, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	char before[16];
	enum status status;

	if (sqlite3_db_readonly(db->conn, "main") == 1)
		return err_set(err, STATUS_DENIED, "SQLITE_PATH: \"%s\" can only be read: esink keeps its journal in it, and needs "
			"the right to write to the file and its directory", db->path);
	status = db_prepare(db, "PRAGMA journal_mode", &stmt, err);
	if (status == STATUS_OK)
		status = db_step(db, stmt, err);
	if (status != STATUS_OK)
		return status;
	snprintf(before, sizeof(before), "%s", (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_reset(stmt);
	if (!strcmp(before, "wal"))
		return STATUS_OK;
	status = db_run(db, "PRAGMA journal_mode = WAL", err);
	if (status == STATUS_OK)
		status = db_step(db, stmt, err);
	if (status == STATUS_OK && strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") != 0)
		return err_set(err, STATUS_INVALID, "SQLITE_PATH: \"%s\" stays in journal mode %s: esink needs WAL, for which the file "
			"must lie on a local file system", db->path, before);
	if (status == STATUS_OK)
		log_info("sqlite", "the journal mode of \"%s\" was %s: switched to WAL, which lets readers and writers work at the "
			"same time; the file keeps it", db->path, before);
	return status;
}

static enum status prepare_all(struct sqlite *source, struct err *err)
{
	enum status status = db_prepare(&source->db, "PRAGMA schema_version", &source->schema_stmt, err);

	if (status == STATUS_OK)
		status = db_prepare(&source->db, READER_SQL, &source->read_stmt, err);
	source->reprepared = 0;
	source->mark = (struct db_mark){{0}};
	return status;
}

/* At start, before the file's journal mode is changed or the note is made: every table and column that the configuration
 * names, and that nothing of ours is somebody else's. */
static enum status check_configuration(struct sqlite *source, struct err *err)
{
	struct catalog *catalog = NULL;
	struct install_result ignored = {0};
	bool tokens = false;
	enum status status;

	if (source->started)
		return STATUS_OK;
	status = lite_auth_table_check(&source->db, source->config, &tokens, err);
	if (status == STATUS_OK)
		status = lite_install_plan(&source->db, source->config->rules, &catalog, &ignored, err);
	if (status == STATUS_OK)
		lite_catalog_warn_idle(catalog);
	if (status == STATUS_OK && tokens)
		lite_catalog_warn_tokens(catalog, source->config);
	lite_catalog_free(catalog);
	lite_install_result_finish(&ignored);
	return status;
}

static enum status install(struct sqlite *source, struct note_state *head, struct err *err)
{
	char word[FINGERPRINT_LEN + 1];
	bool made_schema = false;
	enum status status;

	fingerprint_rules(source->config->rules, word);
	status = lite_note_claim(&source->note, source->config->path, word, err);
	if (status == STATUS_OK)
		status = lite_upkeep_install(source, !source->started, &made_schema, err);
	if (status == STATUS_OK)
		status = lite_journal_settle(source, made_schema, head, err);
	if (status == STATUS_OK)
		status = prepare_all(source, err);
	lite_note_share(&source->note);
	return status;
}

static enum status open_source(void *opaque, struct source_position *ret, struct err *err)
{
	struct sqlite *source = opaque;
	struct note_state head = {.head = 0};
	enum status status;

	db_wait(&source->db, OPEN_WAIT_MS);
	status = open_file(source, err);
	if (status == STATUS_OK)
		status = check_configuration(source, err);
	if (status == STATUS_OK)
		status = switch_to_wal(&source->db, err);
	if (status == STATUS_OK)
		status = install(source, &head, err);
	if (status != STATUS_OK) {
		close_all(source);
		return status;
	}
	db_wait(&source->db, 0);
	lite_wakeup_start(&source->wakeup, source->config->path, source->config->stop_fd, source->config->poll_interval_ms);
	lite_checkpoint_start(&source->checkpoint, source->config->path);
	if (source->started && strcmp(source->journal, head.journal) != 0)
		holes_forget(&source->hole_watch);
	if (strcmp(source->journal, head.journal) != 0 || source->lost) {
		memcpy(source->journal, head.journal, sizeof(head.journal));
		source->position = head.head;
		source->at = head.at;
		source->lost = false;
	}
	source->next_hold = clock_ms() + silence_grace_ms(source->config->consumer_max_silence_ms);
	source->started = source->more = true;
	memcpy(ret->journal, head.journal, sizeof(head.journal));
	ret->id = source->position;
	ret->holes = source->hole_watch.holes;
	return STATUS_OK;
}

static void close_source(void *opaque)
{
	close_all(opaque);
}

/* -- fetching --------------------------------------------------------------------------------------------------------- */

static enum status gone(struct sqlite *source, bool broken, struct err *err)
{
	source->lost = true;
	source->broken = broken;
	return err_set(err, STATUS_GONE, "SQLITE_PATH: \"%s\": the journal does not go on behind event %" PRIu64 ": %s",
		source->config->path, source->position, broken ? "its content was replaced" : "it reaches back to RETENTION only");
}

/* The row that was told last comes first, when the journal still reaches back to it. */
static enum status check_last(struct sqlite *source, enum status status, bool *is_last, struct err *err)
{
	sqlite3_stmt *row = source->read_stmt;

	*is_last = false;
	if (status == STATUS_NOT_FOUND)
		return source->position ? gone(source, true, err) : status;
	if (status != STATUS_OK || !source->position)
		return status;
	*is_last = lite_reader_id(row) == source->position;
	if (*is_last)
		return lite_reader_at(row) == source->at ? status : gone(source, true, err);
	return lite_reader_id(row) == source->position + 1 ? status : gone(source, false, err);
}

static enum status take_row(struct sqlite *source, struct event_batch *batch, size_t *bytes, struct err *err)
{
	sqlite3_stmt *row = source->read_stmt;
	struct event *event = NULL;
	double at = lite_reader_at(row);
	enum status status;

	if (lite_reader_id(row) != source->position + 1)
		return gone(source, true, err);
	status = lite_reader_event(&source->reader, &source->db, row, source->journal, &event, err);
	if (status != STATUS_OK)
		return status;
	source->position = event->id;
	source->at = at;
	*bytes += event->size;
	event_batch_add(batch, event);
	return STATUS_OK;
}

static enum status read_rows(struct sqlite *source, struct event_batch *batch, struct err *err)
{
	bool is_last;
	size_t bytes = 0;
	enum status status;

	sqlite3_bind_int64(source->read_stmt, 1, (sqlite3_int64)source->position);
	/* Beside the batch the row that was told last, and the one that says that there is more. */
	sqlite3_bind_int64(source->read_stmt, 2, (sqlite3_int64)source->config->drain_max + 2);
	status = check_last(source, db_step(&source->db, source->read_stmt, err), &is_last, err);
	if (is_last && status == STATUS_OK)
		status = db_step(&source->db, source->read_stmt, err);
	while (status == STATUS_OK && bytes < BATCH_BYTES && batch->count < (size_t)source->config->drain_max) {
		status = take_row(source, batch, &bytes, err);
		if (status == STATUS_OK)
			status = db_step(&source->db, source->read_stmt, err);
	}
	sqlite3_reset(source->read_stmt);
	source->more = status == STATUS_OK;
	source->fetched = clock_us();
	if (batch->count)
		lite_note_tell(&source->note, source->position, source->at);
	/* What came before a failure is committed and in order: it goes on, and the failure shows again. */
	if (batch->count && status != STATUS_OK && status != STATUS_NOT_FOUND)
		source->more = true;
	return status == STATUS_NOT_FOUND || batch->count ? STATUS_OK : status;
}

/* SQLite compiles a statement again when it finds another schema. */
static void note_schema(struct sqlite *source)
{
	int reprepared = sqlite3_stmt_status(source->read_stmt, SQLITE_STMTSTATUS_REPREPARE, 0);

	source->look_at_schema |= reprepared != source->reprepared;
	source->reprepared = reprepared;
}

static void help_writers(struct sqlite *source)
{
	struct db_log log;

	if (source->config->checkpoint && source->rate >= BUSY_RATE && db_log(&source->db, &log) && log.pages <= COPY_UP_TO &&
		log.pages - log.copied >= COPY_FROM)
		lite_checkpoint_ask(&source->checkpoint);
}

/* Reads when somebody has committed since the last time. */
static enum status look(struct sqlite *source, struct event_batch *batch, struct err *err)
{
	struct db_mark mark = {{0}};
	bool marked = db_mark(&source->db, &mark), changed = !marked || memcmp(&mark, &source->mark, sizeof(mark)) != 0;
	enum status status;

	if (!changed && !source->more && clock_us() - source->fetched < LOOK_ANYWAY_US)
		return STATUS_OK;
	if (marked && source->mark.words[0])
		source->in_window += (uint32_t)(mark.words[DB_MARK_COMMITS] - source->mark.words[DB_MARK_COMMITS]);
	status = read_rows(source, batch, err);
	if (batch->count)
		lite_wakeup_met(&source->wakeup);
	note_schema(source);
	if (status == STATUS_OK && marked)
		source->mark = mark;
	help_writers(source);
	return status;
}

/* The more commits a second, the longer the pause between two looks, in us. A look takes some 20 of them. Up to a few thousand commits
 * the writer has time left, and events are wanted soon. */
static const struct {
	int64_t rate, pause;
} pace[] = {{4000, 5000}, {3000, 2000}, {400, 700}};

/* A look costs the writers something: it takes locks that they take, and wakes threads on their cores. While commits come at
 * several hundred a second it pays to let some gather. A writer that stands still for a moment, since it copies the log or waits
 * for the disk, is expected back: the rate falls by an eighth in each window. False: stopping. */
static bool keep_pace(struct sqlite *source)
{
	int64_t now = clock_us(), took = now - source->window, pause = 0;

	if (took >= WINDOW_US) {
		int64_t rate = source->in_window * 1000000 / took;

		for (; took >= WINDOW_US && source->rate > rate; took -= WINDOW_US)
			source->rate -= source->rate / 8 + 1;
		source->rate = source->rate > rate ? source->rate : rate < RATE_MAX ? rate : RATE_MAX;
		source->in_window = 0;
		source->window = now;
	}
	for (size_t i = 0; i < sizeof(pace) / sizeof(*pace) && !pause; i++)
		pause = source->rate >= pace[i].rate ? pace[i].pause : 0;
	pause = pause && !source->more ? source->fetched + pause - now : 0;
	return pause <= 0 || lite_wakeup_pause(&source->wakeup, pause);
}

static enum status fetch(void *opaque, int timeout_ms, struct event_batch *batch, struct err *err)
{
	struct sqlite *source = opaque;
	int64_t end = clock_ms() + timeout_ms;
	enum status status = STATUS_OK;

	if (!keep_pace(source))
		return err_set(err, STATUS_STOPPED, "stopped");
	for (;;) {
		int64_t left = end - clock_ms();
		int due;

		status = lite_upkeep_run(source, err);
		if (holes_tell(&source->hole_watch, batch))
			return status;
		db_wait(&source->db, READ_WAIT_MS);
		if (status == STATUS_OK)
			status = look(source, batch, err);
		db_wait(&source->db, 0);
		if (status != STATUS_OK || batch->count || left <= 0)
			return status;
		due = source->look_at_schema ? 0 : lite_upkeep_due_ms(source);
		if (!lite_wakeup_wait(&source->wakeup, left < due ? (int)left : due, &source->look_at_file))
			return err_set(err, STATUS_STOPPED, "stopped");
	}
}

static void complaint(void *opaque, struct err *err)
{
	struct sqlite *source = opaque;

	pthread_mutex_lock(&source->lock);
	*err = source->complaint;
	pthread_mutex_unlock(&source->lock);
}

const struct source_ops sqlite_source = {
	.name = "sqlite",
	.validate = validate,
	.create = create,
	.destroy = destroy,
	.open = open_source,
	.fetch = fetch,
	.close = close_source,
	.complaint = complaint,
	.check = sqlite_check,
	.uninstall = sqlite_uninstall,
	.lane_create = sqlite_lane_create,
	.lane_destroy = sqlite_lane_destroy,
	.lookup = sqlite_lookup,
	.publish = sqlite_publish,
	.read = sqlite_read,
	.range = sqlite_range,
	.consumers = sqlite_consumers,
	.consumer_put = sqlite_consumer_put,
	.consumer_delete = sqlite_consumer_delete,
	.consumer_advance = sqlite_consumer_advance,
	.consumer_mark = sqlite_consumer_mark,
	.consumer_marks = sqlite_consumer_marks,
};
