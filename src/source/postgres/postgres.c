/* Capture from PostgreSQL: the ops of the source thread.
 *
 * fetch() is a loop of three questions. Are rows of a read still coming? Hand them on. Is there
 * anything between our position and the head? Read it: always from ticks that are committed, so
 * what is returned is durable and has its ids for good. Is there anything that no tick holds yet?
 * Drain. When all three say no, wait (wakeup.c), and look after the triggers and the rotation
 * (upkeep.c).
 *
 * Position and key survive close() and open(): after a lost connection the next fetch goes on
 * behind the last event that was returned, whoever made its tick.
 */
#include "source/postgres/postgres.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/postgres/auth_table.h"
#include "source/postgres/install.h"
#include "source/postgres/statement.h"
#include "source/postgres/url.h"
#include "source/silence.h"
#include "source/token_table.h"

#define SHORT_TIMEOUT_MS 10000 /* what is short whatever the database holds */
#define LEAVE_TIMEOUT_MS 1000
#define LONG_TIMEOUT_MS 0 /* a drain or a read takes what it takes; the connection is watched */
#define BATCH_BYTES (8u << 20) /* a batch is handed on at this size, whatever its count */

static void forget_tick(struct postgres *source)
{
	PQclear(source->tick);
	source->tick = NULL;
}

static void *create(const struct source_config *config)
{
	struct postgres *source = mem_zero(1, sizeof(*source));

	source->config = config;
	source->pg.stop_fd = config->stop_fd;
	source->pg.watch_url = config->url;
	source->reader.today.rules = config->rules;
	claim_init(&source->claim, config->rules);
	pthread_mutex_init(&source->lock, NULL);
	return source;
}

static void destroy(void *opaque)
{
	struct postgres *source = opaque;

	if (!source)
		return;
	pg_close(&source->pg);
	forget_tick(source);
	pg_reader_finish(&source->reader);
	holes_finish(&source->hole_watch);
	pthread_mutex_destroy(&source->lock);
	free(source);
}

static enum status check_server(struct pg *pg, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status;

	if (PQserverVersion(pg->conn) < 130000)
		return err_set(err, STATUS_INVALID,
			"POSTGRES_DATABASE_URL: the server is PostgreSQL %d; esink needs 13 or "
			"newer",
			PQserverVersion(pg->conn) / 10000);
	status = pg_query(pg,
		"SELECT pg_catalog.pg_is_in_recovery(), "
		"pg_catalog.current_setting('transaction_read_only') = 'on'",
		0, NULL, SHORT_TIMEOUT_MS, &result, err);
	if (status == STATUS_OK && pg_bool(result, 0, 0))
		return err_set(err, STATUS_UNAVAILABLE,
			"the PostgreSQL server is a standby: waiting for a primary");
	if (status == STATUS_OK && pg_bool(result, 0, 1))
		return err_set(err, STATUS_UNAVAILABLE,
			"the PostgreSQL server is read-only for us (default_transaction_read_only is on), and the "
			"journal is written there: waiting until it is off, for esink alone by: ALTER ROLE \"%s\" SET "
			"default_transaction_read_only = off;",
			PQuser(pg->conn));
	return status;
}

enum status postgres_read_head(struct postgres *source, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = pg_query(&source->pg, "SELECT next - 1 FROM esink.newest_tick()", 0,
		NULL, SHORT_TIMEOUT_MS, &result, err);

	if (status == STATUS_OK)
		source->head = (uint64_t)pg_int(result, 0, 0);
	return status;
}

/* At start, before anything is touched: every table, column and right that the configuration names.
 */
static enum status check_configuration(struct postgres *source, struct err *err)
{
	struct pg_catalog *catalog = NULL;
	AUTO_FREE char *sql = NULL;
	enum status status;

	if (source->started)
		return STATUS_OK;
	status = auth_table_statement(&source->pg, source->config, SHORT_TIMEOUT_MS, &sql, err);
	status = token_table_spared("postgres", source->config, status, err);
	if (status == STATUS_OK)
		status =
			catalog_load(&source->pg, source->config->rules, true, &catalog, NULL, err);
	if (status == STATUS_OK)
		postgres_warn_unrouted(catalog, source->config->rules);
	if (status == STATUS_OK && sql)
		postgres_warn_tokens(catalog, source->config);
	if (status == STATUS_OK && sql)
		status = auth_table_warn(&source->pg, source->config, SHORT_TIMEOUT_MS, err);
	catalog_free(catalog);
	return status;
}

/* Events that we have told are not there any more: a copy of the server's files was put in their place. Under its name the
 * journal would give their ids to others. */
static enum status check_position(struct postgres *source, char *journal, struct err *err)
{
	enum status status;

