/* From the outbox to the journal. An outbox row's id is taken before its transaction commits, so reading «id greater than the
 * last» loses what commits late, and a hole cannot be waited for, since it may have been rolled back. So what is visible now is
 * moved, all of it, whatever its id: it is read in the order of its ids, and in one transaction it gets the next events' ids,
 * is written into the journal in chunks, and the very rows that were read are deleted from the outbox. A row that is changed
 * twice by two transactions is in order, because the second one waited for the first one's commit: whoever sees the second, sees
 * both. That holds where a read view is made at one moment. MariaDB makes it while transactions come and go, and may see the second
 * alone; but a view that it makes afterwards has both. So there a second one counts (take_ids), and a row that only it shows, and whatever
 * was written behind that, are left for the next move.
 *
 * The rows pass through us, who have to tell them anyway, since for the server a row costs far more than its bytes: a row in the
 * journal for each would be the larger part of what a move takes from the writers (docs/ARCHITECTURE.md).
 *
 * Between reading and writing, while nobody was told, the columns of their tables are looked at (guard.c).
 *
 * READ COMMITTED: the SELECT reads one snapshot and locks nothing; a DELETE locks the rows that it deletes and no gaps.
 * esink_meta's row says that the ids behind the head are still free, so that two movers, should there ever be two, come one after
 * the other, and rows that one of them has moved are not there any more to be deleted by the other.
 *
 * Whether there is anything to move is asked far more often. Deleted rows stay in the table's index for as long as the oldest
 * snapshot of anybody is held, and are walked over from its start; so the question is asked from a floor on, the id that was
 * the greatest seconds ago, and only now and then of the whole table. What a transaction has written that long before its commit
 * waits for that.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "source/mysql/error.h"
#include "source/mysql/mysql.h"
#include "source/mysql/text.h"

#define MOVE_TIMEOUT_MS 120000 /* it takes what it takes, but a network that was cut must not hold us for ever */
#define MOVE_SLOW_MS 400
#define MOVE_FIRST 1000
#define MOVE_BYTES (8u << 20) /* of one move, but one row at least */
#define MOVE_ROWS_LEAST 10
#define BIG_BYTES 65536
#define FLOOR_MS 2000
#define SWEEP_MS 250
#define SWEEP_SHARE 20 /* a look at the whole table may take one part of so many */

enum status my_move_wanted(struct mysql *source, bool *wanted, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* a name */
	int64_t begun = clock_ms(), one = 0, took;
	bool sweep = begun >= source->next_sweep;
	enum status status;

	if (begun >= source->next_floor) {
		source->floor[0] = source->floor[1];
		source->floor[1] = source->seen;
		source->next_floor = begun + FLOOR_MS;
	}
	buf_text(&sql, "SELECT 1 + " MY_PRELOCK " FROM ");
	my_text_name(&sql, source->config->outbox);
	buf_printf(&sql, " WHERE id > %" PRIu64 " LIMIT 1", sweep ? 0 : source->floor[0]);
	status = my_number(&source->db, sql.bytes, &one, err);
	if (status == STATUS_NOT_FOUND && source->db.error != MY_NO_TABLE)
		status = STATUS_OK;
	took = clock_ms() - begun;
	if (sweep)
		source->next_sweep = begun + (took * SWEEP_SHARE > SWEEP_MS ? took * SWEEP_SHARE : SWEEP_MS);
	*wanted = one == 1;
	return status;
}

size_t my_move_big(int64_t packet)
{
	return packet / 8 < BIG_BYTES ? (size_t)(packet / 8) : BIG_BYTES;
}

/* -- reading ---------------------------------------------------------------------------------------------------------- */

enum cell { ID, SHAPE, KIND, AT, ACTOR, DATA };

/* `1764368640.123` */
static int64_t milliseconds(const char *text)
{
	char *end = NULL;
	int64_t ms = text ? strtoll(text, &end, 10) * 1000 : 0, unit = 100;

	for (const char *p = end && *end == '.' ? end + 1 : ""; *p >= '0' && *p <= '9' && unit; p++, unit /= 10)
		ms += (*p - '0') * unit;
	return ms;
}

