/* What is kept of consumers. A round trip is what a statement costs, so most calls are one statement, a transaction by itself: an
 * UPDATE that changes nothing writes nothing, so a poll without news writes once a second at most. What a cursor has passed is
 * deleted behind it, in batches, and when that fails the next time: such marks say nothing that the cursor does not.
 *
 * No statement that writes reads esink_meta, whose row the mover holds for the length of a move: a consumer's own row says which
 * journal it is at, and a journal that begins changes it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "source/mysql/error.h"
#include "source/mysql/hold.h"
#include "source/mysql/lane.h"
#include "source/mysql/text.h"

#define BATCH 1000 /* marks */
#define TRIES 5    /* two that make it at once; a deadlock */
#define NOW "CURRENT_TIMESTAMP(3)"

static enum status ready(struct lane *lane, struct err *err)
{
	return my_lane_ready(lane, clock_ms() + my_lane_timeout(lane), err);
}

/* A table that is gone is made anew when capture begins again, as it does then: the database is away until it has. */
static enum status outcome_of(enum status status)
{
	return status == STATUS_NOT_FOUND || status == STATUS_FAILED ? STATUS_UNAVAILABLE : status;
}

static enum status not_registered(const char *name, struct err *err)
{
	return err_set(err, STATUS_NOT_FOUND, "there is no consumer \"%s\"", name);
}

static char *literal(const char *text)
{
	struct buf out = buf_init(BUF_NO_MAX); /* bounded by the request */

	my_text_literal(&out, span_of(text));
	return buf_take(&out);
}

/* *changed: rows that were found. */
static enum status run(struct lane *lane, const char *sql, uint64_t *changed, struct err *err)
{
	enum status status = my_run(&lane->db, sql, my_lane_timeout(lane), err);

	*changed = status == STATUS_OK ? my_changed(&lane->db) : 0;
	return outcome_of(status);
}

static void roll_back(struct lane *lane)
{
	struct err ignored;

	if (lane->db.conn && my_run(&lane->db, "ROLLBACK", my_lane_timeout(lane), &ignored) != STATUS_OK)
		my_close(&lane->db);
}

/* -- all of them ------------------------------------------------------------------------------------------------------ */

static char *cell(MYSQL_ROW row, const unsigned long *lengths, int column)
{
	return mem_text_n(row[column] ? row[column] : "", lengths[column]);
}

enum status mysql_consumers(void *opaque, const char *name, struct consumer_list *list, struct err *err)
{
	struct lane *lane = opaque;
	AUTO_RESULT MYSQL_RES *rows = NULL;
	AUTO_FREE char *which = literal(name);
	AUTO_FREE char *sql = mem_format("SELECT c.name, c.topics, c.types, IF(c.journal = m.journal, c.`cursor`, " MY_START "), "
		"CAST(UNIX_TIMESTAMP(c.updated_at) * 1000 AS UNSIGNED), c.dropped, c.generation FROM esink_consumer c JOIN esink_meta m "
		"WHERE %s IS NULL OR c.name = %s ORDER BY c.name", which, which);
	enum status status = ready(lane, err);
	MYSQL_ROW row;

	if (status == STATUS_OK)
		status = outcome_of(my_query(&lane->db, sql, my_lane_timeout(lane), &rows, err));
	if (status != STATUS_OK)
		return status;
	if (name && !mysql_num_rows(rows))
		return not_registered(name, err);
	while ((row = mysql_fetch_row(rows))) {
		unsigned long *lengths = mysql_fetch_lengths(rows);
		struct consumer consumer = {.name = cell(row, lengths, 0), .topics = cell(row, lengths, 1), .types = cell(row, lengths, 2),
			.cursor = strtoull(row[3], NULL, 10), .updated_at = my_int(row[4]), .dropped = my_int(row[5]),
			.generation = (uint64_t)my_int(row[6])};

		consumer_list_add(list, &consumer);
	}
	return STATUS_OK;
}

/* -- coming and going ------------------------------------------------------------------------------------------------- */

