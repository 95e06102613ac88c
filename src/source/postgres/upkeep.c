/* What capture looks after beside fetching: whether the watched tables are still what the triggers
 * were made for, and how far back the journal reaches. Both on capture's own connection, between
 * fetches, each bounded.
 *
 * Drift is one short query a second: a fingerprint of everything that matters. Only when it changed
 * is the catalogue loaded and the difference installed. Under continuous load, when fetch() is
 * never idle, it is asked all the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "source/postgres/capture.h"
#include "source/postgres/hold.h"
#include "source/postgres/install.h"
#include "source/postgres/installed.h"
#include "source/postgres/mend.h"
#include "source/postgres/postgres.h"
#include "source/postgres/recall.h"
#include "source/postgres/statement.h"

#define CLAIM_EVERY_MS 1000
#define DRIFT_EVERY_MS 1000
#define INSTALLS_MAX 3 /* the next drift check goes on */
#define BUSY_RETRY_MIN_MS 200 /* doubling: writers wait behind each try */
#define BUSY_RETRY_MAX_MS 5000
#define LOOK_TIMEOUT_MS 10000
#define ROTATE_TIMEOUT_MS 30000
#define HELD_BACK_LOG_MIN_MS 10000
#define HELD_BACK_LOG_MAX_MS 60000

static void set_complaint(struct postgres *source, const struct err *complaint)
{
	pthread_mutex_lock(&source->lock);
	if (complaint->text[0] && strcmp(source->complaint.text, complaint->text) != 0)
		log_warn("postgres", "%s", complaint->text);
	else if (!complaint->text[0] && source->complaint.text[0])
		log_info("postgres", "mended: %s", source->complaint.text);
	source->complaint = *complaint;
	pthread_mutex_unlock(&source->lock);
}

static bool has_row_trigger(const struct installed *installed, const struct pg_table *table)
{
	for (int row = 0; row < PQntuples(installed->triggers); row++)
		if (installed->stands[row].relation == table->oid && strcmp(PQgetvalue(installed->triggers, row, 1), "!esink") == 0)
			return true;
	return false;
}

/* There is a function of this table, or of one that had its name and is gone or has another one now. */
static bool was_watched(const struct installed *installed, const struct pg_catalog *catalog, const struct pg_table *table)
{
	for (int row = 0; row < PQntuples(installed->functions); row++)
		if ((installed->of[row] == table->oid || !catalog_has(catalog, installed->of[row])) &&
			capture_body_is_of(PQgetvalue(installed->functions, row, 1), table->topic))
			return true;
	return false;
}

/* Which tables came under a watched name, or lost their trigger: while we ran (not strict), or before. */
static enum status find_uncaptured(struct pg *pg, const struct pg_catalog *catalog, bool strict, struct buf *names, struct err *err)
{
	struct installed installed = {0};
	enum status status = installed_load(pg, catalog, &installed, err);

	buf_text(names, "");
	for (size_t i = 0; status == STATUS_OK && i < catalog->table_count; i++) {
		const struct pg_table *table = &catalog->tables[i];

		if (!install_attaches(table))
			continue; /* not from now on either */
		if (!has_row_trigger(&installed, table) && (!strict || was_watched(&installed, catalog, table)))
			buf_printf(names, "%s%s", names->len ? ", " : "", table->topic);
	}
	installed_finish(&installed);
	return status;
}

/* Of a hole that is over, what no tick holds yet comes behind the head, as what is written from now on. */
static enum status look_for_holes(struct postgres *source, const struct pg_catalog *catalog, bool strict, struct err *err)
{
	AUTO_BUF struct buf lacking = buf_init(BUF_NO_MAX); /* bounded by the configuration */
	enum status status = find_uncaptured(&source->pg, catalog, strict, &lacking, err);

	if (status == STATUS_OK && holes_over(&source->hole_watch, lacking.bytes)) {
		status = postgres_read_head(source, err);
		if (status == STATUS_OK)
			holes_add(&source->hole_watch, source->head);
	}
	if (status == STATUS_OK)
		holes_seen(&source->hole_watch, "postgres", lacking.bytes);
	return status;
}

static enum status install_once(struct postgres *source, bool strict, struct install_done *done, struct err *err)
{
	struct pg_catalog *catalog = NULL;
	struct err complaint = {""};
	enum status status =
		catalog_load(&source->pg, source->config->rules, strict, &catalog, &complaint, err);

	source->next_drift = clock_ms() + DRIFT_EVERY_MS;
	if (status != STATUS_OK)
		return status;
	status = look_for_holes(source, catalog, strict, err);
	if (status == STATUS_OK)
		status = install_tables(&source->pg, catalog, &source->claim, strict, done, &complaint, err);
	recall_complaint(catalog, &complaint);
	if (status == STATUS_TOO_MANY && complaint.text[0])
		*err = complaint; /* says what to do, and does not pass by itself */
	if (status == STATUS_OK)
		status = install_complaint(&source->pg, &complaint, err);
	source->fingerprint = catalog->fingerprint;
	source->fingerprint_known = status == STATUS_OK && !done->any;
	if (status == STATUS_OK)
		set_complaint(source, &complaint);
	catalog_free(catalog);
	return status;
}

/* Until there was nothing to do: what the drift check holds the tables against was seen before it was looked whether all is in place. Seen
 * afterwards it could be what another relay, with other rules, made meanwhile. */
