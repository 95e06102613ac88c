/* What is deleted is what was read, row by row, and nothing else: a row of a key in between may be committed at any moment. For the
 * server that is cheapest in ranges without a gap. A range is read up to the row behind its end, which it would lock: where that is a
 * writer's, the move would wait for the writer's commit. So a range ends before its last row, and last rows go by their keys alone.
 * Where ranges are most of the table the server would rather read all of it, and wait for all that is open: with sql_safe_updates it
 * takes the key in any case, or refuses.
 */
#include "source/mysql/moved.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/mysql/mysql.h"
#include "source/mysql/text.h"

#define WRITE_TIMEOUT_MS 120000 /* it takes what it takes, but a network that was cut must not hold us for ever */
#define KEEP_BYTES (16u << 20) /* of memory, from one move to the next */
#define RUNS_MAX 200 /* of one statement */

void my_moved_init(struct my_moved *moved)
{
	*moved = (struct my_moved){.bytes = buf_init(BUF_NO_MAX)}; /* bounded by the move */
}

void my_moved_finish(struct my_moved *moved)
{
	free(moved->rows);
	buf_finish(&moved->bytes);
}

void my_moved_clear(struct my_moved *moved)
{
	moved->count = 0;
	if (moved->bytes.room > KEEP_BYTES)
		buf_finish(&moved->bytes);
	else
		buf_clear(&moved->bytes);
}

static struct my_moved_text keep(struct my_moved *moved, struct span span)
{
	struct my_moved_text text = {!span.p, moved->bytes.len, span.len};

	if (span.p)
		buf_span(&moved->bytes, span);
	return text;
}

static struct span text_of(const struct my_moved *moved, const struct my_moved_text *text)
{
	static const char none[] = "";

	if (text->null)
		return (struct span){NULL, 0};
	return (struct span){text->len ? moved->bytes.bytes + text->at : none, text->len};
}

void my_moved_add(struct my_moved *moved, const struct my_cells *cells)
{
	mem_grow(&moved->rows, &moved->room, moved->count, sizeof(*moved->rows));
	moved->rows[moved->count++] = (struct my_moved_row){.seq = cells->seq, .shape = cells->shape, .at = cells->at, .kind = cells->kind,
		.big = !cells->data.p, .actor = keep(moved, cells->actor), .data = keep(moved, cells->data)};
}

void my_moved_set_data(struct my_moved *moved, size_t row, struct span data)
{
	moved->rows[row].data = keep(moved, data);
}

struct my_cells my_moved_cells(const struct my_moved *moved, size_t row, uint64_t head)
{
	const struct my_moved_row *one = &moved->rows[row];

	return (struct my_cells){.id = head + row + 1, .seq = one->seq, .shape = one->shape, .at = one->at, .kind = one->kind,
		.actor = text_of(moved, &one->actor), .data = text_of(moved, &one->data)};
}

/* -- into the journal -------------------------------------------------------------------------------------------------- */

static enum status write_big(const struct my_moved *moved, struct my_db *db, uint64_t head, size_t row, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX), chunk = buf_init(BUF_NO_MAX); /* an actor, a name */
	struct my_cells cells = my_moved_cells(moved, row, head);

	cells.data = (struct span){NULL, 0};
	my_chunk_add(&chunk, &cells);
	buf_printf(&sql, "INSERT INTO esink_journal (id, events, shape, data, big) SELECT %" PRIu64 ", 1, shape, ", cells.id);
	my_text_bytes(&sql, buf_as_span(&chunk));
	buf_text(&sql, ", data FROM ");
	my_text_name(&sql, db->config->outbox);
	buf_printf(&sql, " WHERE id = %" PRIu64 " AND " MY_PRELOCK " = 0", cells.seq);
	return my_run_buf(db, &sql, WRITE_TIMEOUT_MS, err);
}

/* One chunk from a row on. How many rows it took. */
static size_t fill_chunk(const struct my_moved *moved, uint64_t head, size_t row, size_t bytes_max, struct buf *chunk, int64_t *least)
{
	size_t count = 0;

	buf_clear(chunk);
	*least = 0;
	for (; row + count < moved->count && count < MY_CHUNK_EVENTS && chunk->len < bytes_max && !moved->rows[row + count].big; count++) {
		struct my_cells cells = my_moved_cells(moved, row + count, head);

		my_chunk_add(chunk, &cells);
		if (cells.shape && (!*least || cells.shape < *least))
			*least = cells.shape;
	}
	return count;
}

/* Where the server has no room for a prepared statement, or a proxy before it has none. */
static enum status write_literal(struct my_db *db, uint64_t id, uint64_t events, int64_t shape, const struct buf *chunk, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* a chunk */

	buf_printf(&sql, "INSERT INTO esink_journal (id, events, shape, data) VALUES (%" PRIu64 ", %" PRIu64 ", %" PRId64 ", ", id, events, shape);
	my_text_bytes(&sql, buf_as_span(chunk));
	buf_text(&sql, ")");
	return my_run_buf(db, &sql, WRITE_TIMEOUT_MS, err);
}