static enum status forget_marks(struct lane *lane, const char *which, struct err *err)
{
	AUTO_FREE char *sql = mem_format("DELETE FROM esink_mark WHERE consumer = %s ORDER BY id LIMIT %d", which, BATCH);
	uint64_t gone = BATCH;
	enum status status = STATUS_OK;

	while (status == STATUS_OK && gone == BATCH)
		status = run(lane, sql, &gone, err);
	return status;
}

/* SQL: the one that is lost, if any. */
static char *loss(const struct consumer *lost)
{
	return lost ? mem_format("generation = %" PRIu64, lost->generation) : mem_text("0");
}

static enum status update(struct lane *lane, const struct consumer *consumer, const char *which, const char *lost, bool *there,
	struct err *err)
{
	AUTO_FREE char *topics = literal(consumer->topics), *types = literal(consumer->types);
	AUTO_FREE char *sql = mem_format("UPDATE esink_consumer SET topics = %s, types = %s, updated_at = " NOW " WHERE name = %s AND NOT dropped "
		"AND NOT (%s)", topics, types, which, lost);
	uint64_t found = 0;
	enum status status = run(lane, sql, &found, err);

	*there = found > 0;
	return status;
}

static enum status check_others(struct lane *lane, const char *which, struct err *err)
{
	AUTO_FREE char *sql = mem_format("SELECT COUNT(*) FROM esink_consumer WHERE name <> %s", which);
	int64_t others = 0;
	enum status status = outcome_of(my_number(&lane->db, sql, &others, err));

	return status == STATUS_OK && others >= lane->source->config->max_consumers ? consumer_too_many(lane->source->config->max_consumers, err) : status;
}

/* In place of one that was dropped or lost, if there is. */
static enum status insert(struct lane *lane, const struct consumer *consumer, const char *which, const char *lost, struct err *err)
{
	AUTO_FREE char *topics = literal(consumer->topics), *types = literal(consumer->types);
	AUTO_FREE char *drop = mem_format("DELETE FROM esink_consumer WHERE name = %s AND (dropped OR %s)", which, lost);
	AUTO_FREE char *make = NULL;
	struct my_meta meta;
	uint64_t changed;
	enum status status = outcome_of(my_meta_read(&lane->db, &meta, err));

	if (status == STATUS_OK)
		status = check_others(lane, which, err); /* two relays at once may go beyond it by one */
	if (status == STATUS_OK)
		status = forget_marks(lane, which, err);
	if (status == STATUS_OK)
		status = run(lane, "START TRANSACTION", &changed, err);
	if (status != STATUS_OK)
		return status;
	make = mem_format("INSERT INTO esink_consumer (name, topics, types, `cursor`, journal, generation) VALUES (%s, %s, %s, %" PRIu64 ", '%s', "
		"%" PRIu64 ")", which, topics, types, consumer->cursor < INT64_MAX ? consumer->cursor : INT64_MAX, meta.journal, consumer->generation);
	status = run(lane, drop, &changed, err);
	if (status == STATUS_OK && changed) /* what it marked until it was gone */
		status = forget_marks(lane, which, err);
	if (status == STATUS_OK)
		status = run(lane, make, &changed, err);
	if (status == STATUS_OK)
		status = run(lane, "COMMIT", &changed, err);
	if (status != STATUS_OK) {
		unsigned error = lane->db.error;

		roll_back(lane);
		lane->db.error = error;
	}
	return status;
}

enum status mysql_consumer_put(void *opaque, const struct consumer *consumer, const struct consumer *lost, bool *created,
	struct err *err)
{
	struct lane *lane = opaque;
	AUTO_FREE char *which = literal(consumer->name), *lost_one = loss(lost);
	enum status status = ready(lane, err);
	bool there = false;

