/* Rows of the journal to events. One of each thread that reads. */
#ifndef ESINK_SQLITE_READER_H
#define ESINK_SQLITE_READER_H

#include "base/map.h"
#include "esink/event.h"
#include "source/sqlite/db.h"
#include "source/span_list.h"
#include "source/today.h"

struct form;

/* ?1 the lowest id, ?2 how many at most. */
#define READER_SQL "SELECT * FROM esink_event WHERE id >= ?1 ORDER BY id LIMIT ?2"

struct reader {
	struct today today;
	const char *source; /* the file's name */
	struct form *forms; /* shapes that were seen, by id; of one file, bounded by its schema's history */
	size_t form_count, form_room;
	struct buf data, old, old_key, json; /* of the last event */
	struct span_list users, old_users;
	struct buf texts; /* users that are not text in the row */
	sqlite3_stmt *json_stmt, *list_stmt;
};

void lite_reader_init(struct reader *reader, const struct ruleset *rules, const char *path);
void lite_reader_forget(struct reader *reader); /* before the connection is closed */
void lite_reader_finish(struct reader *reader);

static inline uint64_t lite_reader_id(sqlite3_stmt *row)
{
	return (uint64_t)sqlite3_column_int64(row, 0);
}

static inline double lite_reader_at(sqlite3_stmt *row)
{
	return sqlite3_column_double(row, 3);
}

/* The event of a row of READER_SQL. */
enum status lite_reader_event(struct reader *reader, struct db *db, sqlite3_stmt *row, const char *journal, struct event **ret,
	struct err *err) MUST_CHECK;

#endif
