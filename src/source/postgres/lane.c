/* Look-ups, writes and reads, each on a lane's own connection. A lane connects when it is first
 * used, and again after a failure; every statement has the time-out of the configuration, and what
 * writes has the time that its clients still wait.
 *
 * The token table is found once per connection (auth_table.c). A token is a parameter, and what
 * comes back is compared byte for byte here, because collations, char(n) and citext call equal what
 * is not.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "source/postgres/auth_table.h"
#include "source/postgres/lane.h"
#include "source/postgres/statement.h"
#include "source/token_table.h"

#define BATCH_BYTES (8u << 20)
#define MAP_TIMEOUT_MS 60000
#define TIME_MAX_MS INT64_C(253402300800000) /* the year 10000 */

void *postgres_lane_create(void *source)
{
	struct lane *lane = mem_zero(1, sizeof(*lane));

	lane->source = source;
	lane->pg.stop_fd = lane->source->config->stop_fd;
	lane->reader.today.rules = lane->source->config->rules;
	return lane;
}

void postgres_lane_destroy(void *opaque)
{
	struct lane *lane = opaque;

	if (!lane)
		return;
	pg_close(&lane->pg);
	pg_reader_finish(&lane->reader);
	free(lane->lookup_sql);
	free(lane);
}

enum status pg_lane_ready(struct lane *lane, int timeout_ms, struct err *err)
{
	/* A connection that the server closed meanwhile must not cost a publication its answer. */
	if (pg_is_open(&lane->pg))
		return STATUS_OK;
	free(lane->lookup_sql);
	lane->lookup_sql = NULL;
	return pg_connect(&lane->pg, lane->source->config->url,
		timeout_ms < PG_CONNECT_TIMEOUT_MS ? timeout_ms : PG_CONNECT_TIMEOUT_MS, err);
}

/* -- look-up
 * --------------------------------------------------------------------------------------------------------------
 */

static bool is_same(const PGresult *result, struct span token)
{
	return span_equal(token, (struct span){PQgetvalue(result, 0, 2), (size_t)PQgetlength(result, 0, 2)});
}

/* After one that failed: the table has changed, or a right to it was taken away, so it is found again, next time or, for the sake of
 * a sentence that names the right, at once. A view's owner may be who lacks it: then the server's word stays. */
static enum status lookup_failed(struct lane *lane, enum status status, struct err *err)
{
	struct err why;

	if (status != STATUS_NOT_FOUND && status != STATUS_FAILED && status != STATUS_DENIED)
		return status;
	free(lane->lookup_sql);
	lane->lookup_sql = NULL;
	if (status != STATUS_DENIED)
		return status;
	if (auth_table_statement(&lane->pg, lane->source->config, pg_lane_timeout(lane), &lane->lookup_sql, &why) != STATUS_DENIED)
		err_set(&why, status, "AUTH_TABLE: \"%.80s\" cannot be read: %.400s", lane->source->config->auth_table, err->text);
	*err = why;
	return status;
}

enum status postgres_lookup(
	void *opaque, struct span token, struct source_user *user, struct err *err)
{
	enum { INT2 = 21, INT4 = 23 };
	struct lane *lane = opaque;
	AUTO_RESULT PGresult *result = NULL;
	char *text;
	const char *params[1];
	enum status status;

	if (memchr(token.p, 0, token.len) || !utf8_valid(token.p, token.len))
		return err_set(err, STATUS_UNAUTHORIZED, "the token is not text");
	status = pg_lane_ready(lane, pg_lane_timeout(lane), err);
	if (status == STATUS_OK && !lane->lookup_sql)
		status = auth_table_statement(
			&lane->pg, lane->source->config, pg_lane_timeout(lane), &lane->lookup_sql, err);
	if (status == STATUS_NOT_FOUND && lane->source->config->auth_table_optional)
		return err_set(err, STATUS_UNAUTHORIZED, "AUTH_TABLE: there is no table");
	if (status != STATUS_OK)
		return status;
	text = mem_text_n(token.p, token.len);
	params[0] = text;
	status = pg_query(&lane->pg, lane->lookup_sql, 1, params, pg_lane_timeout(lane), &result, err);
	mem_wipe_free(text);
	/* A value that the column's type refuses (a token that is no uuid) is simply not there. */
	if (status == STATUS_INVALID)
		return token_table_refuse(lane->source->config, 0, err);
	if (status != STATUS_OK)
		return lookup_failed(lane, status, err);
	if (PQntuples(result) != 1 || !is_same(result, token))
		return token_table_refuse(lane->source->config, PQntuples(result) > 1 ? 2 : 0, err);
	if (PQgetisnull(result, 0, 1))
		return token_table_refuse(lane->source->config, 1, err);
	user->id = mem_text(PQgetvalue(result, 0, 1));
	user->numeric = PQftype(result, 0) == INT2 || PQftype(result, 0) == INT4;
	return STATUS_OK;
}

/* -- writes
 * -------------------------------------------------------------------------------------------------------------
 */

static enum status append(
	struct lane *lane, const struct publication *item, int timeout_ms, struct err *err)
{
	static const char sql[] = "SELECT esink.append($1, $2, $3, $4::text[], $5::boolean, "
				  "'1970-01-01 00:00:00+00'::timestamptz + $6::float8 * '1 "
				  "millisecond'::interval, $7, $8, $9::integer, $10)";
	AUTO_RESULT PGresult *result = NULL;
	AUTO_BUF struct buf users = buf_init(BUF_NO_MAX); /* one id, bounded by the request */
	char at[24], version[16];
	const char *params[] = {item->topic, item->type, item->data, NULL,
		item->broadcast ? "true" : "false", item->timestamp ? at : NULL, item->source,
		item->source_type, version, item->ref};

