/* From the outbox to the journal. An outbox row's id is taken before its transaction commits, so reading «id greater than the
 * last» loses what commits late, and a hole cannot be waited for, since it may have been rolled back. So what is visible now is
 * moved, all of it, whatever its id: in one transaction it gets the next ids in the order of its own, is copied to the journal
 * and deleted from the outbox. A row that is changed twice by two transactions is in order, because the second one waited for
 * the first one's commit: whoever sees the second, sees both.
 *
 * Between the two, while the rows are ours already and nobody was told, the columns of their tables are looked at (guard.c).
 *
 * READ COMMITTED: the INSERT .. SELECT reads one snapshot, takes no locks on the outbox, and the DELETE locks the rows that it
 * deletes and no gaps. esink_meta's row is locked first, so that two movers, should there ever be two, come one after the other.
 *
 * Whether there is anything to move is asked far more often. Deleted rows stay in the table's index for as long as the oldest
 * snapshot of anybody is held, and are walked over from its start; so the question is asked from a floor on, the id that was
 * the greatest seconds ago, and only now and then of the whole table. What a transaction has written that long before its commit
 * waits for that.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "source/mysql/mysql.h"
#include "source/mysql/text.h"

#define MOVE_TIMEOUT_MS 120000 /* it takes what it takes, but a network that was cut must not hold us for ever */
#define MOVE_SLOW_MS 400
#define MOVE_FIRST 1000
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
	if (status == STATUS_NOT_FOUND && source->db.error != 1146)
		status = STATUS_OK;
	took = clock_ms() - begun;
	if (sweep)
		source->next_sweep = begun + (took * SWEEP_SHARE > SWEEP_MS ? took * SWEEP_SHARE : SWEEP_MS);
	*wanted = one == 1;
	return status;
}

static enum status move_rows(struct mysql *source, uint64_t *count, struct err *err)
{
	struct my_db *db = &source->db;
	AUTO_BUF struct buf outbox = buf_init(BUF_NO_MAX); /* a name */
	AUTO_FREE char *copy = NULL, *clear = NULL, *count_up = NULL;
	int64_t head = 0;
	enum status status = my_number(db, "SELECT head FROM esink_meta FOR UPDATE", &head, err);

	my_text_name(&outbox, source->config->outbox);
	if (status != STATUS_OK)
		return status;
	copy = mem_format("INSERT INTO esink_journal (id, seq, shape, kind, at, actor, data) SELECT STRAIGHT_JOIN x.n, o.id, o.shape, o.kind, o.at, "
		"o.actor, o.data FROM (SELECT id, %" PRId64 " + ROW_NUMBER() OVER (ORDER BY id) AS n FROM (SELECT id FROM %s ORDER BY id LIMIT %"
		PRId64 ") y) x JOIN %s o ON o.id = x.id WHERE " MY_PRELOCK " = 0", head, outbox.bytes, source->move_max, outbox.bytes);
	status = my_run(db, copy, MOVE_TIMEOUT_MS, err);
	if (status != STATUS_OK)
		return status;
	*count = my_changed(db);
	if (!*count)
		return STATUS_OK;
	status = my_guard_moved(&source->guard, db, (uint64_t)head, err);
	if (status != STATUS_OK)
		return status;
	clear = mem_format("DELETE o FROM esink_journal j STRAIGHT_JOIN %s o ON o.id = j.seq WHERE j.id > %" PRId64 " AND " MY_PRELOCK " = 0",
		outbox.bytes, head);
	status = my_run(db, clear, MOVE_TIMEOUT_MS, err);
	if (status == STATUS_OK && my_changed(db) != *count)
		return err_set(err, STATUS_UNAVAILABLE, "of %" PRIu64 " rows of the outbox %" PRIu64 " could be moved: somebody else deletes "
			"from %s", *count, my_changed(db), source->config->outbox);
	count_up = mem_format("UPDATE esink_meta SET head = %" PRId64, head + (int64_t)*count);
	if (status == STATUS_OK)
		status = my_run(db, count_up, MOVE_TIMEOUT_MS, err);
	if (status == STATUS_OK)
		source->head = (uint64_t)head + *count;
	return status;
}

enum status my_move(struct mysql *source, uint64_t *count, struct err *err)
{
	struct my_db *db = &source->db;
	uint64_t before = source->head;
	int64_t begun = clock_ms(), took;
	enum status status;

	*count = 0;
	if (!source->move_max)
		source->move_max = MOVE_FIRST;
	status = my_run(db, "START TRANSACTION", MY_TIMEOUT_MS, err);
	if (status == STATUS_OK)
		status = move_rows(source, count, err);
	if (status == STATUS_TOO_MANY) { /* a table is being altered: in a moment */
		*count = 0;
		source->full = false;
		source->last_event = begun;
		return my_run(db, "ROLLBACK", MOVE_TIMEOUT_MS, err);
	}
	if (status == STATUS_OK)
		status = my_run(db, "COMMIT", MOVE_TIMEOUT_MS, err);
	if (status != STATUS_OK) {
		source->head = before;
		my_close(db); /* and with it the transaction */
		return status;
	}
	if (source->guard.doubt && !source->busy_retry_ms)
		source->next_look = 0; /* new triggers at once */
	took = clock_ms() - begun;
	source->full = (int64_t)*count >= source->move_max;
	if (took > MOVE_SLOW_MS)
		source->move_max = source->move_max > 20 ? source->move_max / 2 : 10;
	else if (source->full && took < MOVE_SLOW_MS / 2 && source->move_max < source->config->drain_max)
		source->move_max *= 2;
	return STATUS_OK;
}
