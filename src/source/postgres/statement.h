/* Statements on a connection, one at a time, on its thread, which they block until the result is there, or the next row of it. A failure
 * of the connection closes it (connection.h); one of the statement alone does not, unless the session is not what it was. */
#ifndef ESINK_PG_STATEMENT_H
#define ESINK_PG_STATEMENT_H

#include "source/postgres/connection.h"

/* One statement with text parameters (NULL: SQL NULL). *result is the caller's to PQclear().
 * timeout_ms <= 0: none. When the deadline passes the connection is closed, and the server's process
 * ended by the next pg_connect(). */
enum status pg_query(struct pg *pg, const char *sql, int count, const char *const *params,
	int timeout_ms, PGresult **result, struct err *err) MUST_CHECK;
/* The same for what takes a lock and judges by what it sees then: READ COMMITTED, whatever the database, the role or the
 * connection string has as its default. With an earlier snapshot two drains would give one id to two events. */
enum status pg_call(struct pg *pg, const char *sql, int count, const char *const *params,
	int timeout_ms, PGresult **result, struct err *err) MUST_CHECK;
/* Any number of statements in one text, one implicit transaction; results are thrown away. */
enum status pg_script(struct pg *pg, const char *sql, int timeout_ms, struct err *err) MUST_CHECK;

/* From here to the connection's end this very sql (the pointer, which must stay) is planned once, where no pooler stands between and
 * PG_PLANS are not planned yet: planning a small statement takes longer than it. The name, which stays as well, is what whoever looks at
 * the network sees of it then. */
enum status pg_plan(struct pg *pg, const char *name, const char *sql, struct err *err) MUST_CHECK;

/* Streaming: sends (name and sql as for pg_plan()), then one row (a PGRES_SINGLE_TUPLE result) a call; *result NULL at the end. */
enum status pg_stream_begin(struct pg *pg, const char *name, const char *sql, int count, const char *const *params,
	struct err *err) MUST_CHECK;
enum status pg_stream_next(
	struct pg *pg, int timeout_ms, PGresult **result, struct err *err) MUST_CHECK;

/* The status that an SQLSTATE stands for. */
enum status pg_status_of(const char *sqlstate);

static inline void cleanup_result(PGresult **result)
{
	PQclear(*result);
}
#define AUTO_RESULT __attribute__((cleanup(cleanup_result)))

/* Cells as C values; NULL is 0 or "". */
int64_t pg_int(const PGresult *result, int row, int column);
bool pg_bool(const PGresult *result, int row, int column);

#endif
