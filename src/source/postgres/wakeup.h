/* When to look next: the switch between a relay that sleeps until a writer NOTIFYs and one that is
 * awake and looks by itself.
 *
 * A NOTIFY at commit takes a lock of the whole server: at 16 clients it costs more than everything
 * else that a trigger does. So triggers read a sequence that says whether the relay sleeps, and
 * only then NOTIFY. The relay goes awake after several quick drains in a row, and at once where writers wait for that lock (which
 * keeps them slow, so that their drains are not quick); it looks again every 1 ms while there are events, goes to sleep after 30 ms without any, looks once more (a writer may
 * have read «awake» just before), and then waits on its socket, with a short back-stop first and a
 * long one later. Where triggers cannot NOTIFY (two-phase commit is enabled) or we cannot LISTEN (a
 * pooler), it stays awake and looks often.
 */
#ifndef ESINK_PG_WAKEUP_H
#define ESINK_PG_WAKEUP_H

#include <stdbool.h>
#include <stdint.h>

#include "source/postgres/connection.h"

struct wakeup {
	bool can_sleep; /* triggers NOTIFY and we LISTEN */
	bool asleep; /* writers may believe it */
	int quick;        /* looks in a row that followed each other quickly */
	int back_stop_ms; /* POLL_INTERVAL_MS */
	int naps;         /* waits since the last event */
	int64_t last_us;  /* when events came last, monotonic */
	int64_t began_us; /* the look under way, or the last one: when it began */
	int64_t ended_us; /* the last one: when all that it found had been read */
	int much;         /* looks in a row, up to it, that found so much that their pause is the longest */
	int64_t next_us;  /* not before it, while awake */
};

struct wakeup_look {
	bool found;   /* events */
	bool asleep;  /* what writers believe */
	bool crowded; /* they wait for NOTIFY's lock */
};

/* After connecting: finds out what is possible, and tells writers that we are awake. */
enum status wakeup_start(
	struct wakeup *wakeup, struct pg *pg, int back_stop_ms, struct err *err) MUST_CHECK;
/* So many events came. */
enum status wakeup_busy(struct wakeup *wakeup, struct pg *pg, uint64_t count, struct err *err) MUST_CHECK;
/* What a look saw. Another relay of the database that ends or wakes up tells writers that nobody sleeps: where it found events it is
 * busy, and so are we; else we tell them again. Where they wait for each other's NOTIFY, whoever sees it stays awake. */
enum status wakeup_seen(
	struct wakeup *wakeup, struct pg *pg, const struct wakeup_look *look, struct err *err) MUST_CHECK;
/* Before the next look, while awake: waits until it is time. */
enum status wakeup_pace(struct wakeup *wakeup, struct pg *pg, struct err *err) MUST_CHECK;
/* Everything that the look found has been read. */
void wakeup_looked(struct wakeup *wakeup);
/* None came: waits for as long as is right now, at most until_ms. The caller then looks again. */
enum status wakeup_idle(
	struct wakeup *wakeup, struct pg *pg, int until_ms, struct err *err) MUST_CHECK;
/* Leaves writers believing that we are awake, so that none pays for an absent relay. */
void wakeup_finish(struct wakeup *wakeup, struct pg *pg);

#endif
