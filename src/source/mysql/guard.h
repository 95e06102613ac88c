/* Looks, between reading rows and writing them down, whether they can be what their shapes say. */
#ifndef ESINK_MYSQL_GUARD_H
#define ESINK_MYSQL_GUARD_H

#include "source/mysql/fit.h"
#include "source/mysql/moved.h"

struct my_guard {
	struct my_guard_shape {
		struct my_form_shape shape;
		bool withholds, judged, present; /* present: rows of it are among those being moved */
		struct buf layout;               /* the columns that it was judged by */
		enum my_fit fit;
	} *shapes; /* that were seen; bounded by the schema's history */
	size_t count, room;
	int64_t unsure_since; /* ms, monotonic; 0: we are not */
	enum { GUARD_UNKNOWN, GUARD_IDLE, GUARD_ON } state; /* IDLE: neither the rules nor a shape keep anything back */
	bool doubt;           /* the rows that were moved last had a shape that does not fit */
};

void my_guard_forget(struct my_guard *guard);
void my_guard_finish(struct my_guard *guard);
/* Of rows that were read from the outbox: what is in doubt is marked. STATUS_TOO_MANY: a table is being altered at this moment; leave
 * them where they are and try again soon. */
enum status my_guard_moved(struct my_guard *guard, struct my_db *db, struct my_moved *moved, struct err *err) MUST_CHECK;

#endif
