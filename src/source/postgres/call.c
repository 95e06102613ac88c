/* libpq's asynchronous calls under a poll() of our own, because its blocking ones can neither be interrupted nor given a
 * deadline: a network that was cut without a word would hold a thread for hours.
 *
 * A server that stops answering is noticed in three ways: TCP keep-alives and tcp_user_timeout on an idle connection
 * (connection.c), the deadline of a call, and on capture's connection the watch of watch.c. After any of them the connection
 * is thrown away; nothing is ever retried on it.
 */
#include "source/postgres/call.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "source/postgres/watch.h"

#define SILENCE_MS 2000 /* before the watch looks */
#define REFUSED_MS 30000 /* bear with a server that does not let the watch in */
#define LATE_MS 500 /* after the server has finished its answer is here */

static int remaining(int64_t deadline)
{
	int64_t left;

	if (!deadline)
		return -1;
	left = deadline - clock_ms();
	return left < 0 ? 0 : (int)left;
}

struct call call_begin(int timeout_ms)
{
	int64_t now = clock_ms();

	return (struct call){timeout_ms > 0 ? now + timeout_ms : 0, now, now};
}

enum status call_poll(const struct pg *pg, short events, int64_t deadline)
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

enum status call_lost(struct pg *pg, struct err *err)
{
	struct err why;

	if (!pg->conn)
		return err_set(err, STATUS_UNAVAILABLE, "%s",
			pg->lost.text[0] ? pg->lost.text : "there is no connection to PostgreSQL");
	err_set(&why, STATUS_UNAVAILABLE, "PostgreSQL connection: %s", PQerrorMessage(pg->conn));
	return give_up(pg, STATUS_UNAVAILABLE, why.text, err);
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
		return call_poll(pg, events, now + LATE_MS) != STATUS_TIMEOUT;
	}
}

enum status call_wait(struct pg *pg, short events, struct call *call, struct err *err)
{
	for (;;) {
		int64_t until = pg->watch_url ? clock_ms() + SILENCE_MS : call->deadline;
		enum status status;

		if (call->deadline && call->deadline < until)
			until = call->deadline;
		status = call_poll(pg, events, until);
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
