/* Looks come first: nearly always there is nothing to write. What writes says its condition again, for somebody may have been
 * faster: a consumer that was heard of in between is not dropped. */
#include "source/mysql/hold.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/mysql/text.h"
#include "source/silence.h"

#define STRANGE "journal <> (SELECT journal FROM esink_meta) OR `cursor` > (SELECT head FROM esink_meta)"

static enum status drop(struct mysql *source, MYSQL_ROW row, const char *silent, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* a name */
	enum status status;

	buf_text(&sql, "UPDATE esink_consumer SET dropped = 1 WHERE name = ");
	my_text_literal(&sql, span_of(row[0]));
	buf_printf(&sql, " AND %s", silent);
	status = my_run_buf(&source->db, &sql, MY_TIMEOUT_MS, err);
	if (status == STATUS_OK && my_changed(&source->db))
		silence_dropped("mysql", row[0], my_int(row[1]), source->config->consumer_max_silence_ms);
	return status;
}

enum status my_hold_drop_silent(struct mysql *source, struct err *err)
{
	AUTO_FREE char *silent = mem_format("NOT dropped AND updated_at < CURRENT_TIMESTAMP(3) - INTERVAL %" PRId64 " MICROSECOND",
		source->config->consumer_max_silence_ms * 1000);
	AUTO_FREE char *find = mem_format("SELECT name, TIMESTAMPDIFF(MICROSECOND, updated_at, CURRENT_TIMESTAMP(3)) DIV 1000 FROM esink_consumer "
		"WHERE %s", silent);
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status = my_query(&source->db, find, MY_TIMEOUT_MS, &rows, err);
	MYSQL_ROW row;

	while (status == STATUS_OK && (row = mysql_fetch_row(rows)))
		status = drop(source, row, silent, err);
	return status;
}

enum status my_hold_begin(struct my_db *db, const char *journal, struct err *err)
{
	AUTO_FREE char *reset = mem_format("UPDATE esink_consumer SET journal = '%s', `cursor` = " MY_START, journal);
	enum status status = my_run(db, reset, MY_TIMEOUT_MS, err);

	return status == STATUS_OK ? my_run(db, "DELETE FROM esink_mark", MY_TIMEOUT_MS, err) : status;
}

/* Rows are locked before the head is read: what was acknowledged meanwhile is not ahead of it. */
static enum status settle(struct my_db *db, uint64_t *count, struct err *err)
{
	AUTO_RESULT MYSQL_RES *locked = NULL;
	enum status status = my_query(db, "SELECT name FROM esink_consumer FOR UPDATE", MY_TIMEOUT_MS, &locked, err);

	if (status == STATUS_OK)
		status = my_run(db, "DELETE FROM esink_mark WHERE consumer IN (SELECT name FROM esink_consumer WHERE " STRANGE ")", MY_TIMEOUT_MS, err);
	if (status == STATUS_OK)
		status = my_run(db, "UPDATE esink_consumer SET `cursor` = " MY_START ", journal = (SELECT journal FROM esink_meta) WHERE " STRANGE,
			MY_TIMEOUT_MS, err);
	*count = status == STATUS_OK ? my_changed(db) : 0;
	return status;
}

enum status my_hold_settle(struct my_db *db, struct err *err)
{
	int64_t strange = 0;
	uint64_t count = 0;
	enum status status = my_number(db, "SELECT COUNT(*) FROM esink_consumer WHERE " STRANGE, &strange, err);

	if (status != STATUS_OK || !strange)
		return status;
	status = my_run(db, "START TRANSACTION", MY_TIMEOUT_MS, err);
	if (status == STATUS_OK)
		status = settle(db, &count, err);
	if (status == STATUS_OK)
		status = my_run(db, "COMMIT", MY_TIMEOUT_MS, err);
	if (status == STATUS_OK && count)
		log_warn("mysql", "%" PRIu64 " consumers had a cursor of another journal: they begin at the start of this one", count);
	if (status != STATUS_OK)
		my_close(db); /* and with it the transaction */
	return status;
}
