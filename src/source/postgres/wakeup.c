/* The switch; see wakeup.h. */
#include "source/postgres/wakeup.h"

#include "base/clock.h"
#include "base/log.h"
#include "source/postgres/statement.h"

#define PACE_MIN_US 1000
#define PACE_PER_EVENT_US 400
#define PACE_MAX_US 10000
#define PACE_SHARE 4 /* where look after look finds much, a pause is at least so many times what the look before it took .. */
#define PACE_BUSY_MAX_US 40000 /* .. up to this */
#define MUCH_COUNT 4 /* so many in a row: one alone comes after any delay, and a long pause behind it would be the next */
#define QUICK_US 4000 /* a look this soon after the end of the one before is a quick one; so many make a relay stay awake */
#define QUICK_COUNT 8
#define AWAKE_PAUSE_MS 1
#define WATCHFUL_MS 2
#define DROWSY_US 30000 /* without events: to sleep */
#define FIRST_NAPS 6    /* back-stops of NAP_MS before the long one */
#define NAP_MS 5
#define CALL_TIMEOUT_MS 10000
#define WATCHFUL_US                                                                                \
	2000000 /* a relay that cannot sleep looks every 2 ms this long after an event, then every \
		   10 */
#define WATCHFUL_PAUSE_MS 10

/* Sequences change at once and outside transactions. Not durable on purpose: a start sets it anew.
 */
static enum status set_asleep(struct wakeup *wakeup, struct pg *pg, bool asleep, struct err *err)
{
	enum status status;

	/* From here on, also when no answer comes: what is sent may be done. */
	wakeup->asleep |= asleep;
	status = pg_script(pg,
		asleep ? "BEGIN; SET LOCAL synchronous_commit = off; SELECT "
			 "pg_catalog.setval('esink.sleep', 1); COMMIT"
		       : "BEGIN; SET LOCAL synchronous_commit = off; SELECT "
			 "pg_catalog.setval('esink.sleep', 0); COMMIT",
		CALL_TIMEOUT_MS, err);
	if (status == STATUS_OK)
		wakeup->asleep = asleep;
	return status;
}

enum status wakeup_start(struct wakeup *wakeup, struct pg *pg, int back_stop_ms, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status =
		pg_query(pg, "SELECT pg_catalog.current_setting('max_prepared_transactions') = '0'",
			0, NULL, CALL_TIMEOUT_MS, &result, err);

	if (status != STATUS_OK)
		return status;
	*wakeup = (struct wakeup){
		.can_sleep = pg_bool(result, 0, 0) && !pg->pooled, .back_stop_ms = back_stop_ms,
		.asleep = true /* until writers have been told */};
	if (!wakeup->can_sleep)
		log_info("postgres", "no wake-up by NOTIFY, looking every %d to %d ms instead: %s", WATCHFUL_MS,
			WATCHFUL_PAUSE_MS,
			pg->pooled ? "a pooler stands before the server"
				   : "max_prepared_transactions is above 0");
	if (wakeup->can_sleep)
		status = pg_script(pg, "LISTEN esink", CALL_TIMEOUT_MS, err);
	return status == STATUS_OK ? set_asleep(wakeup, pg, false, err) : status;
}

static int64_t pace_us(uint64_t count)
{
	int64_t pace = count > 1000 ? PACE_MAX_US : (int64_t)count * PACE_PER_EVENT_US;

	return pace < PACE_MIN_US ? PACE_MIN_US : pace > PACE_MAX_US ? PACE_MAX_US : pace;
}

enum status wakeup_busy(struct wakeup *wakeup, struct pg *pg, uint64_t count, struct err *err)
{
	int64_t now = clock_us();

	if (wakeup->began_us - wakeup->ended_us >= QUICK_US)
		wakeup->quick = 0;
	else
		wakeup->quick++;
	wakeup->last_us = now;
	wakeup->next_us = now + pace_us(count);
	wakeup->much = pace_us(count) == PACE_MAX_US ? wakeup->much + 1 : 0;
	wakeup->naps = 0;
	if (wakeup->asleep && wakeup->quick >= QUICK_COUNT)
		return set_asleep(wakeup, pg, false, err);
	return STATUS_OK;
}

enum status wakeup_seen(struct wakeup *wakeup, struct pg *pg, const struct wakeup_look *look, struct err *err)
{
	if (look->crowded) {
		wakeup->quick = QUICK_COUNT;
		return set_asleep(wakeup, pg, false, err);
	}
	if (look->asleep || !wakeup->asleep)
		return STATUS_OK;
	if (!look->found)
		return set_asleep(wakeup, pg, true, err);
	wakeup->asleep = false;
	wakeup->quick = QUICK_COUNT;
	return STATUS_OK;
}

static enum status pause_for(struct pg *pg, int ms, struct err *err)
{
	return pg_pause(pg, ms) ? STATUS_OK : err_set(err, STATUS_STOPPED, "stopped");
}

enum status wakeup_pace(struct wakeup *wakeup, struct pg *pg, struct err *err)
{
	int64_t wait = wakeup->next_us - clock_us();
	enum status status = STATUS_OK;

	if (!wakeup->asleep && wait > 0)
		status = pause_for(pg, (int)((wait + 500) / 1000), err);
	wakeup->began_us = clock_us();
	return status;
}

/* Looks that find much and take long come to a busy server: the writers need it more than we do. */
void wakeup_looked(struct wakeup *wakeup)
{
	int64_t now = clock_us(), rest = (now - wakeup->began_us) * PACE_SHARE;

	wakeup->ended_us = now;
	if (rest > PACE_BUSY_MAX_US)
		rest = PACE_BUSY_MAX_US;
	if (wakeup->much >= MUCH_COUNT && now + rest > wakeup->next_us)
		wakeup->next_us = now + rest;
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

enum status wakeup_idle(struct wakeup *wakeup, struct pg *pg, int until_ms, struct err *err)
{
	int64_t quiet = clock_us() - wakeup->last_us;

	if (!wakeup->can_sleep)
		return pause_for(pg,
			least(quiet < WATCHFUL_US ? WATCHFUL_MS : WATCHFUL_PAUSE_MS, until_ms),
			err);
	if (!wakeup->asleep) {
		if (quiet < DROWSY_US)
			return pause_for(pg, least(AWAKE_PAUSE_MS, until_ms), err);
		wakeup->naps = 0;
		return set_asleep(wakeup, pg, true, err);
	}
	pg_wait_notify(
		pg, least(wakeup->naps < FIRST_NAPS ? NAP_MS : wakeup->back_stop_ms, until_ms));
	wakeup->naps++;
	return pg_pause(pg, 0) ? STATUS_OK : err_set(err, STATUS_STOPPED, "stopped");
}

void wakeup_finish(struct wakeup *wakeup, struct pg *pg)
{
	struct err ignored;
	int stop_fd = pg->stop_fd;

	if (!pg->conn || !wakeup->asleep)
		return;
	pg->stop_fd = -1; /* stopping must not stop this */
	if (pg_script(pg, "SELECT pg_catalog.setval('esink.sleep', 0)", 1000, &ignored) ==
		STATUS_OK)
		wakeup->asleep = false;
	pg->stop_fd = stop_fd;
}
