/* A drain of ten million rows says nothing for a minute; neither does a network that was cut without a word, and a proxy or a
 * balancer in between answers TCP's keep-alives for a server that is gone. No deadline tells the two apart: a short one would
 * begin the long drain again for ever, a long one leaves capture dead for that time. So a second connection asks the
 * server: what is that process of yours doing?
 *
 * «Waiting for the client», while nothing arrives here, is as good as gone: what it sends is lost on the way.
 *
 * A process that we gave up is ended as soon as we are connected again. It may hold a snapshot or a lock, which would keep the
 * journal from being emptied, until the server's own TCP finds out, which takes hours. PQcancel() would not do: it blocks, on
 * the very network that is cut. Only behind a pooler, where process ids are not the server's, there is nothing better; it then
 * blocks a thread of its own, of which there are few.
 */
#include "source/postgres/watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "source/postgres/statement.h"

#define LOOK_TIMEOUT_MS 2000
#define END_TIMEOUT_MS 2000
#define CANCELS_MAX 4

/* $1 the process, $2 when it began; behind a pooler: 0 and the statement, of which the server keeps the beginning. Without
 * track_activities the state is unknown, what it waits for is not. */
static const char look_sql[] =
	"SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE CASE WHEN $1::pg_catalog.int4 <> 0 "
	"THEN a.pid = $1::pg_catalog.int4 AND extract(epoch FROM a.backend_start)::pg_catalog.text = $2::pg_catalog.text "
	"ELSE a.query <> '' AND a.usename = current_user AND pg_catalog.starts_with($2::pg_catalog.text, a.query) END "
	"AND a.state IN ('active', 'fastpath function call', 'disabled') "
	"AND a.wait_event_type IS DISTINCT FROM 'Client'";

static const char end_sql[] =
	"SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a WHERE a.pid = $1::pg_catalog.int4 "
	"AND extract(epoch FROM a.backend_start)::pg_catalog.text = $2::pg_catalog.text";

enum pg_life watch_look(const struct pg *pg)
{
	struct pg look = {.stop_fd = pg->stop_fd};
	AUTO_RESULT PGresult *result = NULL;
	int64_t begun = clock_ms();
	char pid[16];
	const char *params[] = {pid, pg->pooled ? pg->statement : pg->began};
	enum pg_life life;
	enum status status = pg_connect(&look, pg->watch_url, LOOK_TIMEOUT_MS, NULL);

	snprintf(pid, sizeof(pid), "%d", pg->pooled ? 0 : PQbackendPID(pg->conn));
	if (status == STATUS_OK)
		status = pg_query(&look, look_sql, 2, params, LOOK_TIMEOUT_MS, &result, NULL);
	if (status == STATUS_STOPPED)
		life = PG_WORKS;
	else if (status == STATUS_OK)
		life = pg_int(result, 0, 0) > 0 ? PG_WORKS : PG_IDLE;
	else
		life = status == STATUS_TIMEOUT || clock_ms() - begun >= LOOK_TIMEOUT_MS ? PG_SILENT : PG_REFUSED;
	pg_close(&look);
	return life;
}

static atomic_int cancels;

static void *cancel(void *opaque)
{
	char text[256];

	PQcancel(opaque, text, sizeof(text));
	PQfreeCancel(opaque);
	atomic_fetch_sub(&cancels, 1);
	return NULL;
}

static void cancel_aside(struct pg *pg)
{
	PGcancel *request = PQgetCancel(pg->conn);
	pthread_t thread;

	if (!request)
		return;
	if (atomic_fetch_add(&cancels, 1) < CANCELS_MAX && pthread_create(&thread, NULL, cancel, request) == 0) {
		pthread_detach(thread);
		return;
	}
	atomic_fetch_sub(&cancels, 1);
	PQfreeCancel(request);
}

void watch_leave(struct pg *pg)
{
	if (pg->pooled) {
		cancel_aside(pg);
	} else if (pg->began[0]) {
		pg->left = PQbackendPID(pg->conn);
		snprintf(pg->left_began, sizeof(pg->left_began), "%s", pg->began);
	}
}

void watch_end_left(struct pg *pg)
{
	AUTO_RESULT PGresult *result = NULL;
	char pid[16];
	const char *params[] = {pid, pg->left_began};

	snprintf(pid, sizeof(pid), "%d", pg->left);
	if (pg->left && pg_query(pg, end_sql, 2, params, END_TIMEOUT_MS, &result, NULL) == STATUS_OK)
		pg->left = 0;
}
