/* Sending a statement and collecting what comes back. Everything is sent without blocking and read meanwhile, since a server that blocks
 * on its own output would otherwise block us; every wait is the call's (call.h). A statement that the server refuses leaves the
 * connection as it is, unless what we know of the session is true no more: then it is closed, and the next one finds out anew.
 */
#include "source/postgres/statement.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "source/postgres/call.h"

/* Sends what libpq holds, reading meanwhile, since a server that blocks on its own output would
 * otherwise block us. */
static enum status flush_out(struct pg *pg, struct call *call, struct err *err)
{
	for (;;) {
		int left = PQflush(pg->conn);
		enum status status;

		if (left < 0)
			return call_lost(pg, err);
		if (left == 0)
			return STATUS_OK;
		status = call_wait(pg, POLLIN | POLLOUT, call, err);
		if (status != STATUS_OK)
			return status;
		if (!PQconsumeInput(pg->conn))
			return call_lost(pg, err);
	}
}

static enum status next_result(struct pg *pg, struct call *call, PGresult **result, struct err *err)
{
	while (PQisBusy(pg->conn)) {
		enum status status = call_wait(pg, POLLIN, call, err);

		if (status != STATUS_OK)
			return status;
		if (!PQconsumeInput(pg->conn))
			return call_lost(pg, err);
	}
	*result = PQgetResult(pg->conn);
	return STATUS_OK;
}

enum status pg_status_of(const char *sqlstate)
{
	static const struct {
		const char *prefix;
		enum status status;
	} known[] = {
		{"ES001", STATUS_GONE},
		{"ES002", STATUS_CONFLICT},
		{"ES003", STATUS_UNAVAILABLE},
		{"42501", STATUS_DENIED},
		{"42P01", STATUS_NOT_FOUND},
		{"3F000", STATUS_NOT_FOUND},
		{"57014", STATUS_TIMEOUT},
		{"55P03", STATUS_TOO_MANY},
		{"08", STATUS_UNAVAILABLE},
		{"57P", STATUS_UNAVAILABLE},
		{"53", STATUS_UNAVAILABLE},
		{"25006", STATUS_UNAVAILABLE},
		{"22", STATUS_INVALID},
		{"40", STATUS_CONFLICT},
		{"23505", STATUS_CONFLICT},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strncmp(sqlstate, known[i].prefix, strlen(known[i].prefix)) == 0)
			return known[i].status;
	return STATUS_FAILED;
}

/* OK for a result that is no error; otherwise its text. Data exceptions (class 22) quote the value:
 * never shown. */
static enum status check_result(struct pg *pg, const PGresult *result, struct err *err)
{
	ExecStatusType kind = PQresultStatus(result);
	const char *state, *text;
	enum status status;

	if (kind == PGRES_TUPLES_OK || kind == PGRES_COMMAND_OK || kind == PGRES_SINGLE_TUPLE ||
		kind == PGRES_EMPTY_QUERY)
		return STATUS_OK;
	state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	if (!state)
		return call_lost(pg, err);
	status = pg_status_of(state);
	text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	if (status == STATUS_INVALID)
		text = "a value does not fit its type";
	if (strcmp(state, "ES003") == 0)
		pg_close(pg); /* what detect_pooler() found out is true no more */
	return err_set(err, status, "PostgreSQL: %s (SQLSTATE %s)", text ? text : "error", state);
}

/* Collects results up to the end; keeps the last good one in *kept where asked. */
static enum status collect(struct pg *pg, struct call *call, PGresult **kept, struct err *err)
{
	enum status outcome = STATUS_OK;

	for (;;) {
		PGresult *result = NULL;
		enum status status = next_result(pg, call, &result, err);

		if (status != STATUS_OK)
			return status;
		if (!result)
			return outcome;
		status = check_result(pg, result, outcome == STATUS_OK ? err : NULL);
		if (outcome == STATUS_OK)
			outcome = status;
		if (kept && status == STATUS_OK) {
			PQclear(*kept);
			*kept = result;
		} else {
			PQclear(result);
		}
		if (!pg->conn)
			return outcome;
	}
}

/* -1: not planned, and no place is left. */
static int plan_place(const struct pg *pg, const char *sql)
{
	for (int i = 0; i < PG_PLANS; i++)
		if (!pg->planned[i].sql || pg->planned[i].sql == sql)
			return i;
	return -1;
}

static bool send_statement(struct pg *pg, const char *sql, int count, const char *const *params)
{
	int place = plan_place(pg, sql);

	return place >= 0 && pg->planned[place].sql
		       ? PQsendQueryPrepared(pg->conn, pg->planned[place].name, count, params, NULL, NULL, 0)
		       : PQsendQueryParams(pg->conn, sql, count, NULL, params, NULL, NULL, 0);
}

