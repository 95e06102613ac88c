/* What triggers wrote to events. One of each thread that reads. */
#ifndef ESINK_MYSQL_READER_H
#define ESINK_MYSQL_READER_H

#include "esink/event.h"
#include "source/mysql/chunk.h"
#include "source/mysql/form.h"
#include "source/span_list.h"
#include "source/today.h"

struct my_reader {
	const struct source_config *config;
	struct today today;
	struct my_form_shape *shapes; /* that were seen; bounded by the schema's history */
	size_t shape_count, shape_room;
	struct buf data, old, old_key, texts; /* of the last event */
	struct span_list users, old_users, values;
};

void my_reader_init(struct my_reader *reader, const struct source_config *config);
void my_reader_forget(struct my_reader *reader); /* shapes: another journal may number them anew */
void my_reader_finish(struct my_reader *reader);

enum status my_reader_event(struct my_reader *reader, const struct my_cells *cells, const char *journal, struct event **ret,
	struct err *err) MUST_CHECK;

#endif
