/* libpq's asynchronous calls under a poll() of our own, because its blocking ones can neither be
 * interrupted nor given a deadline: a network that was cut without a word would hold a thread for
 * hours.
 *
 * A server that stops answering is noticed in three ways: TCP keep-alives and tcp_user_timeout on an
 * idle connection, the deadline of a call, and on capture's connection the watch of watch.c. After
 * any of them the connection is thrown away; nothing is ever retried on it.
 */
#include "source/postgres/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "source/postgres/url.h"
#include "source/postgres/watch.h"

#define SILENCE_MS 2000 /* before the watch looks */
#define REFUSED_MS 30000 /* bear with a server that does not let the watch in */
#define LATE_MS 500 /* after the server has finished its answer is here */

/* Sets what the user's connection string does not. The values are for a relay that must notice a
 * dead server in seconds. */
static const char *const connection_keywords[] = {"dbname", "fallback_application_name",
	"client_encoding", "connect_timeout", "keepalives_idle", "keepalives_interval",
	"keepalives_count", "tcp_user_timeout", "host", "hostaddr", "port", NULL};

/* What a call may take. */
struct call {
	int64_t deadline; /* 0: none */
	int64_t begun, alive; /* the last sign of the server's */
};

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

static struct call call_begin(int timeout_ms)
{
	int64_t now = clock_ms();

	return (struct call){deadline_in(timeout_ms), now, now};
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

/* Closes what cannot be used any more, and says why to this call and to those that come after it. */
static enum status give_up(struct pg *pg, enum status status, const char *why, struct err *err)
{
	/* libpq's text may run over lines; the first tells. */
	err_set(&pg->lost, status, "%.*s", (int)strcspn(why, "\n"), why);
	if (pg->conn && status != STATUS_STOPPED)
		watch_leave(pg);
	pg_close(pg);
	return err_set(err, status, "%s", pg->lost.text);
}

static enum status connection_lost(struct pg *pg, struct err *err)
{
	struct err why;

	if (!pg->conn)
		return err_set(err, STATUS_UNAVAILABLE, "%s",
			pg->lost.text[0] ? pg->lost.text : "there is no connection to PostgreSQL");
	err_set(&why, STATUS_UNAVAILABLE, "PostgreSQL connection: %s", PQerrorMessage(pg->conn));
	return give_up(pg, STATUS_UNAVAILABLE, why.text, err);
}

void pg_close(struct pg *pg)
{
	if (pg->conn)
		PQfinish(pg->conn);
	pg->conn = NULL;
	memset(pg->planned, 0, sizeof(pg->planned));
	pg->began[0] = 0;
}

bool pg_is_open(struct pg *pg)
{
	struct pollfd fd = {-1, POLLIN, 0};

	if (!pg->conn)
		return false;
	fd.fd = PQsocket(pg->conn);
	if (poll(&fd, 1, 0) > 0)
		PQconsumeInput(pg->conn);
	return PQstatus(pg->conn) == CONNECTION_OK;
}

/* Nothing came for a while: whether to wait on. A server that has worked for long may be silent for longer. */
static bool still_waits(struct pg *pg, short events, struct call *call)
{
	enum pg_life life = watch_look(pg);
	int64_t now = clock_ms(), silent = now - call->alive;

	switch (life) {
	case PG_WORKS:
		call->alive = now;
		return true;
	case PG_REFUSED:
		return silent < REFUSED_MS;
	case PG_SILENT:
		return silent < SILENCE_MS + (call->alive - call->begun) / 8;
	default:
		return wait_socket(pg, events, now + LATE_MS) != STATUS_TIMEOUT;
	}
}

/* Waits for the socket for as long as the call may take; gives up the connection otherwise. */
static enum status wait_call(struct pg *pg, short events, struct call *call, struct err *err)
{
	for (;;) {
		int64_t until = pg->watch_url ? clock_ms() + SILENCE_MS : call->deadline;
		enum status status;

		if (call->deadline && call->deadline < until)
			until = call->deadline;
		status = wait_socket(pg, events, until);
		if (status == STATUS_OK) {
			call->alive = clock_ms();
			return STATUS_OK;
		}
		if (status != STATUS_TIMEOUT)
			return give_up(pg, status, "stopped", err);
		if (until == call->deadline)
			return give_up(pg, status, "PostgreSQL did not answer in time", err);
		if (!still_waits(pg, events, call))
			return give_up(pg, STATUS_UNAVAILABLE,
				"PostgreSQL has stopped answering: the network in between is cut, "
				"or the server hangs",
				err);
	}
}

/* A transaction-mode pooler invents the process id that libpq was told. */
static enum status detect_pooler(struct pg *pg, int timeout_ms, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = pg_query(pg,
		"SELECT pg_catalog.pg_backend_pid(), (SELECT extract(epoch FROM "
		"a.backend_start)::pg_catalog.text "
		"FROM pg_catalog.pg_stat_activity a WHERE a.pid = pg_catalog.pg_backend_pid()), "
		"pg_catalog.current_setting('transaction_isolation') <> 'read committed' "
		"OR pg_catalog.current_setting('statement_timeout') <> '0' "
		"OR (pg_catalog.current_setting('transaction_timeout', true) <> '0') IS TRUE",
		0, NULL, timeout_ms, &result, err);

	if (status != STATUS_OK)
		return status;
	pg->pooled = pg_int(result, 0, 0) != PQbackendPID(pg->conn);
	snprintf(pg->began, sizeof(pg->began), "%s", PQgetvalue(result, 0, 1));
	pg->strict = pg_bool(result, 0, 2);
	return STATUS_OK;
}

static void on_notice(void *unused, const PGresult *notice)
{
	const char *text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);

