/* Capture from MySQL or MariaDB: the ops of the source thread.
 *
 * Nothing wakes us: the server has no notification. So fetch() asks, every few milliseconds while events come in and more and
 * more seldom after the last one, down to POLL_INTERVAL_MS: one relay, the mover, whether the outbox has rows, which it then
 * moves to the journal (move.c) and returns; the others whether the journal has. What is returned was committed there before.
 *
 * Position survives close() and open(): after a lost connection the next fetch goes on behind the last event that was returned.
 */
#include "source/mysql/mysql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "source/mysql/auth_table.h"
#include "source/mysql/catalog.h"
#include "source/mysql/hold.h"
#include "source/silence.h"
#include "source/token_table.h"

#define READ_TIMEOUT_MS 120000
#define IDLE_S 2               /* besides the poll interval: without a statement of ours the server ends the connection, and with it its locks */
#define BATCH_BYTES (8u << 20) /* a batch is handed on at this size, whatever its count */
#define RESUME_EARLY_MS 300
#define CLAIM_MS 100           /* between two tries to become the mover */
#define WINDOW_US 20000        /* over which the rate of events is measured */
#define BUSY_RATE 2500         /* events a second */
#define BUSY_PAUSE_MS 20       /* docs/ARCHITECTURE.md says what it saves */
#define BUSY_PAUSE_MAX_MS 50
#define BUSY_SHARE 250         /* events a second for each millisecond between the two */
#define PAUSE_MS 2
#define WALK_MS 20       /* a walk over deleted rows of so long is not begun anew at once */
#define WALK_PAUSE_MAX_MS 1000
#define AWAKE_MS 300 /* after the last event */
#define CALM 8       /* after that, one part of so many of the time since then is waited */

