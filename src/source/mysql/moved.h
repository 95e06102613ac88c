/* The rows of one move, while they are in nobody's hands but ours. */
#ifndef ESINK_MYSQL_MOVED_H
#define ESINK_MYSQL_MOVED_H

#include "source/mysql/chunk.h"

struct my_moved {
	struct my_moved_row {
		uint64_t seq;
		int64_t shape, at;
		int kind;
		bool big; /* its data is not in statements: the server copies it */
		struct my_moved_text {
			bool null;
			size_t at, len; /* in bytes */
		} actor, data;
	} *rows; /* ascending by seq */
	size_t count, room;
	struct buf bytes;
};

void my_moved_init(struct my_moved *moved);
void my_moved_finish(struct my_moved *moved);
void my_moved_clear(struct my_moved *moved);
/* data NULL: my_moved_set_data() comes. */
void my_moved_add(struct my_moved *moved, const struct my_cells *cells);
void my_moved_set_data(struct my_moved *moved, size_t row, struct span data);
/* Spans are good until the next row is added. */
struct my_cells my_moved_cells(const struct my_moved *moved, size_t row, uint64_t head);

/* Within the move's transaction: into the journal behind head, and out of the outbox. packet: the server's max_allowed_packet. */
enum status my_moved_write(const struct my_moved *moved, struct my_db *db, uint64_t head, int64_t packet, struct err *err) MUST_CHECK;
enum status my_moved_delete(const struct my_moved *moved, struct my_db *db, struct err *err) MUST_CHECK;

#endif