static void take_row(struct my_moved *moved, MYSQL_ROW row, const unsigned long *lengths)
{
	struct my_cells cells = {.seq = strtoull(row[ID], NULL, 10), .shape = my_int(row[SHAPE]), .kind = (int)my_int(row[KIND]),
		.at = milliseconds(row[AT]), .actor = {row[ACTOR], row[ACTOR] ? lengths[ACTOR] : 0}, .data = {row[DATA], row[DATA] ? lengths[DATA] : 0}};

	my_moved_add(moved, &cells);
}

/* What comes behind MOVE_BYTES is read and thrown away; there are so few rows in the next read that it is not much. The time until the
 * first row is that of the walk over rows that are deleted but for somebody's snapshot. */
static enum status read_small(struct mysql *source, struct my_moved *moved, bool *cut, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* a name */
	int64_t begun = clock_ms();
	enum status status;

	buf_printf(&sql, "SELECT id, shape, kind, UNIX_TIMESTAMP(at), actor, IF(LENGTH(data) > %zu, NULL, data) FROM ", my_move_big(source->packet));
	my_text_name(&sql, source->config->outbox);
	buf_printf(&sql, " WHERE " MY_PRELOCK " = 0 ORDER BY id LIMIT %" PRId64, source->move_max);
	status = my_stream_begin(&source->db, sql.bytes, MOVE_TIMEOUT_MS, err);
	while (status == STATUS_OK && source->db.stream) {
		unsigned long *lengths = NULL;
		MYSQL_ROW row = NULL;

		status = my_stream_next(&source->db, MOVE_TIMEOUT_MS, &row, &lengths, err);
		if (!moved->count)
			source->walk = clock_ms() - begun;
		*cut |= row && moved->bytes.len >= MOVE_BYTES;
		if (status == STATUS_OK && row && !*cut)
			take_row(moved, row, lengths);
	}
	return status;
}

static enum status read_big(struct mysql *source, struct my_moved *moved, size_t row, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* a name */
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status;
	MYSQL_ROW found;

	buf_text(&sql, "SELECT data FROM ");
	my_text_name(&sql, source->config->outbox);
	buf_printf(&sql, " WHERE id = %" PRIu64 " AND " MY_PRELOCK " = 0", moved->rows[row].seq);
	status = my_query(&source->db, sql.bytes, MOVE_TIMEOUT_MS, &rows, err);
	found = status == STATUS_OK ? mysql_fetch_row(rows) : NULL;
	if (found && found[0])
		my_moved_set_data(moved, row, (struct span){found[0], mysql_fetch_lengths(rows)[0]});
	else if (status == STATUS_OK)
		status = err_set(err, STATUS_UNAVAILABLE, "somebody else deletes from %s", source->config->outbox);
	return status;
}

static enum status read_rows(struct mysql *source, struct my_moved *moved, bool *cut, struct err *err)
{
	enum status status = read_small(source, moved, cut, err);

	for (size_t row = 0; row < moved->count && status == STATUS_OK; row++) {
		if (!moved->rows[row].big)
			continue;
		if (row > 0 && moved->bytes.len >= MOVE_BYTES) {
			moved->count = row;
			*cut = true;
		} else {
			status = read_big(source, moved, row, err);
		}
	}
	return status;
}

/* -- writing ---------------------------------------------------------------------------------------------------------- */

static void add_behind(struct buf *sql, const struct my_db *db, const struct my_moved *moved)
{
	buf_text(sql, " FROM ");
	my_text_name(sql, db->config->outbox);
	buf_printf(sql, " WHERE " MY_PRELOCK " = 0 AND id <= %" PRIu64, moved->rows[moved->count - 1].seq);
}

/* whole: only if nobody else's row is before the last of ours by now. That costs the server a look at what it has just read. */
static enum status take_ids(struct my_db *db, uint64_t head, const struct my_moved *moved, bool whole, bool *taken, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* a name */
	enum status status;

	buf_printf(&sql, "UPDATE esink_meta SET head = %" PRIu64 " WHERE head = %" PRIu64, head + moved->count, head);
	if (whole) {
		buf_text(&sql, " AND (SELECT COUNT(*)");
		add_behind(&sql, db, moved);
		buf_printf(&sql, ") = %zu", moved->count);
	}
	status = my_run_buf(db, &sql, MOVE_TIMEOUT_MS, err);
	*taken = status == STATUS_OK && my_changed(db) == 1;
	if (status == STATUS_OK && !*taken && !whole)
		return err_set(err, STATUS_UNAVAILABLE, "the journal does not end at event %" PRIu64 " any more: somebody else moves", head);
	return status;
}

