/* What the bytes of a journal row mean: a shape, as it was written down when its triggers were made. */
#ifndef ESINK_MYSQL_FORM_H
#define ESINK_MYSQL_FORM_H

#include "source/mysql/catalog.h"

enum my_form_sent { FORM_WITHHELD, FORM_SENT, FORM_SUSPECT };

struct my_form_slot {
	char *name;
	int side; /* 0: the row; 1: the row before an update */
	bool sent, route, key;
	enum my_form form;
};

/* All columns of the table, in table order: see recall.c. */
struct my_form_column {
	char *name;
	enum my_form_sent sent;
	bool doubt; /* fit.c: its name may have come to be another column's while rows were written */
};

struct my_form_shape {
	int64_t id;
	char *topic;
	bool in_default_schema, broadcast, whole, old_rows;
	struct my_form_slot *slots;
	size_t count;
	struct my_form_column *columns;
	size_t column_count;
};

/* The columns of MY_SHAPES_SQL, by topic and word: the shapes that triggers of today write, the oldest first. */
enum { SHAPE_TOPIC, SHAPE_WORD, SHAPE_ID, SHAPE_LAYOUT };
#define MY_SHAPES_SQL "SELECT topic, word, id, layout FROM esink_shape WHERE retired IS NULL ORDER BY id"

/* The text that esink_shape.layout keeps, and back. A layout that cannot be read gives a shape without slots. */
void my_form_write(const struct my_form_shape *shape, struct buf *out);
void my_form_read(struct span layout, struct my_form_shape *shape);
/* STATUS_NOT_FOUND: nobody wrote it down. */
enum status my_form_load(struct my_db *db, int64_t id, struct my_form_shape *shape, struct err *err) MUST_CHECK;
void my_form_finish(struct my_form_shape *shape);

#endif