static enum status upkeep_install(struct postgres *source, bool strict, bool *misplaced, struct err *err)
{
	struct install_done done = {.any = true};
	enum status status = STATUS_OK;

	source->fingerprint_known = false;
	for (int n = 0; n < INSTALLS_MAX && done.any && status == STATUS_OK; n++) {
		done.any = false;
		status = install_once(source, strict, &done, err);
	}
	*misplaced = done.misplaced;
	return status == STATUS_TOO_MANY ? STATUS_UNAVAILABLE : status;
}

/* A busy table, or a restore: capture goes on meanwhile with what there is. */
static void put_off(struct postgres *source, const struct err *why)
{
	set_complaint(source, why);
	source->fingerprint_known = false;
	source->busy_retry_ms = source->busy_retry_ms ? source->busy_retry_ms * 2 : BUSY_RETRY_MIN_MS;
	if (source->busy_retry_ms > BUSY_RETRY_MAX_MS)
		source->busy_retry_ms = BUSY_RETRY_MAX_MS;
	source->next_drift = clock_ms() + source->busy_retry_ms;
}

enum status upkeep_open(struct postgres *source, struct err *err)
{
	struct err busy = {""};
	bool misplaced = false;
	enum status status = upkeep_install(source, !source->started, &misplaced, &busy);

	/* A relay that begins does not tell what may be captured by rules of former days. */
	if (status == STATUS_UNAVAILABLE && source->pg.conn && (source->started || !misplaced)) {
		put_off(source, &busy);
		return STATUS_OK;
	}
	if (status != STATUS_OK)
		*err = busy;
	return status;
}

static enum status watch_drift(struct postgres *source, struct err *err)
{
	struct pg_fingerprint now = {0};
	bool misplaced = false;
	enum status status = catalog_fingerprint(&source->pg, source->config->rules, &now, err);
	struct err busy;

	source->next_drift = clock_ms() + DRIFT_EVERY_MS;
	if (status != STATUS_OK ||
		(source->fingerprint_known && memcmp(&now, &source->fingerprint, sizeof(now)) == 0))
		return status;
	status = mend_no_restore(&source->pg, &busy);
	if (status == STATUS_OK) {
		status = mend_same_schema(&source->pg, source->journal, err);
		if (status != STATUS_OK) {
			pg_close(&source->pg);
			return status;
		}
		if (!source->busy_retry_ms)
			log_info("postgres", "the watched tables have changed: looking at their triggers");
		status = upkeep_install(source, false, &misplaced, &busy);
	}
	if (status == STATUS_UNAVAILABLE && source->pg.conn) {
		put_off(source, &busy);
		return STATUS_OK;
	}
	source->busy_retry_ms = 0;
	if (status != STATUS_OK)
		*err = busy;
	return status;
}

/* Often enough that the journal is never much longer than asked for. */
static int64_t rotation_interval(int64_t retention_ms)
{
	int64_t interval = retention_ms / 20;

	return interval < 500 ? 500 : interval > 60000 ? 60000 : interval;
}

static void held_back(struct postgres *source)
{
	int64_t now = clock_ms(), patience = source->config->retention_ms;

	if (patience < HELD_BACK_LOG_MIN_MS)
		patience = HELD_BACK_LOG_MIN_MS;
	if (patience > HELD_BACK_LOG_MAX_MS)
		patience = HELD_BACK_LOG_MAX_MS;
	if (!source->held_back_since)
		source->held_back_since = now;
	if (now - source->held_back_since > patience) {
		log_warn("postgres", "an old transaction holds a lock on the journal's old tables: "
				     "they are not emptied meanwhile, and disk use grows");
		source->held_back_since = now;
	}
}

static enum status rotate(struct postgres *source, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	char retention[32];
	const char *params[] = {retention};
	enum status status;

	snprintf(retention, sizeof(retention), "%lld ms", (long long)source->config->retention_ms);
	status = pg_call(&source->pg, "SELECT esink.rotate($1::interval)", 1, params,
		ROTATE_TIMEOUT_MS, &result, err);
	source->next_rotation = clock_ms() + rotation_interval(source->config->retention_ms);
	if (status != STATUS_OK)
		return status;
	if (span_is(span_of("undrained"), PQgetvalue(result, 0, 0)))
		source->next_rotation = clock_ms();
	if (span_is(span_of("discarded"), PQgetvalue(result, 0, 0)))
		source->next_marks = 0; /* of what is gone */
	if (span_is(span_of("locked"), PQgetvalue(result, 0, 0)))
		held_back(source);
	else
		source->held_back_since = 0;
	return STATUS_OK;
}

enum status upkeep_run(struct postgres *source, struct err *err)
{
	enum status status = STATUS_OK;

	if (clock_ms() >= source->next_claim) {
		status = claim_configuration(&source->pg, &source->claim, err);
		source->next_claim = clock_ms() + CLAIM_EVERY_MS;
	}
	if (status == STATUS_OK && clock_ms() >= source->next_drift)
		status = watch_drift(source, err);
	if (status == STATUS_OK && clock_ms() >= source->next_hold)
		status = hold_drop_silent(source, err);
	if (status == STATUS_OK && clock_ms() >= source->next_marks)
		status = hold_prune_marks(source, err);
	if (status == STATUS_OK && clock_ms() >= source->next_rotation)
		status = rotate(source, err);
	return status;
}
