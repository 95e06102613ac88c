/* One connection to PostgreSQL: blocking calls with a deadline, given up at once when the source's
 * stop_fd is readable. Used by one thread at a time. A call that fails on the connection itself
 * leaves it closed; the next pg_connect() opens a new one. */
#ifndef ESINK_PG_CONNECTION_H
#define ESINK_PG_CONNECTION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "esink/status.h"

#define PG_PLANS 3

struct pg {
	PGconn *conn; /* NULL: closed */
	int stop_fd;  /* -1: nothing interrupts */
	bool pooled; /* a transaction-mode pooler sits between: no LISTEN, nothing that belongs to a
			session */
	bool strict; /* a transaction that says nothing has one snapshot (REPEATABLE READ or SERIALIZABLE), or a time-out of the server ends it */
	/* Calls then end a few seconds after the server has stopped working on them, and need no deadline; see
	 * watch.c. NULL: they do not. Borrowed. */
	const char *watch_url;
	const char *statement; /* of the call under way */
	struct {
		const char *name, *sql;
	} planned[PG_PLANS]; /* statements that this session keeps planned; NULL behind the last */
	char began[32];        /* when the server's process did: with its id it is never another's */
	int left;              /* a process of a connection that we gave up; 0: none */
	char left_began[32];
	struct err lost; /* why it was closed */
};

#define PG_CONNECT_TIMEOUT_MS 5000 /* for each host that the connection string names */
#define PG_MAX_PARAMS 16

/* SQL: the schema that a bare table name means. Not current_schema(): search_path begins with
 * "$user", which for a role called esink is our own schema once that is there. */
#define PG_DEFAULT_SCHEMA \
	"(pg_catalog.array_remove(pg_catalog.current_schemas(false), 'esink'::pg_catalog.name))[1]"

/* Tries the hosts that url names in their order, each for at most timeout_ms. */
enum status pg_connect(
	struct pg *pg, const char *url, int timeout_ms, struct err *err) MUST_CHECK;
void pg_close(struct pg *pg);
/* Open, as far as can be told without asking the server. */
bool pg_is_open(struct pg *pg);

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

/* Waits for input (a notification) up to timeout_ms; true when a notification came. Any failure
 * shows at the next query. */
bool pg_wait_notify(struct pg *pg, int timeout_ms);
/* Sleeps, unless stopped. False: stopped. */
bool pg_pause(struct pg *pg, int timeout_ms);

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