	for (int i = 0; status == STATUS_OK && i < TRIES; i++) {
		status = update(lane, consumer, which, lost_one, &there, err);
		if (status != STATUS_OK || there)
			break;
		lane->db.error = 0;
		status = insert(lane, consumer, which, lost_one, err);
		if (status == STATUS_OK)
			break;
		if (lane->db.conn && (lane->db.error == MY_DUPLICATE || lane->db.error == MY_DEADLOCK) && i < TRIES - 1)
			status = STATUS_OK; /* another relay was faster: look again */
	}
	if (status == STATUS_OK)
		*created = !there;
	return status;
}

enum status mysql_consumer_delete(void *opaque, const char *name, struct err *err)
{
	struct lane *lane = opaque;
	AUTO_FREE char *which = literal(name), *drop = mem_format("DELETE FROM esink_consumer WHERE name = %s", which);
	uint64_t there = 0, changed;
	enum status status = ready(lane, err);

	if (status == STATUS_OK)
		status = forget_marks(lane, which, err);
	if (status == STATUS_OK)
		status = run(lane, "START TRANSACTION", &changed, err);
	if (status != STATUS_OK)
		return status;
	status = run(lane, drop, &there, err);
	if (status == STATUS_OK)
		status = forget_marks(lane, which, err);
	if (status == STATUS_OK)
		status = run(lane, "COMMIT", &changed, err);
	else
		roll_back(lane);
	return status == STATUS_OK && !there ? not_registered(name, err) : status;
}

/* -- settling --------------------------------------------------------------------------------------------------------- */

/* SQL: the consumer as it was read, and in the same journal. */
static char *as_read(const struct consumer *consumer, struct span journal)
{
	AUTO_FREE char *which = literal(consumer->name), *of = mem_text_n(journal.p, journal.len), *name = literal(of);

	return mem_format("name = %s AND NOT dropped AND generation = %" PRIu64 " AND journal = %s", which, consumer->generation, name);
}

enum status mysql_consumer_advance(
	void *opaque, const struct consumer *consumer, struct span journal, uint64_t cursor, struct err *err)
{
	struct lane *lane = opaque;
	uint64_t to = cursor < INT64_MAX ? cursor : INT64_MAX, there = 0;
	AUTO_FREE char *which = literal(consumer->name), *subject = as_read(consumer, journal), *move = NULL, *settle = NULL;
	struct err ignored;
	enum status status = ready(lane, err);

	/* Assignments are made from the left to the right. */
	move = mem_format("UPDATE esink_consumer SET updated_at = IF(`cursor` < %" PRIu64 " OR updated_at < " NOW " - INTERVAL 1 SECOND, " NOW ", "
		"updated_at), `cursor` = GREATEST(`cursor`, %" PRIu64 ") WHERE %s", to, to, subject);
	if (status == STATUS_OK)
		status = run(lane, move, &there, err);
	if (status == STATUS_OK && !there)
		return not_registered(consumer->name, err);
	/* `Changed: 0`: nothing new, nothing to clear up behind it. */
	if (status != STATUS_OK || !mysql_info(lane->db.conn) || strstr(mysql_info(lane->db.conn), "Changed: 0"))
		return status;
	settle = mem_format("DELETE FROM esink_mark WHERE consumer = %s AND skipped = 0 AND id <= %" PRIu64 " ORDER BY id LIMIT %d", which, to, BATCH);
	return run(lane, settle, &there, &ignored) == STATUS_STOPPED ? err_set(err, STATUS_STOPPED, "stopped") : STATUS_OK;
}

static enum status check_room(struct lane *lane, const char *name, const char *which, uint64_t id, struct err *err)
{
	AUTO_RESULT MYSQL_RES *rows = NULL;
	AUTO_FREE char *sql = NULL;
	MYSQL_ROW row;
	enum status status;

	if (mark_budget_take(&lane->marks, name))
		return STATUS_OK;
	sql = mem_format("SELECT COUNT(*), COALESCE(MIN(id), 0) FROM (SELECT id FROM esink_mark WHERE consumer = %s AND id > (SELECT `cursor` FROM "
		"esink_consumer WHERE name = %s) ORDER BY id LIMIT %d) x", which, which, MARKS_MAX);
	status = outcome_of(my_query(&lane->db, sql, my_lane_timeout(lane), &rows, err));
	row = status == STATUS_OK ? mysql_fetch_row(rows) : NULL;
	return row ? mark_budget_counted(&lane->marks, name, my_int(row[0]), strtoull(row[1], NULL, 10), id, err) : status;
}