	if (source->position <= source->head || strcmp(source->journal, journal) != 0)
		return STATUS_OK;
	status = install_journal(&source->pg, journal, err);
	return status == STATUS_OK ? postgres_read_head(source, err) : status;
}

static enum status open_source(void *opaque, struct source_position *head, struct err *err)
{
	struct postgres *source = opaque;
	char journal[JOURNAL_LEN + 1];
	enum status status = pg_connect(
		&source->pg, source->config->url, PG_CONNECT_TIMEOUT_MS, err);

	source->streaming = false;
	source->next_claim = 0;
	forget_tick(source);
	if (status == STATUS_OK)
		status = check_server(&source->pg, err);
	if (status == STATUS_OK)
		status = check_configuration(source, err);
	if (status == STATUS_OK)
		status = install_schema(&source->pg, journal, err);
	if (status == STATUS_OK)
		status = claim_configuration(&source->pg, &source->claim, err);
	if (status == STATUS_OK)
		status = upkeep_open(source, err);
	if (status == STATUS_OK)
		status = wakeup_start(
			&source->wakeup, &source->pg, source->config->poll_interval_ms, err);
	if (status == STATUS_OK)
		status = postgres_read_head(source, err);
	if (status == STATUS_OK)
		status = check_position(source, journal, err);
	if (status != STATUS_OK) {
		pg_close(&source->pg);
		return status;
	}
	if (source->started && strcmp(source->journal, journal) != 0)
		holes_forget(&source->hole_watch);
	if (strcmp(source->journal, journal) != 0 || source->lost) {
		source->lost = false;
		memcpy(source->journal, journal, sizeof(journal));
		source->position = source->head;
		source->key = 0;
	}
	source->next_hold = clock_ms() + silence_grace_ms(source->config->consumer_max_silence_ms);
	source->started = true;
	memcpy(head->journal, journal, sizeof(journal));
	head->id = source->position;
	head->holes = source->hole_watch.holes;
	return STATUS_OK;
}

/* The stop came in the middle of a call, which ended the connection, or of a read: over a new one writers are told all the
 * same that nobody sleeps, or each of them would notify nobody until the next start. */
static void reconnect_to_leave(struct postgres *source)
{
	int stop_fd = source->pg.stop_fd;
	struct err ignored;

	if (pg_pause(&source->pg, 0) || (source->pg.conn && !source->streaming) || !source->started)
		return;
	source->pg.stop_fd = -1; /* stopping must not stop this */
	if (pg_connect(&source->pg, source->config->url, LEAVE_TIMEOUT_MS, &ignored) == STATUS_OK)
		source->streaming = false;
	source->pg.stop_fd = stop_fd;
}

static void close_source(void *opaque)
{
	struct postgres *source = opaque;

	reconnect_to_leave(source);
	if (!source->streaming) {
		wakeup_finish(&source->wakeup, &source->pg);
		if (!pg_pause(&source->pg, 0)) /* for good: or another configuration would come in between */
			claim_release(&source->pg, &source->claim);
	}
	pg_close(&source->pg);
}

enum drained { HEAD, DRAINED, ASLEEP, CROWDED, FIRST, LOW, HIGH, PLACE };

static enum status drain(struct postgres *source, bool *any, struct err *err)
{
	static const char sql[] = "SELECT head, drained, asleep, crowded, first, low, high, place FROM esink.drain()";
	struct wakeup_look look;
	enum status status;

	forget_tick(source);
	status = pg_plan(&source->pg, "esink.drain", sql, err);
	if (status == STATUS_OK)
		status = pg_call(&source->pg, sql, 0, NULL, LONG_TIMEOUT_MS, &source->tick, err);
	if (status != STATUS_OK)
		return status;
	source->head = (uint64_t)pg_int(source->tick, 0, HEAD);
	*any = source->head > source->position;
	look = (struct wakeup_look){.found = *any, .asleep = pg_bool(source->tick, 0, ASLEEP), .crowded = pg_bool(source->tick, 0, CROWDED)};
	return wakeup_seen(&source->wakeup, &source->pg, &look, err);
}

/* The tick that was made last is all that is to be read, and small: so it is nearly always. */
static bool is_all(const struct postgres *source)
{
	return source->tick && !PQgetisnull(source->tick, 0, PLACE) &&
	       (uint64_t)pg_int(source->tick, 0, FIRST) == source->position + 1 &&
	       pg_int(source->tick, 0, DRAINED) <= source->config->drain_max;
}

static enum status begin_read(struct postgres *source, struct err *err)
{
	char after[24], key[24], max[24];
	enum status status;

