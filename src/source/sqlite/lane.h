/* One lane: a connection of its own and the statements that are compiled on it. */
#ifndef ESINK_SQLITE_LANE_H
#define ESINK_SQLITE_LANE_H

#include "source/mark_budget.h"
#include "source/sqlite/sqlite.h"

#define LITE_CONSUMER_STATEMENTS 16

struct lane {
	const struct source_config *config;
	struct db db;
	struct reader reader;
	sqlite3_stmt *lookup, *append, *journal, *read, *range, *time;
	sqlite3_stmt *consumer[LITE_CONSUMER_STATEMENTS]; /* consumers.c */
	struct mark_budget marks;
	char known[JOURNAL_LEN + 1]; /* the journal whose shapes the reader has */
};

/* Connects where there is no connection, or one to a file that is no longer the one under its name. Locks are waited for until
 * then, and statements end. */
enum status lite_lane_ready(struct lane *lane, int timeout_ms, struct err *err) MUST_CHECK;
enum status lite_lane_prepared(struct lane *lane, const char *sql, sqlite3_stmt **stmt, struct err *err) MUST_CHECK;

#endif
