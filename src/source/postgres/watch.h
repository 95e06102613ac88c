/* Whether the server still works on a statement that says nothing, and the end of what it still does for connections that
 * we gave up. */
#ifndef ESINK_PG_WATCH_H
#define ESINK_PG_WATCH_H

#include "source/postgres/connection.h"

enum pg_life {
	PG_WORKS,   /* it does, or we are stopping */
	PG_IDLE,    /* it does not, or waits for us: the answer is here at once, or lost */
	PG_REFUSED, /* somebody answers, but does not let us in to look */
	PG_SILENT   /* nobody answers a new connection either */
};

/* By a connection of its own. pg has a watch_url. */
enum pg_life watch_look(const struct pg *pg);

/* Before the connection of an unfinished call is closed. */
void watch_leave(struct pg *pg);
/* After another one was opened. Failures are no matter. */
void watch_end_left(struct pg *pg);

#endif
