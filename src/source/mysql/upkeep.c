/* What capture looks after beside fetching: our tables, the triggers, the journal's length. All on capture's own connection,
 * between fetches. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/mysql/capture.h"
#include "source/mysql/hold.h"
#include "source/mysql/install.h"
#include "source/mysql/mysql.h"
#include "source/mysql/text.h"
#include "source/silence.h"

#define LOOK_EVERY_MS 1000
/* For so many times as long as a look at a slice of the tables took there is none, so that a thousand of them do not keep the server busy. */
#define LOOK_SHARE 9
#define LOOK_ROUND_MAX_MS 5000 /* of such pauses, until all were looked at */
#define BUSY_RETRY_MS 100
#define BUSY_RETRY_MAX_MS 5000
#define RIGHTS_EVERY_MS 10000
#define PLANS_MAX 4 /* until the schema holds still */
#define PRUNE_TARGET_MS 50
#define PRUNE_FIRST 50 /* chunks */
#define PRUNE_MAX 2000

/* Of one of two kinds. */
static void set(struct mysql *source, struct err *old, const struct err *complaint)
{
	pthread_mutex_lock(&source->lock);
	if (complaint->text[0] && strcmp(old->text, complaint->text) != 0)
		log_warn("mysql", "%s", complaint->text);
	else if (!complaint->text[0] && old->text[0])
		log_info("mysql", "mended: %s", old->text);
	*old = *complaint;
	pthread_mutex_unlock(&source->lock);
}

static void set_complaint(struct mysql *source, const struct err *complaint)
{
	set(source, &source->complaint, complaint);
}

enum status my_upkeep_tables(struct mysql *source, struct err *err)
{
	struct my_plan plan = {0};
	bool any = false;
	enum status status = my_install_plan_schema(&source->db, &plan, &any, err);

	if (status == STATUS_OK)
		status = my_plan_run(&source->db, &plan, err);
	if (status == STATUS_OK && plan.count)
		log_info("mysql", "tables of esink were made in database \"%s\"", source->config->database);
	my_plan_finish(&plan);
	return status == STATUS_TOO_MANY ? STATUS_UNAVAILABLE : status;
}

/* -- triggers --------------------------------------------------------------------------------------------------------- */

/* Of a hole that is over, what is in the outbox and has no id yet comes behind the head, as what is written from now on. */
static enum status see_holes(struct mysql *source, const char *lacking, struct err *err)
{
	struct my_meta meta;
	enum status status = STATUS_OK;

	if (holes_over(&source->hole_watch, lacking)) {
		status = my_meta_read(&source->db, &meta, err);
		if (status == STATUS_OK)
			holes_add(&source->hole_watch, meta.head);
	}
	if (status == STATUS_OK)
		holes_seen(&source->hole_watch, "mysql", lacking);
	return status;
}

/* One look and what it says. *done: there was nothing to do. */
static enum status install_once(struct mysql *source, bool strict, bool *done, struct err *complaint, struct err *err)
{
	struct my_catalog *catalog = NULL;
	struct my_plan plan = {.running = !strict};
	char words[MY_SLICES_MAX][sizeof(*source->words)] = {{0}};
	enum status status = STATUS_OK;

	for (size_t slice = 0; slice < my_catalog_slices(source->config->rules) && status == STATUS_OK; slice++)
		status = my_catalog_word(&source->db, slice, words[slice], err);
	complaint->text[0] = 0;
	if (status == STATUS_OK)
		status = my_catalog_load(&source->db, strict, &catalog, complaint, err);
	if (status == STATUS_OK)
		status = my_install_plan_triggers(&source->db, catalog, false, &plan, err);
	if (status == STATUS_OK)
		status = see_holes(source, plan.uncaptured.bytes, err);
	*done = status == STATUS_OK && !plan.count;
	if (*done)
		memcpy(source->words, words, sizeof(words));
	else if (status == STATUS_OK)
		status = my_plan_run(&source->db, &plan, err);
	if (!*done)
		my_guard_forget(&source->guard); /* it may have been written down what is doubtful */
	if (status == STATUS_OK && !*done)
		log_info("mysql", "triggers were made for what TABLE_NAMES, the other rules and the tables say now");
	my_plan_finish(&plan);
	my_catalog_free(catalog);
	return status;
}

/* A column may go or come between a look and the trigger that is made by it: then we look again. */
enum status my_upkeep_install(struct mysql *source, bool strict, struct err *err)
{
	struct err complaint = {""};
	bool done = false;
	enum status status = STATUS_OK;

