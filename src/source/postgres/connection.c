/* libpq's asynchronous calls under a poll() of our own, because its blocking ones can neither be
 * interrupted nor given a deadline: a network that was cut without a word would hold a thread for
 * hours.
 *
 * A server that stops answering is noticed in two ways: TCP keep-alives and tcp_user_timeout on an
 * idle connection, and the deadline of each call. After either the connection is thrown away;
 * nothing is ever retried on it.
 */
#include "source/postgres/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* Sets what the user's connection string does not. The values are for a relay that must notice a
 * dead server in seconds. */
static const char *const connection_keywords[] = {"dbname", "fallback_application_name",
	"client_encoding", "connect_timeout", "keepalives_idle", "keepalives_interval",
	"keepalives_count", "tcp_user_timeout", NULL};

static int remaining(int64_t deadline)
{
	int64_t left;

	if (!deadline)
		return -1;
	left = deadline - clock_ms();
	return left < 0 ? 0 : (int)left;
}

static int64_t deadline_in(int timeout_ms)
{
	return timeout_ms > 0 ? clock_ms() + timeout_ms : 0;
}

/* Waits for events on the connection's socket. */
static enum status wait_socket(struct pg *pg, short events, int64_t deadline)
{
	struct pollfd fds[2] = {{PQsocket(pg->conn), events, 0}, {pg->stop_fd, POLLIN, 0}};
	int n;

	do
		n = poll(fds, 2, remaining(deadline));
	while (n < 0 && errno == EINTR);
	if (fds[1].revents)
		return STATUS_STOPPED;
	if (n == 0)
		return STATUS_TIMEOUT;
	return n < 0 ? STATUS_FAILED : STATUS_OK;
}

static enum status connection_lost(struct pg *pg, struct err *err)
{
	/* libpq's text may run over lines; the first tells. */
	const char *text = pg->conn ? PQerrorMessage(pg->conn) : "closed";
	int len = (int)strcspn(text, "\n");

	err_set(err, STATUS_UNAVAILABLE, "PostgreSQL connection: %.*s", len, text);
	pg_close(pg);
	return STATUS_UNAVAILABLE;
}

static enum status give_up(struct pg *pg, enum status status, struct err *err)
{
	PGcancel *cancel = pg->conn && status == STATUS_TIMEOUT ? PQgetCancel(pg->conn) : NULL;
	char text[256];

	if (cancel) {
		PQcancel(cancel, text, sizeof(text));
		PQfreeCancel(cancel);
	}
	pg_close(pg);
	return err_set(err, status,
		status == STATUS_TIMEOUT ? "PostgreSQL did not answer in time" : "stopped");
}

void pg_close(struct pg *pg)
{
	if (pg->conn)
		PQfinish(pg->conn);
	pg->conn = NULL;
}

/* A transaction-mode pooler invents the process id that libpq was told. */
static enum status detect_pooler(struct pg *pg, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status =
		pg_query(pg, "SELECT pg_catalog.pg_backend_pid()", 0, NULL, 10000, &result, err);

	if (status == STATUS_OK)
		pg->pooled = pg_int(result, 0, 0) != PQbackendPID(pg->conn);
	return status;
}

static void on_notice(void *unused, const PGresult *notice)
{
	const char *text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);

	(void)unused;
	log_debug("postgres", "the server says: %s", text ? text : "");
}

enum status pg_connect(struct pg *pg, const char *url, struct err *err)
{
	const char *const values[] = {url, "esink", "UTF8", "10", "5", "2", "3", "10000", NULL};
	int64_t deadline = clock_ms() + PG_CONNECT_TIMEOUT_MS;
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	pg_close(pg);
	pg->conn = PQconnectStartParams(connection_keywords, values, 1);
	if (!pg->conn || PQstatus(pg->conn) == CONNECTION_BAD)
		return connection_lost(pg, err);
	while (state != PGRES_POLLING_OK) {
		enum status status = wait_socket(
			pg, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline);

		if (status != STATUS_OK)
			return give_up(pg, status, err);
		state = PQconnectPoll(pg->conn);
		if (state == PGRES_POLLING_FAILED)
			return connection_lost(pg, err);
	}
	PQsetnonblocking(pg->conn, 1);
	PQsetNoticeReceiver(pg->conn, on_notice, NULL);
	return detect_pooler(pg, err);
}

/* Sends what libpq holds, reading meanwhile, since a server that blocks on its own output would
 * otherwise block us. */