/* As a literal, a chunk's bytes would be written twice as long here and be read one by one there: that was half of what it cost. */
static enum status write_chunk(struct my_db *db, uint64_t id, uint64_t events, int64_t shape, const struct buf *chunk, struct err *err)
{
	unsigned long len = (unsigned long)chunk->len;
	MYSQL_BIND params[] = {{.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &id, .is_unsigned = 1},
		{.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &events, .is_unsigned = 1},
		{.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &shape},
		{.buffer_type = MYSQL_TYPE_BLOB, .buffer = chunk->bytes, .buffer_length = len, .length = &len}};
	enum status status = STATUS_OK;

	if (!db->stmt)
		status = my_prepare(db, "INSERT INTO esink_journal (id, events, shape, data) VALUES (?, ?, ?, ?)", MY_TIMEOUT_MS, err);
	if (status != STATUS_OK && db->conn)
		return write_literal(db, id, events, shape, chunk, err);
	return status == STATUS_OK ? my_execute_write(db, params, WRITE_TIMEOUT_MS, err) : status;
}

enum status my_moved_write(const struct my_moved *moved, struct my_db *db, uint64_t head, int64_t packet, struct err *err)
{
	AUTO_BUF struct buf chunk = buf_init(BUF_NO_MAX); /* bounded by what is below */
	size_t big = my_move_big(packet);
	enum status status = STATUS_OK;

	for (size_t row = 0; row < moved->count && status == STATUS_OK;) {
		int64_t shape = 0;
		size_t count;

		if (moved->rows[row].big) {
			status = write_big(moved, db, head, row++, err);
			continue;
		}
		count = fill_chunk(moved, head, row, big, &chunk, &shape);
		row += count;
		status = write_chunk(db, head + row, count, shape, &chunk, err);
	}
	return status;
}

/* -- out of the outbox -------------------------------------------------------------------------------------------------- */

static void begin_delete(const struct my_db *db, struct buf *sql)
{
	buf_clear(sql);
	buf_text(sql, db->maria ? "SET STATEMENT sql_safe_updates = 1 FOR DELETE FROM " : "DELETE /*+ SET_VAR(sql_safe_updates = 1) */ FROM ");
	my_text_name(sql, db->config->outbox);
	buf_text(sql, " WHERE " MY_PRELOCK " = 0 AND ");
}

static enum status run_delete(struct my_db *db, struct buf *sql, uint64_t *gone, struct err *err)
{
	enum status status;

	buf_text(sql, ")");
	status = my_run_buf(db, sql, WRITE_TIMEOUT_MS, err);
	*gone += status == STATUS_OK ? my_changed(db) : 0;
	buf_clear(sql);
	return status;
}

static size_t run_end(const struct my_moved *moved, size_t row)
{
	while (row + 1 < moved->count && moved->rows[row + 1].seq == moved->rows[row].seq + 1)
		row++;
	return row;
}

enum status my_moved_delete(const struct my_moved *moved, struct my_db *db, struct err *err)
{
	AUTO_BUF struct buf ranges = buf_init(BUF_NO_MAX), ends = buf_init(BUF_NO_MAX); /* RUNS_MAX */
	enum status status = STATUS_OK;
	uint64_t gone = 0;
	size_t runs = 0;

	for (size_t row = 0, end; row < moved->count && status == STATUS_OK; row = end + 1) {
		end = run_end(moved, row);
		if (end > row) {
			if (!ranges.len)
				begin_delete(db, &ranges);
			buf_printf(&ranges, "%s(id >= %" PRIu64 " AND id < %" PRIu64 ")", ranges.bytes[ranges.len - 1] == ' ' ? "(" : " OR ",
				moved->rows[row].seq, moved->rows[end].seq);
		}
		if (!ends.len) {
			begin_delete(db, &ends);
			buf_text(&ends, "id IN (");
		}
		buf_printf(&ends, "%s%" PRIu64, ends.bytes[ends.len - 1] == '(' ? "" : ", ", moved->rows[end].seq);
		if (++runs % RUNS_MAX && end + 1 < moved->count)
			continue;
		if (ranges.len)
			status = run_delete(db, &ranges, &gone, err);
		if (status == STATUS_OK)
			status = run_delete(db, &ends, &gone, err);
	}
	if (status == STATUS_OK && gone != moved->count)
		return err_set(err, STATUS_UNAVAILABLE, "of %zu rows of the outbox %" PRIu64 " could be moved: somebody else deletes from %s",
			moved->count, gone, db->config->outbox);
	return status;
}
