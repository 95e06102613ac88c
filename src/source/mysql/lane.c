/* Look-ups, writes and reads, each on a lane's own connection. A lane connects when it is first used, and again after a failure. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "source/mysql/auth_table.h"
#include "source/mysql/error.h"
#include "source/mysql/lane.h"
#include "source/mysql/pack.h"
#include "source/mysql/text.h"
#include "source/token_table.h"

#define BATCH_BYTES (8u << 20)
#define USER_MAX 1024 /* bytes of a user's id */
#define IDLE_MS 300 /* a connection that was not used for so long is asked whether it still is one */

void *mysql_lane_create(void *opaque)
{
	struct mysql *source = opaque;
	struct lane *lane = mem_zero(1, sizeof(*lane));

	lane->source = source;
	lane->db = (struct my_db){.config = source->config, .nudge_fd = -1};
	my_reader_init(&lane->reader, source->config);
	return lane;
}

void mysql_lane_destroy(void *opaque)
{
	struct lane *lane = opaque;

	if (!lane)
		return;
	my_close(&lane->db);
	my_reader_finish(&lane->reader);
	free(lane);
}

/* Not 0, which would mean for ever. */
static int left(int64_t deadline)
{
	int64_t left = deadline - clock_ms();

	return left > 1 ? (int)left : 1;
}

/* A connection that the server closed meanwhile must not cost a publication its answer. */
enum status my_lane_ready(struct lane *lane, int64_t deadline, struct err *err)
{
	int64_t now = clock_ms(), idle = now - lane->used;
	struct err ignored;
	int wait = left(deadline);

	lane->used = now;
	if (lane->db.conn && idle > IDLE_MS && my_run(&lane->db, "DO 0", wait, &ignored) == STATUS_OK)
		return STATUS_OK;
	if (lane->db.conn && idle <= IDLE_MS)
		return STATUS_OK;
	wait = left(deadline);
	return my_connect(&lane->db, wait < MY_CONNECT_TIMEOUT_MS ? wait : MY_CONNECT_TIMEOUT_MS, 0, err);
}

/* -- look-up ---------------------------------------------------------------------------------------------------------- */

static enum status prepare(struct lane *lane, struct err *err)
{
	AUTO_FREE char *sql = NULL;
	enum status status = my_auth_table_statement(&lane->db, &sql, &lane->numeric, err);

	return status == STATUS_OK ? my_prepare(&lane->db, sql, my_lane_timeout(lane), err) : status;
}

/* What the server says of a token that has characters which the column's character set lacks, where it does not just find no row.
 * Its words may quote the token. Plain letters are in each: of these it says so when a view that is the table is broken. */
static bool fits_no_column(struct span token, unsigned code)
{
	static const unsigned all[] = {1267, 1270, 1271, 1300, 3854, 3988}; /* collations that do not mix, strings that cannot be converted */
	bool plain = true;

	for (size_t i = 0; i < token.len && plain; i++)
		plain = (unsigned char)token.p[i] < 0x80;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all) && !plain; i++)
		if (code == all[i])
			return true;
	return false;
}

enum status mysql_lookup(void *opaque, struct span token, struct source_user *user, struct err *err)
{
	struct lane *lane = opaque;
	char id[USER_MAX];
	size_t len = 0;
	int count = 0;
	enum status status;

	if (memchr(token.p, 0, token.len) || !utf8_valid(token.p, token.len))
		return err_set(err, STATUS_UNAUTHORIZED, "the token is not text");
	lane->db.error = 0; /* it keeps that of the last call that failed, and not each failure has one */
	status = my_lane_ready(lane, clock_ms() + my_lane_timeout(lane), err);
	if (status == STATUS_OK && !lane->db.stmt)
		status = prepare(lane, err);
	if (status == STATUS_NOT_FOUND && lane->source->config->auth_table_optional)
		return err_set(err, STATUS_UNAUTHORIZED, "AUTH_TABLE: there is no table");
	if (status == STATUS_OK)
		status = my_execute(&lane->db, token, my_lane_timeout(lane), &count, id, sizeof(id), &len, err);
	if (status != STATUS_OK && fits_no_column(token, lane->db.error))
		return err_set(err, STATUS_UNAUTHORIZED, "no such token");
	if (status == STATUS_OK && (count != 1 || len > sizeof(id) || memchr(id, 0, len) || !utf8_valid(id, len)))
		return token_table_refuse(lane->source->config, count, err);
	if (status == STATUS_DENIED)
		my_auth_table_explain(&lane->db, err);
	if (status != STATUS_OK)
		return status;
	user->id = mem_text_n(id, len);
	user->numeric = lane->numeric;
	return STATUS_OK;
}