static enum status flush_out(struct pg *pg, int64_t deadline, struct err *err)
{
	for (;;) {
		int left = PQflush(pg->conn);
		enum status status;

		if (left < 0)
			return connection_lost(pg, err);
		if (left == 0)
			return STATUS_OK;
		status = wait_socket(pg, POLLIN | POLLOUT, deadline);
		if (status != STATUS_OK)
			return give_up(pg, status, err);
		if (!PQconsumeInput(pg->conn))
			return connection_lost(pg, err);
	}
}

static enum status next_result(struct pg *pg, int64_t deadline, PGresult **result, struct err *err)
{
	while (PQisBusy(pg->conn)) {
		enum status status = wait_socket(pg, POLLIN, deadline);

		if (status != STATUS_OK)
			return give_up(pg, status, err);
		if (!PQconsumeInput(pg->conn))
			return connection_lost(pg, err);
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
		return connection_lost(pg, err);
	status = pg_status_of(state);
	text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	if (status == STATUS_INVALID)
		text = "a value does not fit its type";
	return err_set(err, status, "PostgreSQL: %s (SQLSTATE %s)", text ? text : "error", state);
}

/* Collects results up to the end; keeps the last good one in *kept where asked. */
static enum status collect(struct pg *pg, int64_t deadline, PGresult **kept, struct err *err)
{
	enum status outcome = STATUS_OK;

	for (;;) {
		PGresult *result = NULL;
		enum status status = next_result(pg, deadline, &result, err);

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

enum status pg_query(struct pg *pg, const char *sql, int count, const char *const *params,
	int timeout_ms, PGresult **result, struct err *err)
{
	int64_t deadline = deadline_in(timeout_ms);
	PGresult *got = NULL;
	enum status status;

	if (!pg->conn || !PQsendQueryParams(pg->conn, sql, count, NULL, params, NULL, NULL, 0))
		return connection_lost(pg, err);
	status = flush_out(pg, deadline, err);
	if (status == STATUS_OK)
		status = collect(pg, deadline, &got, err);
	if (status != STATUS_OK) {
		PQclear(got);
		return status;
	}
	*result = got;
	return STATUS_OK;
}

enum status pg_script(struct pg *pg, const char *sql, int timeout_ms, struct err *err)
{
	int64_t deadline = deadline_in(timeout_ms);
	enum status status;

	if (!pg->conn || !PQsendQuery(pg->conn, sql))
		return connection_lost(pg, err);
	status = flush_out(pg, deadline, err);
	return status == STATUS_OK ? collect(pg, deadline, NULL, err) : status;
}

enum status pg_stream_begin(
	struct pg *pg, const char *sql, int count, const char *const *params, struct err *err)
{
	if (!pg->conn || !PQsendQueryParams(pg->conn, sql, count, NULL, params, NULL, NULL, 0) ||
		!PQsetSingleRowMode(pg->conn))
		return connection_lost(pg, err);
	return flush_out(pg, deadline_in(PG_CONNECT_TIMEOUT_MS), err);
}

enum status pg_stream_next(struct pg *pg, int timeout_ms, PGresult **result, struct err *err)
{
	int64_t deadline = deadline_in(timeout_ms);
	PGresult *got = NULL;
	enum status status = next_result(pg, deadline, &got, err);

	if (status != STATUS_OK)
		return status;
	if (got && PQresultStatus(got) == PGRES_SINGLE_TUPLE) {
		*result = got;
		return STATUS_OK;
	}
	if (got) {
		/* The closing result, or an error: nothing but the terminating NULL follows. */
		enum status rest;

		status = check_result(pg, got, err);
		PQclear(got);
		if (pg->conn) {
			rest = collect(pg, deadline, NULL, status == STATUS_OK ? err : NULL);
			status = status == STATUS_OK ? rest : status;
		}
		if (status != STATUS_OK)
			return status;
	}
	*result = NULL;
	return STATUS_OK;
}

static bool take_notifications(struct pg *pg)
{
	PGnotify *notify;
	bool any = false;

	while ((notify = PQnotifies(pg->conn))) {
		PQfreemem(notify);
		any = true;
	}
	return any;
}

bool pg_wait_notify(struct pg *pg, int timeout_ms)
{
	if (!pg->conn || take_notifications(pg))
		return true;
	if (wait_socket(pg, POLLIN, deadline_in(timeout_ms > 0 ? timeout_ms : 1)) != STATUS_OK)
		return false;
	PQconsumeInput(pg->conn);
	return take_notifications(pg);
}

bool pg_pause(struct pg *pg, int timeout_ms)
{
	struct pollfd fd = {pg->stop_fd, POLLIN, 0};

	return poll(&fd, 1, timeout_ms) <= 0;
}

int64_t pg_int(const PGresult *result, int row, int column)
{
	return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

bool pg_bool(const PGresult *result, int row, int column)
{
	return PQgetvalue(result, row, column)[0] == 't';
}
