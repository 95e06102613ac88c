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

#define PG_EVENT_COLUMNS                                                                           \
	"SELECT id, seq, xid, at_ms, topic, type, data, old, old_key, users, old_users, "          \
	"broadcast, incomplete, "                                                                  \
	"actor, source, source_type, version, ref, "                                               \
	"(SELECT " PG_DEFAULT_SCHEMA ") FROM "
#define PG_READ_SQL PG_EVENT_COLUMNS "esink.read($1::bigint, $2::bigint, $3::bigint)"
/* A small tick that is known: the same rows, in half the time. */
#define PG_READ_TICK_SQL                                                                           \
	PG_EVENT_COLUMNS                                                                           \
	"esink.read_tick($1::bigint, $2::bigint, $3::xid8[], $4::xid8[], $5::integer)"

/* A read that gave nothing although there are events behind `after`: they may lie in a big tick whose pages are not mapped
 * yet. Maps them; *mapped: there is such a tick, read again. May take seconds. */
enum status pg_reader_map(
	struct pg *pg, uint64_t after, int timeout_ms, bool *mapped, struct err *err) MUST_CHECK;

/* journal: 16 hex digits of the journal that is read. The event has one reference, the caller's. */
struct event *pg_reader_event(struct pg_reader *reader, const PGresult *row, const char *journal);
void pg_reader_finish(struct pg_reader *reader);

#endif