	if (is_all(source)) {
		static const enum drained columns[] = {FIRST, DRAINED, LOW, HIGH, PLACE};
		const char *params[5];

		for (size_t i = 0; i < 5; i++)
			params[i] = PQgetvalue(source->tick, 0, columns[i]);
		status = pg_stream_begin(&source->pg, "esink.read_tick", pg_reader_tick_sql(&source->pg), 5, params, err);
	} else {
		const char *params[] = {after, key, max};

		snprintf(after, sizeof(after), "%llu", (unsigned long long)source->position);
		snprintf(key, sizeof(key), "%llu", (unsigned long long)source->key);
		snprintf(max, sizeof(max), "%d", source->config->drain_max);
		status = pg_stream_begin(&source->pg, "esink.read", pg_reader_sql(&source->pg), 3, params, err);
	}
	forget_tick(source);
	source->streaming = status == STATUS_OK;
	source->read_from = source->position;
	return status;
}

/* A read that gave nothing below the head: a big tick's other pages are wanted. */
static enum status map_rest(struct postgres *source, struct err *err)
{
	bool mapped = false;
	enum status status = pg_reader_map(
		&source->pg, source->position, LONG_TIMEOUT_MS, &mapped, err);

	if (status != STATUS_OK || mapped)
		return status;
	source->lost = true;
	return err_set(err, STATUS_GONE, "the journal has no event after %llu",
		(unsigned long long)source->position);
}

/* Takes what a read still has to give, until the batch is full. */
static enum status take_rows(struct postgres *source, struct event_batch *batch, struct err *err)
{
	size_t bytes = 0;

	while (bytes < BATCH_BYTES) {
		AUTO_RESULT PGresult *row = NULL;
		enum status status = pg_stream_next(&source->pg, LONG_TIMEOUT_MS, &row, err);
		struct event *event;

		if (status != STATUS_OK || !row) {
			source->streaming = false;
			wakeup_looked(&source->wakeup);
			source->lost = status == STATUS_GONE;
			/* What came before a failure is committed and in order: it goes on, and the
			 * failure shows again. */
			return batch->count ? STATUS_OK : status;
		}
		event = pg_reader_event(&source->reader, row, source->journal);
		if (event->id != source->position + 1) {
			err_set(err, STATUS_FAILED, "the journal gave event %llu after %llu",
				(unsigned long long)event->id,
				(unsigned long long)source->position);
			event_unref(event);
			pg_close(&source->pg);
			return batch->count ? STATUS_OK : STATUS_FAILED;
		}
		source->position = event->id;
		source->key = event->key;
		bytes += event->size;
		event_batch_add(batch, event);
	}
	return STATUS_OK;
}

static enum status fetch(void *opaque, int timeout_ms, struct event_batch *batch, struct err *err)
{
	struct postgres *source = opaque;
	int64_t end = clock_ms() + timeout_ms;
	enum status status = STATUS_OK;
	bool any;

	do {
		if (source->streaming) {
			status = take_rows(source, batch, err);
			if (status != STATUS_OK || batch->count)
				return status;
			if (source->read_from == source->position &&
				source->position < source->head)
				status = map_rest(source, err);
			if (status != STATUS_OK)
				return status;
		}
		status = upkeep_run(source, err);
		if (holes_tell(&source->hole_watch, batch))
			return status;
		any = source->position < source->head;
		if (status == STATUS_OK && !any)
			status = wakeup_pace(&source->wakeup, &source->pg, err);
		if (status == STATUS_OK && !any)
			status = drain(source, &any, err);
		if (status == STATUS_OK && any)
			status = wakeup_busy(
				&source->wakeup, &source->pg, source->head - source->position, err);
		/* What a long look found is read under a claim that is as new as any: others may have come meanwhile. */
		if (status == STATUS_OK && any && clock_ms() < source->next_claim)
			status = begin_read(source, err);
		if (status == STATUS_OK && !any)
			status = wakeup_idle(&source->wakeup, &source->pg, timeout_ms, err);
	} while (status == STATUS_OK && (any || clock_ms() < end));
	return status;
}

static void complaint(void *opaque, struct err *err)
{
	struct postgres *source = opaque;

	pthread_mutex_lock(&source->lock);
	*err = source->complaint;
	pthread_mutex_unlock(&source->lock);
}

const struct source_ops postgres_source = {
	.name = "postgres",
	.validate = postgres_url_check,
	.create = create,
	.destroy = destroy,
	.open = open_source,
	.fetch = fetch,
	.close = close_source,
	.complaint = complaint,
	.check = postgres_check,
	.uninstall = postgres_uninstall,
	.lane_create = postgres_lane_create,
	.lane_destroy = postgres_lane_destroy,
	.lookup = postgres_lookup,
	.publish = postgres_publish,
	.read = postgres_read,
	.range = postgres_range,
	.consumers = postgres_consumers,
	.consumer_put = postgres_consumer_put,
	.consumer_delete = postgres_consumer_delete,
	.consumer_advance = postgres_consumer_advance,
	.consumer_mark = postgres_consumer_mark,
	.consumer_marks = postgres_consumer_marks,
};