	buf_text(&users, "{");
	if (item->user)
		pg_array_append(&users, item->user);
	buf_text(&users, "}");
	params[3] = users.bytes;
	snprintf(at, sizeof(at), "%lld", (long long)item->timestamp);
	snprintf(version, sizeof(version), "%d", (int)item->version);
	return pg_query(&lane->pg, sql, 10, params, timeout_ms, &result, err);
}

/* Not 0, which would mean for ever. */
static int left(int64_t deadline)
{
	int64_t left = deadline - clock_ms();

	return left > 1 ? (int)left : 1;
}

enum status postgres_publish(
	void *opaque, struct publication *const *items, size_t count, int timeout_ms, struct err *err)
{
	struct lane *lane = opaque;
	int64_t deadline = clock_ms() + timeout_ms;
	enum status status = pg_lane_ready(lane, timeout_ms, err);

	if (status == STATUS_OK)
		status = pg_script(
			&lane->pg, "BEGIN ISOLATION LEVEL READ COMMITTED", left(deadline), err);
	for (size_t i = 0; status == STATUS_OK && i < count; i++)
		status = append(lane, items[i], left(deadline), err);
	if (status == STATUS_OK)
		return pg_script(&lane->pg, "COMMIT", left(deadline), err);
	if (lane->pg.conn) {
		struct err ignored;

		if (pg_script(&lane->pg, "ROLLBACK", left(deadline), &ignored) != STATUS_OK)
			pg_close(&lane->pg);
	}
	return status;
}

/* -- reads
 * --------------------------------------------------------------------------------------------------------------
 */

static enum status check_journal(struct lane *lane, struct span journal, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = pg_query(
		&lane->pg, "SELECT journal FROM esink.meta", 0, NULL, pg_lane_timeout(lane), &result, err);

	if (status != STATUS_OK)
		return status;
	if (PQntuples(result) != 1 || !span_is(journal, PQgetvalue(result, 0, 0)))
		return err_set(err, STATUS_GONE, "the journal is another one");
	return STATUS_OK;
}

/* Reads on to the end of what was asked for even when the batch is full: the connection stays
 * usable. */
static enum status take_page(
	struct lane *lane, const char *journal, struct event_batch *batch, struct err *err)
{
	size_t bytes = 0;

	for (;;) {
		AUTO_RESULT PGresult *row = NULL;
		enum status status = pg_stream_next(&lane->pg, pg_lane_timeout(lane), &row, err);
		struct event *event;

		if (status != STATUS_OK || !row)
			return status;
		if (bytes >= BATCH_BYTES)
			continue;
		event = pg_reader_event(&lane->reader, row, journal);
		bytes += event->size;
		event_batch_add(batch, event);
	}
}

static enum status read_once(struct lane *lane, const char *journal, uint64_t after, uint64_t key,
	size_t max, struct event_batch *batch, struct err *err)
{
	char after_text[24], key_text[24], max_text[24];
	const char *params[] = {after_text, key_text, max_text};
	enum status status;

	snprintf(after_text, sizeof(after_text), "%llu", (unsigned long long)after);
	snprintf(key_text, sizeof(key_text), "%llu", (unsigned long long)key);
	snprintf(max_text, sizeof(max_text), "%zu", max);
	status = pg_stream_begin(&lane->pg, "esink.read", pg_reader_sql(&lane->pg), 3, params, err);
	return status == STATUS_OK ? take_page(lane, journal, batch, err) : status;
}

enum status postgres_read(void *opaque, struct span journal, uint64_t after, uint64_t key,
	size_t max, struct event_batch *batch, struct err *err)
{
	struct lane *lane = opaque;
	char name[JOURNAL_LEN + 1];
	bool mapped = false;
	enum status status = pg_lane_ready(lane, pg_lane_timeout(lane), err);

	if (status == STATUS_OK)
		status = check_journal(lane, journal, err);
	if (status != STATUS_OK)
		return status;
	snprintf(name, sizeof(name), "%.*s", (int)journal.len, journal.p);
	status = read_once(lane, name, after, key, max, batch, err);
	if (status == STATUS_OK && !batch->count)
		status = pg_reader_map(&lane->pg, after, MAP_TIMEOUT_MS, &mapped, err);
	if (status == STATUS_OK && mapped)
		status = read_once(lane, name, after, key, max, batch, err);
	if (status != STATUS_OK)
		event_batch_clear(batch);
	return status;
}

/* A time that PostgreSQL has no timestamp for is before or after everything there is. */
enum status postgres_range(void *opaque, int64_t since, struct source_range *range, struct err *err)
{
	static const char sql[] = "SELECT journal, floor, head, start FROM esink.range('1970-01-01 00:00:00+00'::timestamptz + "
				  "$1::float8 * '1 millisecond'::interval)";
	struct lane *lane = opaque;
	AUTO_RESULT PGresult *result = NULL;
	char text[24];
	const char *params[] = {since < 0 ? NULL : text};
	enum status status = pg_lane_ready(lane, pg_lane_timeout(lane), err);

	if (since > TIME_MAX_MS)
		since = TIME_MAX_MS;
	snprintf(text, sizeof(text), "%lld", (long long)since);
	if (status == STATUS_OK)
		status = pg_query(&lane->pg, sql, 1, params, pg_lane_timeout(lane), &result, err);
	if (status != STATUS_OK)
		return status;
	if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0))
		return err_set(err, STATUS_UNAVAILABLE, "esink.meta is empty");
	snprintf(range->journal, sizeof(range->journal), "%s", PQgetvalue(result, 0, 0));
	range->floor = (uint64_t)pg_int(result, 0, 1);
	range->head = (uint64_t)pg_int(result, 0, 2);
	range->start = (uint64_t)pg_int(result, 0, 3);
	return STATUS_OK;
}