enum status pg_query(struct pg *pg, const char *sql, int count, const char *const *params,
	int timeout_ms, PGresult **result, struct err *err)
{
	struct call call = call_begin(timeout_ms);
	PGresult *got = NULL;
	enum status status;

	pg->statement = sql;
	if (!pg->conn || !send_statement(pg, sql, count, params))
		return call_lost(pg, err);
	status = flush_out(pg, &call, err);
	if (status == STATUS_OK)
		status = collect(pg, &call, &got, err);
	if (status != STATUS_OK) {
		PQclear(got);
		return status;
	}
	*result = got;
	return STATUS_OK;
}

enum status pg_script(struct pg *pg, const char *sql, int timeout_ms, struct err *err)
{
	struct call call = call_begin(timeout_ms);
	enum status status;

	pg->statement = sql;
	if (!pg->conn || !PQsendQuery(pg->conn, sql))
		return call_lost(pg, err);
	status = flush_out(pg, &call, err);
	return status == STATUS_OK ? collect(pg, &call, NULL, err) : status;
}

enum status pg_call(struct pg *pg, const char *sql, int count, const char *const *params,
	int timeout_ms, PGresult **result, struct err *err)
{
	enum status status = STATUS_OK;
	struct err ignored;

	if (pg->strict)
		status = pg_script(pg,
			PQserverVersion(pg->conn) >= 170000
				? "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 0; "
				  "SET LOCAL transaction_timeout = 0"
				: "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = 0",
			timeout_ms, err);
	if (status == STATUS_OK)
		status = pg_query(pg, sql, count, params, timeout_ms, result, err);
	if (!pg->strict)
		return status;
	if (status == STATUS_OK)
		return pg_script(pg, "COMMIT", timeout_ms, err);
	if (pg->conn && pg_script(pg, "ROLLBACK", timeout_ms, &ignored) != STATUS_OK)
		pg_close(pg);
	return status;
}

/* The session of a pooler is not ours to keep anything in. */
enum status pg_plan(struct pg *pg, const char *name, const char *sql, struct err *err)
{
	struct call call = call_begin(PG_CONNECT_TIMEOUT_MS);
	int place = plan_place(pg, sql);
	enum status status;

	if (pg->pooled || place < 0 || pg->planned[place].sql)
		return STATUS_OK;
	pg->statement = sql;
	if (!pg->conn || !PQsendPrepare(pg->conn, name, sql, 0, NULL))
		return call_lost(pg, err);
	status = flush_out(pg, &call, err);
	if (status == STATUS_OK)
		status = collect(pg, &call, NULL, err);
	if (status == STATUS_OK) {
		pg->planned[place].name = name;
		pg->planned[place].sql = sql;
	}
	return status;
}

enum status pg_stream_begin(
	struct pg *pg, const char *name, const char *sql, int count, const char *const *params, struct err *err)
{
	struct call call;
	enum status status;

	pg->statement = sql;
	status = pg_plan(pg, name, sql, err);
	if (status != STATUS_OK)
		return status;
	call = call_begin(PG_CONNECT_TIMEOUT_MS);
	if (!pg->conn || !send_statement(pg, sql, count, params) || !PQsetSingleRowMode(pg->conn))
		return call_lost(pg, err);
	return flush_out(pg, &call, err);
}

/* The planned statement is gone, or no longer gives what it gave: somebody in between is a pooler, or did DEALLOCATE or DDL. */
static bool is_plan_lost(const struct pg *pg, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return pg->planned[0].sql && state && (!strcmp(state, "26000") || !strcmp(state, "0A000"));
}

enum status pg_stream_next(struct pg *pg, int timeout_ms, PGresult **result, struct err *err)
{
	struct call call = call_begin(timeout_ms);
	PGresult *got = NULL;
	enum status status = next_result(pg, &call, &got, err);

	if (status != STATUS_OK)
		return status;
	if (got && PQresultStatus(got) == PGRES_SINGLE_TUPLE) {
		*result = got;
		return STATUS_OK;
	}
	if (got) {
		/* The closing result, or an error: nothing but the terminating NULL follows. */
		enum status rest;
		bool lost = is_plan_lost(pg, got);

		status = check_result(pg, got, err);
		PQclear(got);
		if (lost)
			pg_close(pg); /* a new session plans it anew */
		if (pg->conn) {
			rest = collect(pg, &call, NULL, status == STATUS_OK ? err : NULL);
			status = status == STATUS_OK ? rest : status;
		}
		if (status != STATUS_OK)
			return status;
	}
	*result = NULL;
	return STATUS_OK;
}

int64_t pg_int(const PGresult *result, int row, int column)
{
	return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

bool pg_bool(const PGresult *result, int row, int column)
{
	return PQgetvalue(result, row, column)[0] == 't';
}
