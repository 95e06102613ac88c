/* Connecting, by libpq's asynchronous calls under call_poll(), and what a connection knows of itself from then on: whether a
 * pooler stands between, when the server's process began, and what the server's defaults would do to a transaction.
 *
 * The values that are set here are for a relay that must notice a dead server in seconds: TCP keep-alives and tcp_user_timeout are
 * one of its three ways to do so (call.c).
 */
#include "source/postgres/connection.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "source/postgres/call.h"
#include "source/postgres/statement.h"
#include "source/postgres/url.h"
#include "source/postgres/watch.h"

/* Sets what the user's connection string does not. */
static const char *const connection_keywords[] = {"dbname", "fallback_application_name",
	"client_encoding", "connect_timeout", "keepalives_idle", "keepalives_interval",
	"keepalives_count", "tcp_user_timeout", "host", "hostaddr", "port", NULL};

#define IDLE_READS 4

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
	/* A server that goes says so first: what was said is read, and then the end. */
	for (int reads = 0; reads < IDLE_READS && poll(&fd, 1, 0) > 0; reads++)
		if (!PQconsumeInput(pg->conn))
			break;
	return PQstatus(pg->conn) == CONNECTION_OK;
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
		enum status status = call_poll(
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
	if (call_poll(pg, POLLIN, clock_ms() + (timeout_ms > 0 ? timeout_ms : 1)) != STATUS_OK)
		return false;
	PQconsumeInput(pg->conn);
	return take_notifications(pg);
}

bool pg_pause(struct pg *pg, int timeout_ms)
{
	struct pollfd fd = {pg->stop_fd, POLLIN, 0};

	return poll(&fd, 1, timeout_ms) <= 0;
}
