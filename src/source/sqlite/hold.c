/* Looks come first and without a lock: nearly always there is nothing to write. What writes says its condition again, for somebody
 * may have been faster: a consumer that was heard of between the look and the lock is not dropped. */
#include "source/sqlite/hold.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "source/silence.h"

#define STRANGE "journal <> (SELECT journal FROM esink_meta) OR cursor > (SELECT coalesce(max(id), 0) FROM esink_event)"

static void roll_back(struct db *db)
{
	if (!sqlite3_get_autocommit(db->conn))
		sqlite3_exec(db->conn, "ROLLBACK", NULL, NULL, NULL);
}

/* By an UPDATE that returns them: an autocommit, which ends with the last row. */
static enum status drop(struct sqlite *source, const char *where, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	char sql[256];
	enum status status;

	snprintf(sql, sizeof(sql), "UPDATE esink_consumer SET dropped = 1 WHERE %s RETURNING name, "
		"CAST((julianday('now') - updated_at) * 86400000.0 AS INTEGER)", where);
	status = db_prepare(&source->db, sql, &stmt, err);
	while (status == STATUS_OK && (status = db_step(&source->db, stmt, err)) == STATUS_OK)
		silence_dropped("sqlite", (const char *)sqlite3_column_text(stmt, 0), sqlite3_column_int64(stmt, 1),
			source->config->consumer_max_silence_ms);
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status lite_hold_drop_silent(struct sqlite *source, struct err *err)
{
	char where[128], sql[192];
	int64_t count = 0;
	enum status status;

	snprintf(where, sizeof(where), "NOT dropped AND updated_at < julianday('now') - %.9f",
		(double)source->config->consumer_max_silence_ms / 86400000.0);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM esink_consumer WHERE %s", where);
	status = db_number(&source->db, sql, &count, err);
	return status == STATUS_OK && count ? drop(source, where, err) : status;
}

enum status lite_hold_settle(struct sqlite *source, struct err *err)
{
	int64_t count = 0;
	enum status status = db_number(&source->db, "SELECT count(*) FROM esink_consumer WHERE " STRANGE, &count, err);

	if (status != STATUS_OK || !count)
		return status;
	status = db_run(&source->db, "BEGIN IMMEDIATE; DELETE FROM esink_mark WHERE consumer IN (SELECT name FROM esink_consumer WHERE " STRANGE ");"
		"UPDATE esink_consumer SET cursor = " LITE_START ", journal = (SELECT journal FROM esink_meta) WHERE " STRANGE "; COMMIT", err);
	roll_back(&source->db);
	if (status == STATUS_OK)
		log_warn("sqlite", "%" PRId64 " consumers had a cursor of another journal: they begin at the start of this one", count);
	return status;
}