/* Before the first row that our view had not. What comes before that has no predecessor that is missing: it would be the first. */
static enum status cut_off(struct my_db *db, struct my_moved *moved, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* a name */
	enum status status;
	size_t same = 0;
	bool on = true;

	buf_text(&sql, "SELECT id");
	add_behind(&sql, db, moved);
	buf_text(&sql, " ORDER BY id");
	status = my_stream_begin(db, sql.bytes, MOVE_TIMEOUT_MS, err);
	while (status == STATUS_OK && db->stream) {
		unsigned long *lengths = NULL;
		MYSQL_ROW row = NULL;

		status = my_stream_next(db, MOVE_TIMEOUT_MS, &row, &lengths, err);
		on = on && row && same < moved->count && strtoull(row[0], NULL, 10) == moved->rows[same].seq;
		same += on;
	}
	if (status == STATUS_OK)
		moved->count = same;
	return status;
}

static enum status write_rows(struct mysql *source, struct my_moved *moved, struct err *err)
{
	struct my_db *db = &source->db;
	enum status status = my_run(db, "START TRANSACTION", MY_TIMEOUT_MS, err);
	int64_t begun = clock_ms();
	bool taken = false;

	if (status == STATUS_OK)
		status = take_ids(db, source->head, moved, db->maria, &taken, err);
	if (db->maria)
		source->walk += clock_ms() - begun; /* the same walk again */
	if (status == STATUS_OK && !taken)
		status = cut_off(db, moved, err);
	if (status == STATUS_OK && !moved->count)
		return my_run(db, "ROLLBACK", MY_TIMEOUT_MS, err);
	if (status == STATUS_OK && !taken)
		status = take_ids(db, source->head, moved, false, &taken, err);
	if (status == STATUS_OK)
		status = my_moved_write(moved, db, source->head, source->packet, err);
	if (status == STATUS_OK)
		status = my_moved_delete(moved, db, err);
	return status == STATUS_OK ? my_run(db, "COMMIT", MOVE_TIMEOUT_MS, err) : status;
}

void my_move_adapt(struct mysql *source, size_t count, int64_t took, bool cut)
{
	took -= source->walk;
	source->full = cut || (int64_t)count >= source->move_max;
	if (cut && (int64_t)count < source->move_max)
		source->move_max = count ? (int64_t)count : 1;
	else if (took > MOVE_SLOW_MS)
		source->move_max = source->move_max > 2 * MOVE_ROWS_LEAST ? source->move_max / 2 : MOVE_ROWS_LEAST;
	else if (source->full && took < MOVE_SLOW_MS / 2 && source->move_max < source->config->drain_max)
		source->move_max *= 2;
}

enum status my_move(struct mysql *source, struct my_moved *moved, struct err *err)
{
	int64_t begun = clock_ms();
	bool cut = false;
	enum status status;
	size_t count;

	my_moved_clear(moved);
	if (!source->move_max)
		source->move_max = MOVE_FIRST;
	if (source->move_max > source->config->drain_max) /* they are one batch */
		source->move_max = source->config->drain_max;
	status = read_rows(source, moved, &cut, err);
	count = moved->count;
	if (status == STATUS_OK && moved->count)
		status = my_guard_moved(&source->guard, &source->db, moved, err);
	if (status == STATUS_TOO_MANY) { /* a table is being altered: in a moment */
		my_moved_clear(moved);
		source->full = false;
		source->last_event = begun;
		return STATUS_OK;
	}
	if (status == STATUS_OK && moved->count)
		status = write_rows(source, moved, err);
	if (status != STATUS_OK) {
		if (status == STATUS_TIMEOUT && source->move_max > 1)
			source->move_max /= 2;
		my_moved_clear(moved);
		my_close(&source->db); /* and with it the transaction */
		return status;
	}
	source->head += moved->count;
	if (count) /* also of a move that left all of them: soon again */
		source->last_event = begun;
	if (source->guard.doubt && !source->busy_retry_ms)
		source->next_look = 0; /* new triggers at once */
	my_move_adapt(source, count, clock_ms() - begun, cut);
	return STATUS_OK;
}
