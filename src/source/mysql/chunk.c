/* A row of the journal for each event would cost the server ten times what one for some of them does: its processor, on which the
 * application's writers are waiting, spends its time on rows, hardly on bytes. Small enough all the same that whoever wants one
 * event does not read much beside it.
 *
 * An event that is larger than statements may be is a chunk by itself, whose bytes the server copies from the outbox to the column
 * `big`. Nothing here trusts the table: whoever may write to the application's database may have written into it.
 */
#include "source/mysql/chunk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum cell { ID, EVENTS, DATA, BIG };

void my_chunk_add(struct buf *out, const struct my_cells *cells)
{
	my_pack_add_number(out, (int64_t)cells->seq);
	my_pack_add_number(out, cells->shape);
	my_pack_add_number(out, cells->kind);
	my_pack_add_number(out, cells->at);
	my_pack_add(out, cells->actor);
	my_pack_add(out, cells->data);
}

void my_chunk_statement(char *sql, size_t size, uint64_t after, uint64_t max)
{
	snprintf(sql, size, MY_CHUNK_SQL "%" PRIu64 " AND id <= %" PRIu64 " AND id < events + %" PRIu64 " ORDER BY id", after,
		after + max + MY_CHUNK_EVENTS, after + max);
}

struct my_chunk my_chunk_of(MYSQL_ROW row, const unsigned long *lengths)
{
	uint64_t last = strtoull(row[ID], NULL, 10), written = strtoull(row[EVENTS], NULL, 10);
	uint64_t events = written < MY_CHUNK_EVENTS ? written : MY_CHUNK_EVENTS;
	struct span data = {row[DATA], row[DATA] ? lengths[DATA] : 0};

	return (struct my_chunk){.next = last - (events < last ? events : last) + 1, .last = last, .pack = my_pack_of(data),
		.big = {row[BIG], row[BIG] ? lengths[BIG] : 0}};
}

bool my_chunk_next(struct my_chunk *chunk, struct my_cells *cells)
{
	struct my_pack *pack = &chunk->pack;
	struct my_cells next = {.id = chunk->next};

	if (chunk->next > chunk->last)
		return false;
	chunk->next++;
	next.seq = (uint64_t)my_pack_next_number(pack);
	next.shape = my_pack_next_number(pack);
	next.kind = (int)my_pack_next_number(pack);
	next.at = my_pack_next_number(pack);
	next.actor = my_pack_next(pack);
	next.data = my_pack_next(pack);
	if (!next.data.p)
		next.data = chunk->big;
	if (pack->bad)
		next = (struct my_cells){.id = next.id};
	*cells = next;
	return true;
}
