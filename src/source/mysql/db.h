/* A connection to the server. It is used by one thread at a time, and its calls block that one; a call that fails on the connection
 * itself leaves it closed. */
#ifndef ESINK_MYSQL_DB_H
#define ESINK_MYSQL_DB_H

#include <mysql.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "esink/source.h"

struct my_db {
	const struct source_config *config;
	MYSQL *conn; /* NULL: closed */
	MYSQL_RES *stream;
	MYSQL_STMT *stmt; /* the one prepared statement of a connection */
	bool maria;       /* MariaDB, not MySQL */
	unsigned error;   /* of the last call that failed; error.h */
	int idle_s;       /* as my_connect() was told */
	int nudge_fd;     /* my_wait() ends when it is readable; -1: none */
};

#define MY_CONNECT_TIMEOUT_MS 5000
#define MY_TIMEOUT_MS 10000 /* of what is short whatever the database holds */

/* probe.c: whether the server still has the connection of db, asked on another one. True also where nobody can say. */
bool my_probe(const struct my_db *db);

/* idle_s: the server ends the connection, and with it its locks, after so long without a statement, or
 * in the middle of one, and we ask when a statement is silent for so long; 0: its own default. */
enum status my_connect(struct my_db *db, int timeout_ms, int idle_s, struct err *err) MUST_CHECK;
void my_close(struct my_db *db);
/* Sleeps, unless stopped or nudged. False: stopped. */
bool my_wait(struct my_db *db, int timeout_ms);

/* One statement; a result is thrown away. timeout_ms 0: none. */
enum status my_run(struct my_db *db, const char *sql, int timeout_ms, struct err *err) MUST_CHECK;
enum status my_run_buf(struct my_db *db, const struct buf *sql, int timeout_ms, struct err *err) MUST_CHECK;
uint64_t my_changed(const struct my_db *db); /* rows of the last my_run() */
/* *result is the caller's to mysql_free_result(). */
enum status my_query(struct my_db *db, const char *sql, int timeout_ms, MYSQL_RES **result, struct err *err) MUST_CHECK;
/* One integer of one row; NULL is 0. STATUS_NOT_FOUND: no row. */
enum status my_number(struct my_db *db, const char *sql, int64_t *ret, struct err *err) MUST_CHECK;

/* Row by row; *row NULL at the end. */
enum status my_stream_begin(struct my_db *db, const char *sql, int timeout_ms, struct err *err) MUST_CHECK;
enum status my_stream_next(struct my_db *db, int timeout_ms, MYSQL_ROW *row, unsigned long **lengths, struct err *err) MUST_CHECK;

/* Becomes the connection's one prepared statement. */
enum status my_prepare(struct my_db *db, const char *sql, int timeout_ms, struct err *err) MUST_CHECK;
/* One without rows. A failure of the statement's own ends it. */
enum status my_execute_write(struct my_db *db, MYSQL_BIND *params, int timeout_ms, struct err *err) MUST_CHECK;
/* A look-up, with text parameters that are all the same one, and rows of two texts: rows (at most two are looked at) into *count; the first one's first column, at most size bytes of it, into value; *len more
 * than size: too long; SIZE_MAX: NULL. */
enum status my_execute(struct my_db *db, struct span param, int timeout_ms, int *count, char *value, size_t size, size_t *len,
	struct err *err) MUST_CHECK;

#define AUTO_RESULT __attribute__((cleanup(my_cleanup_result)))
static inline void my_cleanup_result(MYSQL_RES **result)
{
	if (*result)
		mysql_free_result(*result);
}

/* As sentences name it. */
static inline const char *my_host(const struct source_config *config)
{
	return config->host ? config->host : "localhost";
}

static inline int64_t my_int(const char *cell)
{
	return cell ? strtoll(cell, NULL, 10) : 0;
}

#endif