	(void)unused;
	log_debug("postgres", "the server says: %s", text ? text : "");
}

/* libpq tells of a server that refuses us in a line of its own; of several addresses of a host, in
 * several. */
static enum status refused(struct pg *pg, struct err *err)
{
	char text[sizeof(err->text)];

	snprintf(text, sizeof(text), "%s", PQerrorMessage(pg->conn));
	for (char *p = text; (p = strchr(p, '\n'));)
		*p = p[1] ? ' ' : 0;
	pg_close(pg);
	return err_set(err, STATUS_UNAVAILABLE,
		"POSTGRES_DATABASE_URL: %s (if it never worked, look at its host, port, database, user and "
		"password)",
		text);
}

static enum status no_answer(struct pg *pg, enum status status, struct err *err)
{
	char host[128];

	if (status == STATUS_STOPPED) {
		pg_close(pg);
		return err_set(err, status, "stopped");
	}
	snprintf(host, sizeof(host), "%s", PQhost(pg->conn) ? PQhost(pg->conn) : "");
	pg_close(pg);
	return err_set(err, STATUS_TIMEOUT,
		"POSTGRES_DATABASE_URL: no answer from host \"%s\" (if it never answered, look at its host and port, and "
		"at firewalls in between)",
		host);
}

/* host: one of several that the string names; NULL: it names one. */
static enum status connect_to(struct pg *pg, const char *url, const struct pg_host *host,
	int timeout_ms, struct err *err)
{
	const char *const values[] = {url, "esink", "UTF8", "10", "5", "2", "3", "10000",
		host ? host->name : NULL, host ? host->address : NULL, host ? host->port : NULL,
		NULL};
	int64_t deadline = clock_ms() + timeout_ms;
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	pg->conn = PQconnectStartParams(connection_keywords, values, 1);
	if (!pg->conn)
		return err_set(err, STATUS_UNAVAILABLE, "out of memory");
	if (PQstatus(pg->conn) == CONNECTION_BAD)
		return refused(pg, err);
	while (state != PGRES_POLLING_OK) {
		enum status status = wait_socket(
			pg, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline);

		if (status != STATUS_OK)
			return no_answer(pg, status, err);
		state = PQconnectPoll(pg->conn);
		if (state == PGRES_POLLING_FAILED)
			return refused(pg, err);
	}
	PQsetnonblocking(pg->conn, 1);
	PQsetNoticeReceiver(pg->conn, on_notice, NULL);
	return detect_pooler(pg, timeout_ms, err);
}

/* libpq itself goes on to the next host when one refuses, but waits for ever for one that says
 * nothing. */
enum status pg_connect(struct pg *pg, const char *url, int timeout_ms, struct err *err)
{
	struct pg_host host;
	bool several = postgres_url_host(url, 1, &host);
	enum status status = STATUS_UNAVAILABLE;

	pg_close(pg);
	if (!several)
		status = connect_to(pg, url, NULL, timeout_ms, err);
	for (int i = 0; several && postgres_url_host(url, i, &host); i++) {
		status = connect_to(pg, url, &host, timeout_ms, err);
		if (status == STATUS_OK || status == STATUS_STOPPED)
			break;
	}
	if (status == STATUS_OK)
		watch_end_left(pg);
	return status;
}

/* Sends what libpq holds, reading meanwhile, since a server that blocks on its own output would
 * otherwise block us. */
static enum status flush_out(struct pg *pg, struct call *call, struct err *err)
{
	for (;;) {
		int left = PQflush(pg->conn);
		enum status status;

		if (left < 0)
			return connection_lost(pg, err);
		if (left == 0)
			return STATUS_OK;
		status = wait_call(pg, POLLIN | POLLOUT, call, err);
		if (status != STATUS_OK)
			return status;
		if (!PQconsumeInput(pg->conn))
			return connection_lost(pg, err);
	}
}

static enum status next_result(struct pg *pg, struct call *call, PGresult **result, struct err *err)
{
	while (PQisBusy(pg->conn)) {
		enum status status = wait_call(pg, POLLIN, call, err);

		if (status != STATUS_OK)
			return status;
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
		return connection_lost(pg, err);
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
		return connection_lost(pg, err);
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
		return connection_lost(pg, err);
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
		return connection_lost(pg, err);
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
		return connection_lost(pg, err);
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