static bool is_taken(const char *outbox)
{
	static const char *const ours[] = {"esink_journal", "esink_shape", "esink_meta", "esink_consumer", "esink_mark"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (!strcasecmp(outbox, ours[i]))
			return true;
	return false;
}

static enum status validate(const struct source_config *config, struct err *err)
{
	if (strlen(config->database) > 64)
		return err_set(err, STATUS_INVALID, "MYSQL_DATABASE: \"%.80s\" is longer than a name may be", config->database);
	if (!*config->outbox || is_taken(config->outbox))
		return err_set(err, STATUS_INVALID, "MYSQL_TABLE_TARGET: \"%s\" is %s", config->outbox,
			*config->outbox ? "a table that esink keeps something else in: choose another name" : "no name of a table");
	if (config->tls == SOURCE_TLS_CA && !config->tls_ca) /* of the system's, anybody has a certificate of some name */
		return err_set(err, STATUS_INVALID, "MYSQL_SSL_MODE: verify_ca needs the authority in MYSQL_SSL_CA; verify_identity does with the system's");
	return STATUS_OK;
}

static void *create(const struct source_config *config)
{
	struct mysql *source = mem_zero(1, sizeof(*source));

	source->config = config;
	source->db = (struct my_db){.config = config, .nudge_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	my_reader_init(&source->reader, config);
	my_moved_init(&source->moved);
	pthread_mutex_init(&source->lock, NULL);
	return source;
}

static void destroy(void *opaque)
{
	struct mysql *source = opaque;

	if (!source)
		return;
	my_close(&source->db);
	my_reader_finish(&source->reader);
	my_guard_finish(&source->guard);
	my_moved_finish(&source->moved);
	free(source->rights.had);
	if (source->db.nudge_fd >= 0)
		close(source->db.nudge_fd);
	holes_finish(&source->hole_watch);
	pthread_mutex_destroy(&source->lock);
	free(source);
}

/* -- opening ---------------------------------------------------------------------------------------------------------- */

/* At start, before anything is touched: every table and column that the configuration names. */
static enum status check_configuration(struct mysql *source, struct err *err)
{
	struct my_catalog *catalog = NULL;
	AUTO_FREE char *sql = NULL;
	bool numeric;
	enum status status;

	if (source->started)
		return STATUS_OK;
	status = my_auth_table_statement(&source->db, &sql, &numeric, err);
	status = token_table_spared("mysql", source->config, status, err);
	if (status == STATUS_OK)
		status = my_catalog_load(&source->db, true, &catalog, NULL, err);
	if (status == STATUS_OK)
		my_catalog_warn_idle(catalog);
	if (status == STATUS_OK && sql)
		my_catalog_warn_tokens(catalog, source->config);
	my_catalog_free(catalog);
	return status;
}

static enum status install(struct mysql *source, struct my_meta *meta, struct err *err)
{
	enum status status = my_claim_enter(&source->db, err);

	if (status != STATUS_OK)
		return status;
	status = my_upkeep_tables(source, err);
	if (status == STATUS_OK)
		status = my_meta_settle(&source->db, source->lost ? "" : source->journal, source->position, meta, err);
	if (status == STATUS_OK)
		status = my_hold_settle(&source->db, err);
	if (status == STATUS_OK)
		status = my_claim_rules(&source->db, err);
	if (status == STATUS_OK)
		status = my_upkeep_install(source, !source->started, err);
	my_claim_leave(&source->db);
	return status;
}

/* A mover that was cut off from the server holds the right to move for so long. */
static int idle_s(const struct mysql *source)
{
	return IDLE_S + source->config->poll_interval_ms / 1000;
}

/* May we move? Then the journal's head is what it is now: whoever moved until now may have done so since we last looked. */
static enum status claim(struct mysql *source, struct my_meta *meta, struct err *err)
{
	enum status status = my_claim_mover(&source->db, &source->mover, err);

	return status == STATUS_OK && source->mover ? my_meta_read(&source->db, meta, err) : status;
}

static enum status open_source(void *opaque, struct source_position *ret, struct err *err)
{
	struct mysql *source = opaque;
	struct my_meta meta = {.head = 0};
	enum status status = my_connect(&source->db, MY_CONNECT_TIMEOUT_MS, idle_s(source), err);

	if (status == STATUS_OK)
		status = my_number(&source->db, "SELECT @@max_allowed_packet", &source->packet, err);
	if (status == STATUS_OK)
		status = check_configuration(source, err);
	if (status == STATUS_OK)
		status = install(source, &meta, err);
	if (status == STATUS_OK)
		status = claim(source, &meta, err);
	if (status == STATUS_OK && !source->started)
		status = my_upkeep_rights(source, err);
	if (status == STATUS_DENIED)
		my_rights_explain(&source->db, err);
	if (status != STATUS_OK) {
		my_close(&source->db);
		return status;
	}
	my_reader_forget(&source->reader); /* another journal may number shapes anew */
	my_guard_forget(&source->guard);
	source->head = meta.head;
	if (source->started && strcmp(source->journal, meta.journal) != 0)
		holes_forget(&source->hole_watch);
	if (strcmp(source->journal, meta.journal) != 0 || source->lost) {
		memcpy(source->journal, meta.journal, sizeof(meta.journal));
		source->position = meta.head;
		source->lost = false;
		source->seen = source->floor[0] = source->floor[1] = 0;
	}
	source->next_sweep = 0;
	source->next_hold = clock_ms() + silence_grace_ms(source->config->consumer_max_silence_ms);
	source->started = true;
	source->heard = clock_ms();
	memcpy(ret->journal, meta.journal, sizeof(meta.journal));
	ret->id = source->position;
	ret->holes = source->hole_watch.holes;
	return STATUS_OK;
}

static void close_source(void *opaque)
{
	struct mysql *source = opaque;

	my_close(&source->db);
}

/* -- fetching --------------------------------------------------------------------------------------------------------- */

static enum status gone(struct mysql *source, struct err *err)
{
	source->lost = true;
	return err_set(err, STATUS_GONE, "the journal does not go on behind event %" PRIu64 ": it reaches back to RETENTION only, or "
		"was emptied", source->position);
}

static void count_events(struct mysql *source, size_t count)
{
	int64_t now = clock_us();

	if (now - source->window >= WINDOW_US) {
		source->rate = source->in_window * 1000000 / (now - source->window);
		source->in_window = 0;
		source->window = now;
	}
	source->in_window += (int64_t)count;
	if (count)
		source->last_event = now / 1000;
}

static enum status take_event(struct mysql *source, const struct my_cells *cells, struct event_batch *batch, size_t *bytes, struct err *err)
{
	struct event *event = NULL;
	enum status status = my_reader_event(&source->reader, cells, source->journal, &event, err);

	if (status != STATUS_OK)
		return status;
	source->position = event->id;
	if (event->key > source->seen)
		source->seen = event->key;
	*bytes += event->size;
	event_batch_add(batch, event);
	return STATUS_OK;
}

/* Of a chunk what follows on our position; as much of the last one of a read as there may be events in a batch. */
static enum status take_chunk(struct mysql *source, struct my_chunk chunk, struct event_batch *batch, size_t *bytes, struct err *err)
{
	enum status status = STATUS_OK;
	struct my_cells cells;

	if (chunk.next > source->position + 1)
		return gone(source, err);
	while (status == STATUS_OK && batch->count < (size_t)source->config->drain_max && my_chunk_next(&chunk, &cells))
		if (cells.id > source->position)
			status = take_event(source, &cells, batch, bytes, err);
	return status;
}

/* What was moved is committed, so what is not taken now is found in the journal. */
static enum status take_moved(struct mysql *source, struct event_batch *batch, struct err *err)
{
	enum status status = STATUS_OK;
	uint64_t head = source->position;
	size_t bytes = 0;

	for (size_t row = 0; row < source->moved.count && status == STATUS_OK && bytes < BATCH_BYTES; row++) {
		struct my_cells cells = my_moved_cells(&source->moved, row, head);

		status = take_event(source, &cells, batch, &bytes, err);
	}
	my_moved_clear(&source->moved);
	count_events(source, batch->count);
	return batch->count ? STATUS_OK : status;
}

/* Takes what a read still has to give, until the batch is full. */
static enum status take_rows(struct mysql *source, struct event_batch *batch, struct err *err)
{
	size_t bytes = 0;
	enum status status = STATUS_OK;

	while (source->db.stream && status == STATUS_OK && bytes < BATCH_BYTES) {
		unsigned long *lengths = NULL;
		MYSQL_ROW row = NULL;

		status = my_stream_next(&source->db, READ_TIMEOUT_MS, &row, &lengths, err);
		if (status == STATUS_OK && row)
			status = take_chunk(source, my_chunk_of(row, lengths), batch, &bytes, err);
	}
	if (source->head < source->position)
		source->head = source->position;
	if (status != STATUS_OK)
		my_close(&source->db); /* what came before is committed and in order: it goes on, and the failure shows again */
	count_events(source, batch->count);
	return batch->count ? STATUS_OK : status;
}

static enum status begin_read(struct mysql *source, struct err *err)
{
	char sql[256];

	my_chunk_statement(sql, sizeof(sql), source->position, (uint64_t)source->config->drain_max);
	return my_stream_begin(&source->db, sql, READ_TIMEOUT_MS, err);
}

static bool is_busy(const struct mysql *source, int64_t now)
{
	return now - source->last_event < AWAKE_MS && source->rate >= BUSY_RATE;
}

static enum status move(struct mysql *source, struct err *err)
{
	bool wanted = source->full || is_busy(source, clock_ms());
	enum status status = wanted ? STATUS_OK : my_move_wanted(source, &wanted, err);

	source->walk = 0;
	return status == STATUS_OK && wanted ? my_move(source, &source->moved, err) : status;
}

/* The mover may have gone. */
static enum status claim_again(struct mysql *source, struct err *err)
{
	struct my_meta meta;
	enum status status;

	if (source->mover || clock_ms() < source->next_claim)
		return STATUS_OK;
	source->next_claim = clock_ms() + CLAIM_MS;
	status = claim(source, &meta, err);
	if (status != STATUS_OK || !source->mover)
		return status;
	if (strcmp(meta.journal, source->journal) != 0) {
		source->lost = true;
		return err_set(err, STATUS_GONE, "the journal is another one now");
	}
	source->head = meta.head;
	return STATUS_OK;
}

static enum status advance(struct mysql *source, struct event_batch *batch, struct err *err)
{
	enum status status = my_upkeep_run(source, err);
	uint64_t position = source->position;

	if (status == STATUS_OK)
		status = claim_again(source, err);
	if (status == STATUS_OK && source->mover && source->head <= position)
		status = move(source, err);
	if (status == STATUS_OK && source->moved.count)
		return take_moved(source, batch, err);
	if (status != STATUS_OK || (source->mover && source->head <= position))
		return status;
	status = begin_read(source, err);
	if (status == STATUS_OK)
		status = take_rows(source, batch, err);
	if (status == STATUS_OK && !batch->count && source->mover)
		return gone(source, err);
	return status;
}

static int64_t busy_pause(int64_t rate)
{
	int64_t pause = rate / BUSY_SHARE;

	return pause < BUSY_PAUSE_MS ? BUSY_PAUSE_MS : pause > BUSY_PAUSE_MAX_MS ? BUSY_PAUSE_MAX_MS : pause;
}

/* How long to wait before the next look. Each costs the server some statements and a flush of its log, and a move of many rows
 * far less for each of them than a move of few, so while events come in fast it pays to let some gather. */
static int64_t pace(const struct mysql *source, int64_t now)
{
	int64_t since = now - source->last_event, most = source->config->poll_interval_ms, pause;

	if (source->db.stream || source->head > source->position)
		return 0;
	pause = source->full ? 0 : is_busy(source, now) ? busy_pause(source->rate) : since < AWAKE_MS ? PAUSE_MS : since / CALM;
	pause = (pause < most ? pause : most) - (now - source->last_look);
	if (source->walk >= WALK_MS) /* half of the server's time for it, at most */
		pause = (source->walk < WALK_PAUSE_MAX_MS ? source->walk : WALK_PAUSE_MAX_MS) - (now - source->heard);
	return pause > 0 ? pause : 0;
}

/* After a pause of ours (hubs that are behind, a process that was stopped) in which the server has given us up: that is no failure. */
static enum status resume(struct mysql *source, struct err *err)
{
	struct source_position position;
	char journal[JOURNAL_LEN + 1];
	enum status status;

	if (clock_ms() - source->heard < idle_s(source) * INT64_C(1000) - RESUME_EARLY_MS)
		return STATUS_OK;
	memcpy(journal, source->journal, sizeof(journal));
	my_close(&source->db);
	status = open_source(source, &position, err);
	if (status == STATUS_OK && strcmp(journal, source->journal) != 0)
		return err_set(err, STATUS_GONE, "the journal is another one now");
	return status;
}

static enum status fetch(void *opaque, int timeout_ms, struct event_batch *batch, struct err *err)
{
	struct mysql *source = opaque;
	int64_t end = clock_ms() + timeout_ms;

	if (!source->db.conn)
		return err_set(err, STATUS_UNAVAILABLE, "the connection to MySQL was lost");
	for (;;) {
		enum status status = STATUS_OK;
		int64_t now = clock_ms(), pause = pace(source, now);

		if (pause > end - now)
			pause = end - now;
		if (pause > 0 && !my_wait(&source->db, (int)pause))
			return err_set(err, STATUS_STOPPED, "stopped");
		if (pause > 0 && clock_ms() >= end)
			return STATUS_OK;
		source->last_look = clock_ms();
		status = resume(source, err);
		if (status != STATUS_OK)
			return status;
		status = source->db.stream ? take_rows(source, batch, err) : advance(source, batch, err);
		source->heard = clock_ms();
		if (holes_tell(&source->hole_watch, batch) || status != STATUS_OK || batch->count || clock_ms() >= end)
			return status;
	}
}

static void complaint(void *opaque, struct err *err)
{
	struct mysql *source = opaque;

	pthread_mutex_lock(&source->lock);
	*err = source->lost_rights.text[0] ? source->lost_rights : source->complaint;
	pthread_mutex_unlock(&source->lock);
}

const struct source_ops mysql_source = {
	.name = "mysql",
	.validate = validate,
	.create = create,
	.destroy = destroy,
	.open = open_source,
	.fetch = fetch,
	.close = close_source,
	.complaint = complaint,
	.check = mysql_check,
	.uninstall = mysql_uninstall,
	.lane_create = mysql_lane_create,
	.lane_destroy = mysql_lane_destroy,
	.lookup = mysql_lookup,
	.publish = mysql_publish,
	.read = mysql_read,
	.range = mysql_range,
	.consumers = mysql_consumers,
	.consumer_put = mysql_consumer_put,
	.consumer_delete = mysql_consumer_delete,
	.consumer_advance = mysql_consumer_advance,
	.consumer_mark = mysql_consumer_mark,
	.consumer_marks = mysql_consumer_marks,
};