	for (int i = 0; i < PLANS_MAX && !done; i++) {
		status = install_once(source, strict, &done, &complaint, err);
		if (status != STATUS_OK && (status != STATUS_NOT_FOUND || !source->db.conn || strict))
			break;
	}
	if (status == STATUS_OK)
		set_complaint(source, &complaint);
	if (status == STATUS_TOO_MANY) {
		set_complaint(source, err);
		return source->started ? status : STATUS_UNAVAILABLE;
	}
	return status;
}

static enum status watch_journal(struct mysql *source, struct err *err)
{
	struct my_meta meta;
	enum status status = my_meta_read(&source->db, &meta, err);

	if (status != STATUS_OK || !strcmp(meta.journal, source->journal))
		return status;
	source->lost = true;
	return err_set(err, STATUS_GONE, "the journal is another one now: tables of esink were made anew or loaded from a dump");
}

static enum status reinstall(struct mysql *source, struct err *err)
{
	enum status status = my_claim_enter(&source->db, err);

	if (status == STATUS_OK)
		status = my_upkeep_install(source, false, err);
	my_claim_leave(&source->db);
	if (status == STATUS_TOO_MANY) {
		source->busy_retry_ms = source->busy_retry_ms ? source->busy_retry_ms * 2 : BUSY_RETRY_MS;
		if (source->busy_retry_ms > BUSY_RETRY_MAX_MS)
			source->busy_retry_ms = BUSY_RETRY_MAX_MS;
		source->next_look = clock_ms() + source->busy_retry_ms;
		return STATUS_OK; /* capture goes on meanwhile with what there is */
	}
	source->busy_retry_ms = 0;
	return status;
}

/* So many slices from the next one on. */
static enum status watch_tables(struct mysql *source, size_t count, struct err *err)
{
	size_t slices = my_catalog_slices(source->config->rules);
	int64_t begun = clock_ms(), round = LOOK_ROUND_MAX_MS / (int64_t)slices, every = LOOK_EVERY_MS / (int64_t)slices;
	enum status status = STATUS_OK;
	bool same = !source->busy_retry_ms; /* what was in our way may be as it was when the triggers were made */

	for (size_t i = 0; i < count && same && status == STATUS_OK; i++) {
		char word[17];

		status = my_catalog_word(&source->db, source->slice, word, err);
		/* cppcheck-suppress legacyUninitvar ; STATUS_OK: it was written */
		same = status == STATUS_OK && !strcmp(word, source->words[source->slice]);
		if (same)
			source->slice = (source->slice + 1) % slices;
	}
	source->word_pause = (clock_ms() - begun) / (int64_t)count * LOOK_SHARE;
	if (source->word_pause > round)
		source->word_pause = round;
	source->next_word = clock_ms() + source->word_pause;
	if (source->next_word < begun + every)
		source->next_word = begun + every;
	return status != STATUS_OK || same ? status : reinstall(source, err);
}

/* How many slices are due: after a long sleep several. While triggers could not be made, or rows are in doubt, all of them come with the look
 * of each second. */
static size_t slices_due(const struct mysql *source, int64_t now, bool look)
{
	size_t slices = my_catalog_slices(source->config->rules), late;

	if (source->guard.doubt || source->busy_retry_ms)
		return look ? slices : 0;
	if (now < source->next_word)
		return 0;
	late = (size_t)((now - source->next_word) / (source->word_pause > 0 ? source->word_pause : LOOK_EVERY_MS / (int64_t)slices));
	return late < slices ? late + 1 : slices;
}

/* -- rights ----------------------------------------------------------------------------------------------------------- */

/* Nothing of ours fails when they go: it is the application's writes that do. */
enum status my_upkeep_rights(struct mysql *source, struct err *err)
{
	struct err lost = {""};
	enum status status = my_rights_look(&source->db, &source->rights, &lost, err);

	source->next_rights = clock_ms() + RIGHTS_EVERY_MS;
	if (status == STATUS_OK)
		set(source, &source->lost_rights, &lost);
	return status;
}

/* -- the journal's length --------------------------------------------------------------------------------------------- */

static int64_t prune_interval(int64_t retention_ms)
{
	int64_t interval = retention_ms / 20;

	return interval < 500 ? 500 : interval > 60000 ? 60000 : interval;
}

/* Of shapes that no row has any more: neither in the journal nor in the outbox, which is looked at by itself, since a DELETE would wait
 * for its writers. What is in there may be as old as the last relay; it may also be much, and is read as a whole, so only where there is a
 * shape to be forgotten. */
