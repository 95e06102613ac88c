/* One row of the journal: some events that were moved together, one behind the other in the grammar of pack.h. */
#ifndef ESINK_MYSQL_CHUNK_H
#define ESINK_MYSQL_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "source/mysql/db.h"
#include "source/mysql/pack.h"

#define MY_CHUNK_EVENTS 256 /* of one chunk, at most; for its bytes see my_move_big() */

/* What a trigger wrote, as the outbox and the journal have it. Spans are the row's. */
struct my_cells {
	uint64_t id, seq; /* the event's; the outbox's */
	int64_t shape, at; /* ms since 1970 */
	int kind;
	struct span actor, data;
};

/* data NULL: it is kept beside the chunk. */
void my_chunk_add(struct buf *out, const struct my_cells *cells);

#define MY_CHUNK_SQL "SELECT id, events, data, big FROM esink_journal WHERE id > "

/* The statement that reads, of the events with id > after, at most max, and what shares a chunk with them. */
void my_chunk_statement(char *sql, size_t size, uint64_t after, uint64_t max);

struct my_chunk {
	uint64_t next, last; /* ids */
	struct my_pack pack;
	struct span big;
};

struct my_chunk my_chunk_of(MYSQL_ROW row, const unsigned long *lengths);
/* False: there are no more. What cannot be read is told as an event of which nothing is known. */
bool my_chunk_next(struct my_chunk *chunk, struct my_cells *cells);

#endif
