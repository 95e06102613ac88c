/* The triggers of one watched table, and the shape of the rows that they write. */
#ifndef ESINK_SQLITE_CAPTURE_H
#define ESINK_SQLITE_CAPTURE_H

#include "source/fingerprint.h"
#include "source/sqlite/catalog.h"

#define CAPTURE_MAX_SLOTS 1900 /* columns of esink_event that values may use; SQLite allows 2000 in a table */
#define CAPTURE_TRIGGERS 4
/* A value that was too long for the record, both spellings of it. An application that writes this very value has its row told
 * as one that is too long. */
#define CAPTURE_TOO_LONG "\033esink: too long"
#define CAPTURE_TOO_LONG_SQL "x'1b6573696e6b3a20746f6f206c6f6e67'"

struct slot {
	size_t column;
	int side; /* 0: the row; 1: the row before an update */
	bool sent, route;
};

struct shape {
	const struct lite_table *table;
	struct slot *slots; /* v1 is slots[0] */
	size_t count, front; /* front: those of side 0, which come first */
	bool whole;          /* false: keys alone may leave the table */
	bool old;            /* the row before an update is told, too, be it nothing but its key */
	char word[FINGERPRINT_LEN + 1]; /* equal for equal shapes */
};

void lite_shape_make(const struct lite_table *table, struct shape *shape);
void lite_shape_finish(struct shape *shape);
/* The statements that write it down as shape id. */
void lite_shape_write(const struct shape *shape, int64_t id, struct buf *sql);

/* A trigger as sqlite_schema keeps it. */
struct lite_trigger {
	char *name, *sql;
};
/* Returns how many; the strings are the caller's. */
size_t lite_capture_triggers(const struct shape *shape, int64_t id, struct lite_trigger triggers[CAPTURE_TRIGGERS]);

#endif
