/* Rows of esink.read() and esink.read_tick() to events. */
#ifndef ESINK_PG_READER_H
#define ESINK_PG_READER_H

#include "esink/event.h"
#include "source/postgres/array.h"
#include "source/postgres/connection.h"
#include "source/today.h"

/* Zeroed but for today.rules. */
struct pg_reader {
	struct today today;
	struct pg_array users, old_users; /* reused */
};

/* The statements for this connection's database. Of esink.read() $1 to $3; of esink.read_tick(), for a small tick that is known (the same
 * rows, in half the time) $1 to $5. */
const char *pg_reader_sql(const struct pg *pg);
const char *pg_reader_tick_sql(const struct pg *pg);

/* A read that gave nothing although there are events behind `after`: they may lie in a big tick whose pages are not mapped
 * yet. Maps them; *mapped: there is such a tick, read again. May take seconds. */
enum status pg_reader_map(
	struct pg *pg, uint64_t after, int timeout_ms, bool *mapped, struct err *err) MUST_CHECK;

/* journal: 16 hex digits of the journal that is read. The event has one reference, the caller's. */
struct event *pg_reader_event(struct pg_reader *reader, const PGresult *row, const char *journal);
void pg_reader_finish(struct pg_reader *reader);

#endif