static enum status forget_shapes(struct mysql *source, struct err *err)
{
	AUTO_FREE char *old = mem_format("FROM esink_shape WHERE retired < CURRENT_TIMESTAMP - INTERVAL %" PRId64 " SECOND AND id < "
		"COALESCE((SELECT MIN(shape) FROM esink_journal WHERE shape > 0), 0)", source->config->retention_ms / 500);
	AUTO_FREE char *any = mem_format("SELECT COUNT(*) %s", old), *forget = NULL;
	AUTO_BUF struct buf look = buf_init(BUF_NO_MAX); /* a name */
	int64_t count = 0, least = 0;
	enum status status = my_number(&source->db, any, &count, err);

	if (status != STATUS_OK || !count)
		return status;
	buf_printf(&look, "SELECT COALESCE(MIN(shape), %" PRId64 ") FROM ", INT64_MAX);
	my_text_name(&look, source->config->outbox);
	buf_text(&look, " WHERE " MY_PRELOCK " = 0 AND shape > 0");
	status = my_number(&source->db, look.bytes, &least, err);
	forget = mem_format("DELETE %s AND id < %" PRId64, old, least);
	return status == STATUS_OK ? my_run(&source->db, forget, MY_TIMEOUT_MS, err) : status;
}

/* What is old, was told, and is needed by no consumer; and the marks of it. */
static enum status prune(struct mysql *source, struct err *err)
{
	AUTO_FREE char *find = NULL, *clear = NULL, *marks = NULL;
	int64_t begun = clock_ms(), last = 0, took;
	enum status status;

	if (!source->prune_max)
		source->prune_max = PRUNE_FIRST;
	source->next_prune = begun + prune_interval(source->config->retention_ms);
	find = mem_format("SELECT MAX(id) FROM (SELECT id, moved FROM esink_journal WHERE id <= %" PRIu64 " AND id <= " MY_UNHELD
		" ORDER BY id LIMIT %" PRId64 ") x WHERE moved < CURRENT_TIMESTAMP - INTERVAL %" PRId64 " SECOND", source->position, source->prune_max,
		source->config->retention_ms / 1000);
	status = my_number(&source->db, find, &last, err);
	if (status != STATUS_OK || !last)
		return status;
	clear = mem_format("DELETE FROM esink_journal WHERE id <= %" PRId64, last);
	marks = mem_format("DELETE FROM esink_mark WHERE id <= %" PRId64, last);
	status = my_run(&source->db, clear, MY_TIMEOUT_MS * 6, err);
	if (status == STATUS_OK)
		status = my_run(&source->db, marks, MY_TIMEOUT_MS * 6, err);
	took = clock_ms() - begun;
	if (took > PRUNE_TARGET_MS)
		source->prune_max = source->prune_max > 20 ? source->prune_max / 2 : 10;
	else if (took < PRUNE_TARGET_MS / 2 && source->prune_max < PRUNE_MAX)
		source->prune_max *= 2;
	source->next_prune = clock_ms() + 10 + took;
	return status;
}

/* -- all of it -------------------------------------------------------------------------------------------------------- */

/* The server keeps tables open and takes first what was put back last; a session that locks a watched table takes three. Whatever others
 * have left there is put right by a statement that takes as many. */
static enum status tidy(struct mysql *source, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* names */
	AUTO_RESULT MYSQL_RES *none = NULL;

	if (!source->db.maria)
		return STATUS_OK;
	buf_text(&sql, "SELECT " MY_PRELOCK " FROM ");
	for (int i = 0; i < CAPTURE_TRIGGERS; i++) {
		buf_text(&sql, i ? ", " : "");
		my_text_name(&sql, source->config->outbox);
		buf_printf(&sql, " AS o%d", i);
	}
	buf_text(&sql, " LIMIT 0");
	return my_query(&source->db, sql.bytes, MY_TIMEOUT_MS, &none, err);
}

enum status my_upkeep_run(struct mysql *source, struct err *err)
{
	int64_t now = clock_ms();
	enum status status = STATUS_OK;
	bool look = now >= source->next_look;
	size_t slices = slices_due(source, now, look);

	if (look) {
		source->next_look = now + LOOK_EVERY_MS;
		status = watch_journal(source, err);
	}
	if (status == STATUS_OK && slices)
		status = watch_tables(source, slices, err);
	if (status == STATUS_OK && now >= source->next_rights)
		status = my_upkeep_rights(source, err);
	if (status == STATUS_OK && look && source->mover)
		status = tidy(source, err);
	if (status == STATUS_OK && source->mover && now >= source->next_hold) {
		source->next_hold = now + silence_look_ms(source->config->consumer_max_silence_ms);
		status = my_hold_drop_silent(source, err);
	}
	if (status == STATUS_OK && source->mover && now >= source->next_prune) {
		bool first = !source->next_prune;

		status = prune(source, err);
		if (status == STATUS_OK && first)
			status = forget_shapes(source, err);
	}
	return status;
}