/* Of what is completed at or below the cursor no mark is needed. The consumer's row is locked, so that the mark does not outlive it. */
static enum status write_mark(struct lane *lane, const char *subject, uint64_t id, enum consumer_outcome outcome, struct err *err)
{
	bool skipped = outcome == OUTCOME_SKIPPED;
	AUTO_FREE char *put = mem_format("INSERT INTO esink_mark (consumer, id, skipped) SELECT name, %" PRIu64 ", %d FROM esink_consumer WHERE %s "
		"AND (%d OR `cursor` < %" PRIu64 ") LOCK IN SHARE MODE ON DUPLICATE KEY UPDATE skipped = VALUES(skipped)", id, skipped, subject,
		skipped, id);
	AUTO_FREE char *clear = mem_format("DELETE m FROM esink_mark m JOIN esink_consumer ON name = m.consumer WHERE %s AND m.id = %" PRIu64,
		subject, id);
	uint64_t changed = 0;
	enum status status;

	for (int i = 0; i < TRIES; i++) {
		lane->db.error = 0;
		status = run(lane, put, &changed, err);
		if (status == STATUS_OK || !lane->db.conn || lane->db.error != MY_DEADLOCK)
			break;
	}
	return status == STATUS_OK && !changed && !skipped ? run(lane, clear, &changed, err) : status;
}

enum status mysql_consumer_mark(void *opaque, const struct consumer *consumer, struct span journal, uint64_t id,
	enum consumer_outcome outcome, struct err *err)
{
	struct lane *lane = opaque;
	AUTO_FREE char *which = literal(consumer->name), *subject = as_read(consumer, journal);
	AUTO_FREE char *hear = mem_format("UPDATE esink_consumer SET updated_at = IF(updated_at < " NOW " - INTERVAL 1 SECOND, " NOW ", updated_at) "
		"WHERE %s", subject);
	uint64_t there = 0;
	enum status status = ready(lane, err);

	if (status == STATUS_OK)
		status = run(lane, hear, &there, err);
	if (status == STATUS_OK && !there)
		return not_registered(consumer->name, err);
	if (status == STATUS_OK)
		status = check_room(lane, consumer->name, which, id, err);
	return status == STATUS_OK ? write_mark(lane, subject, id < INT64_MAX ? id : INT64_MAX, outcome, err) : status;
}

enum status mysql_consumer_marks(void *opaque, const char *name, uint64_t first, uint64_t last, size_t max,
	struct consumer_mark_list *list, struct err *err)
{
	struct lane *lane = opaque;
	AUTO_RESULT MYSQL_RES *rows = NULL;
	AUTO_FREE char *which = literal(name), *of = name ? mem_format("consumer = %s AND", which) : mem_text("");
	AUTO_FREE char *sql = mem_format("SELECT consumer, id, skipped FROM esink_mark WHERE %s id BETWEEN %" PRIu64 " AND %" PRIu64 " ORDER BY id%s LIMIT %zu",
		of, first, last, name ? "" : ", consumer", max);
	enum status status = ready(lane, err);
	MYSQL_ROW row;

	if (status == STATUS_OK)
		status = outcome_of(my_query(&lane->db, sql, my_lane_timeout(lane), &rows, err));
	while (status == STATUS_OK && (row = mysql_fetch_row(rows))) {
		struct consumer_mark mark = {.id = strtoull(row[1], NULL, 10), .outcome = my_int(row[2]) ? OUTCOME_SKIPPED : OUTCOME_COMPLETED};

		snprintf(mark.consumer, sizeof(mark.consumer), "%s", row[0]);
		consumer_mark_list_add(list, &mark);
	}
	return status;
}
