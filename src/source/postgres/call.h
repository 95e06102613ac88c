/* One call to the server: how long it may take, and the wait for it, which blocks the connection's thread. A call that is given up
 * (stopped, too late, or nobody will ever answer) closes the connection, and pg->lost says why to those that come after it. */
#ifndef ESINK_PG_CALL_H
#define ESINK_PG_CALL_H

#include "source/postgres/connection.h"

struct call {
	int64_t deadline; /* 0: none */
	int64_t begun, alive; /* the last sign of the server's */
};

/* From now; timeout_ms <= 0: no deadline. */
struct call call_begin(int timeout_ms);
/* Waits for events (of poll()) on the open connection's socket for as long as the call may take; gives up the connection otherwise. */
enum status call_wait(struct pg *pg, short events, struct call *call, struct err *err) MUST_CHECK;
/* The wait alone, of which nothing is closed: STATUS_STOPPED, STATUS_TIMEOUT. deadline 0: none. */
enum status call_poll(const struct pg *pg, short events, int64_t deadline) MUST_CHECK;
/* libpq says that the connection is gone, or there was none: gives it up. Never STATUS_OK. */
enum status call_lost(struct pg *pg, struct err *err);

#endif