/* -- writes ----------------------------------------------------------------------------------------------------------- */

static enum status append(struct lane *lane, const struct publication *item, int timeout_ms, struct err *err)
{
	AUTO_BUF struct buf pack = buf_init(BUF_NO_MAX), sql = buf_init(BUF_NO_MAX); /* bounded by the request */

	my_pack_add(&pack, span_of(item->topic));
	my_pack_add(&pack, span_of(item->type));
	my_pack_add(&pack, span_of(item->data));
	my_pack_add(&pack, span_of(item->user));
	my_pack_add_number(&pack, item->broadcast);
	my_pack_add(&pack, span_of(item->source));
	my_pack_add(&pack, span_of(item->source_type));
	my_pack_add_number(&pack, item->version);
	my_pack_add(&pack, span_of(item->ref));
	if (item->timestamp)
		my_pack_add_number(&pack, item->timestamp);
	else
		my_pack_add(&pack, (struct span){NULL, 0});
	buf_text(&sql, "INSERT INTO ");
	my_text_name(&sql, lane->source->config->outbox);
	buf_text(&sql, " (shape, kind, data) VALUES (" MY_PRELOCK ", 8, ");
	my_text_bytes(&sql, buf_as_span(&pack));
	buf_text(&sql, ")");
	return my_run_buf(&lane->db, &sql, timeout_ms, err);
}

enum status mysql_publish(void *opaque, struct publication *const *items, size_t count, int timeout_ms, struct err *err)
{
	struct lane *lane = opaque;
	int64_t deadline = clock_ms() + timeout_ms;
	enum status status = my_lane_ready(lane, deadline, err);
	struct err ignored;

	if (status == STATUS_OK)
		status = my_run(&lane->db, "START TRANSACTION", left(deadline), err);
	for (size_t i = 0; status == STATUS_OK && i < count; i++)
		status = append(lane, items[i], left(deadline), err);
	if (status == STATUS_OK)
		status = my_run(&lane->db, "COMMIT", left(deadline), err);
	if (status == STATUS_OK)
		eventfd_write(lane->source->db.nudge_fd, 1);
	else if (lane->db.conn && my_run(&lane->db, "ROLLBACK", left(deadline), &ignored) != STATUS_OK)
		my_close(&lane->db);
	return status;
}

/* -- reads ------------------------------------------------------------------------------------------------------------ */

/* Of a chunk what follows on `after`, which goes on with it. */
static enum status take_chunk(struct lane *lane, struct my_chunk chunk, const char *journal, size_t max, struct event_batch *batch,
	uint64_t *after, size_t *bytes, struct err *err)
{
	struct my_cells cells;

	if (chunk.next > *after + 1)
		return err_set(err, STATUS_GONE, "the journal does not reach back to event %" PRIu64, *after + 1);
	while (batch->count < max && my_chunk_next(&chunk, &cells)) {
		struct event *event = NULL;
		enum status status = STATUS_OK;

		if (cells.id <= *after)
			continue;
		status = my_reader_event(&lane->reader, &cells, journal, &event, err);
		if (status != STATUS_OK)
			return status;
		*after = cells.id;
		*bytes += event->size;
		event_batch_add(batch, event);
	}
	return STATUS_OK;
}

static enum status take_page(struct lane *lane, const char *journal, uint64_t after, size_t max, struct event_batch *batch, struct err *err)
{
	size_t bytes = 0;

	while (lane->db.stream) {
		unsigned long *lengths = NULL;
		MYSQL_ROW row = NULL;
		enum status status = my_stream_next(&lane->db, my_lane_timeout(lane), &row, &lengths, err);

		if (status != STATUS_OK || !row)
			return status;
		if (bytes >= BATCH_BYTES) { /* what still comes is more than is worth to be read */
			my_close(&lane->db);
			return STATUS_OK;
		}
		status = take_chunk(lane, my_chunk_of(row, lengths), journal, max, batch, &after, &bytes, err);
		if (status != STATUS_OK)
			return status;
	}
	return STATUS_OK;
}

