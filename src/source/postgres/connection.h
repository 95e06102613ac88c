/* One connection to PostgreSQL, and its life. Used by one thread at a time, which its calls block up to a deadline; they are
 * given up at once when the source's stop_fd is readable. A call that fails on the connection itself leaves it closed; the next
 * pg_connect() opens a new one. What is asked on it: statement.h. */
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

/* Waits for input (a notification) up to timeout_ms; true when a notification came. Any failure
 * shows at the next query. */
bool pg_wait_notify(struct pg *pg, int timeout_ms);
/* Sleeps, unless stopped. False: stopped. */
bool pg_pause(struct pg *pg, int timeout_ms);

#endif
