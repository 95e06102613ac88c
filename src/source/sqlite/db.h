/* A connection to the database file, and SQLite's result codes as sentences. A connection is used by one thread at a time. */
#ifndef ESINK_SQLITE_DB_H
#define ESINK_SQLITE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "esink/span.h"
#include "esink/status.h"

struct db {
	sqlite3 *conn;
	const char *path; /* as configured, for sentences; borrowed */
	int stop_fd;      /* readable: waits and statements end with STATUS_STOPPED; -1: none */
	int64_t deadline; /* ms, monotonic: until then locks are waited for; 0: not at all */
	bool hurry;       /* the deadline ends statements, too */
	dev_t dev;
	ino_t ino; /* of the file that is open, which may have been replaced under its name */
};

/* STATUS_UNAVAILABLE: locked, or (without create) not there; INVALID: no database; DENIED: a right is missing. */
enum status db_open(struct db *db, bool create, struct err *err) MUST_CHECK;
/* Leaves the files of another database under the same name alone. NULL handles are fine. */
void db_close(struct db *db);
/* Another file, or none, is under our name by now. */
bool db_is_moved(const struct db *db);
/* What every commit to the log changes, read from the memory that SQLite's processes share: no lock, no system call. false: not
 * to be had, as before the first read. What is torn differs from what it becomes. */
struct db_mark {
	uint32_t words[12];
};
enum { DB_MARK_COMMITS = 2 }; /* the word that counts them, modulo 2^32 */
bool db_mark(const struct db *db, struct db_mark *mark);
/* How many pages the log holds, and how many of those were copied into the file; the same memory, as careless a look. */
struct db_log {
	uint32_t pages, copied;
};
bool db_log(const struct db *db, struct db_log *log);
void db_wait(struct db *db, int ms); /* locks are waited for so long from now on */

/* All statements of sql; what they return is not looked at. */
enum status db_run(struct db *db, const char *sql, struct err *err) MUST_CHECK;
enum status db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret, struct err *err) MUST_CHECK;
/* A row: STATUS_OK; the end: STATUS_NOT_FOUND; anything else: reset the statement. */
enum status db_step(struct db *db, sqlite3_stmt *stmt, struct err *err) MUST_CHECK;
/* Steps to the end: for what returns nothing. */
enum status db_finish_step(struct db *db, sqlite3_stmt *stmt, struct err *err) MUST_CHECK;
/* One integer of one row; STATUS_NOT_FOUND: none. */
enum status db_number(struct db *db, const char *sql, int64_t *ret, struct err *err) MUST_CHECK;

bool db_bind_text(sqlite3_stmt *stmt, int at, const char *text); /* copied; NULL binds NULL */
struct span db_bytes(sqlite3_stmt *stmt, int column); /* a text's or a blob's; p NULL: NULL */

#define AUTO_STMT __attribute__((cleanup(db_cleanup_stmt)))
static inline void db_cleanup_stmt(sqlite3_stmt **stmt)
{
	sqlite3_finalize(*stmt);
}

#endif