static enum status read_page(struct lane *lane, const char *journal, uint64_t after, size_t max, struct event_batch *batch, struct err *err)
{
	char sql[256];
	struct my_meta meta;
	enum status status = my_meta_read(&lane->db, &meta, err);

	if (status != STATUS_OK)
		return status;
	if (strcmp(meta.journal, journal) != 0)
		return err_set(err, STATUS_GONE, "the journal is another one");
	if (strcmp(lane->known, journal) != 0) {
		my_reader_forget(&lane->reader);
		snprintf(lane->known, sizeof(lane->known), "%s", journal);
	}
	if (after >= meta.head)
		return STATUS_OK;
	my_chunk_statement(sql, sizeof(sql), after, max);
	status = my_stream_begin(&lane->db, sql, my_lane_timeout(lane), err);
	if (status == STATUS_OK)
		status = take_page(lane, journal, after, max, batch, err);
	if (status == STATUS_OK && !batch->count && max)
		return err_set(err, STATUS_GONE, "the journal does not reach back to event %" PRIu64, after + 1);
	return status;
}

enum status mysql_read(void *opaque, struct span journal, uint64_t after, uint64_t key, size_t max, struct event_batch *batch,
	struct err *err)
{
	struct lane *lane = opaque;
	char name[JOURNAL_LEN + 1];
	enum status status = my_lane_ready(lane, clock_ms() + my_lane_timeout(lane), err);

	(void)key; /* the id is all that is needed to go on */
	snprintf(name, sizeof(name), "%.*s", (int)journal.len, journal.p);
	if (status == STATUS_OK)
		status = read_page(lane, name, after, max, batch, err);
	if (lane->db.stream)
		my_close(&lane->db);
	if (status != STATUS_OK)
		event_batch_clear(batch);
	return status;
}

/* The rows' `moved` are whole seconds, rounded down, and grow with the id: what was moved in the second of `since` may be of
 * after it. A row that is not there any more was old. */
static enum status find_start(struct lane *lane, int64_t since, struct source_range *range, struct err *err)
{
	int64_t second = since / 1000;
	uint64_t last = range->head;

	while (range->start < last) {
		uint64_t middle = range->start + (last - range->start + 1) / 2;
		int64_t moved = 0;
		char sql[160];
		enum status status;

		snprintf(sql, sizeof(sql), "SELECT IF(id < %" PRIu64 " + events, UNIX_TIMESTAMP(moved), 0) FROM esink_journal WHERE id >= %" PRIu64 " ORDER BY id LIMIT 1",
			middle, middle);
		status = my_number(&lane->db, sql, &moved, err);
		if (status != STATUS_OK && (status != STATUS_NOT_FOUND || lane->db.error == MY_NO_TABLE))
			return status;
		if (status == STATUS_NOT_FOUND || moved < second)
			range->start = middle;
		else
			last = middle - 1;
	}
	return STATUS_OK;
}

enum status mysql_range(void *opaque, int64_t since, struct source_range *ret, struct err *err)
{
	struct lane *lane = opaque;
	struct source_range range = {.floor = 0};
	struct my_meta meta;
	int64_t floor = 0;
	enum status status = my_lane_ready(lane, clock_ms() + my_lane_timeout(lane), err);

	lane->db.error = 0;
	if (status == STATUS_OK)
		status = my_meta_read(&lane->db, &meta, err);
	if (status == STATUS_OK)
		status = my_number(&lane->db, "SELECT COALESCE((SELECT id - LEAST(id, events) FROM esink_journal ORDER BY id LIMIT 1), -1)", &floor, err);
	if (status != STATUS_OK)
		return status;
	memcpy(range.journal, meta.journal, sizeof(range.journal));
	range.head = meta.head;
	range.floor = floor >= 0 ? (uint64_t)floor : meta.head;
	if (range.head < range.floor)
		range.head = range.floor;
	range.start = range.floor;
	if (since >= 0)
		status = find_start(lane, since, &range, err);
	if (status == STATUS_OK)
		*ret = range;
	return status;
}
