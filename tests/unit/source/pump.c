/* Prevents: a relay that ends because its database was away for a moment, that starts with a
 * configuration which does not fit, that hands on an event twice or leaves one out across a
 * reconnect, or that cannot be stopped while it backs off. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fake.h"
#include "source/pump.h"

struct seen {
	atomic_int live, away, fatal;
	atomic_uint holes;
	atomic_uint_fast64_t last, out_of_order, at_hole; /* at_hole: the last event when a hole was told */
};

static void on_live(void *context, const struct source_position *head)
{
	struct seen *seen = context;

	if (head->holes.count != atomic_load(&seen->holes))
		atomic_store(&seen->at_hole, atomic_load(&seen->last));
	atomic_store(&seen->holes, head->holes.count);
	atomic_fetch_add(&seen->live, 1);
}

static void on_away(void *context, const char *reason)
{
	assert_true(reason[0] != 0);
	atomic_fetch_add(&((struct seen *)context)->away, 1);
}

static bool on_events(void *context, struct event *const *events, size_t count)
{
	struct seen *seen = context;

	for (size_t i = 0; i < count; i++) {
		if (events[i]->id != atomic_load(&seen->last) + 1)
			atomic_fetch_add(&seen->out_of_order, 1);
		atomic_store(&seen->last, events[i]->id);
	}
	return true;
}

static void on_fatal(void *context, enum status status, const char *reason)
{
	assert_int_equal(status, STATUS_NOT_FOUND);
	assert_true(reason[0] != 0);
	atomic_fetch_add(&((struct seen *)context)->fatal, 1);
}

#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		int64_t end = clock_ms() + 60000;                                                  \
		while (!(condition)) {                                                             \
			assert_true(clock_ms() < end);                                             \
			nanosleep(&(struct timespec){0, 1000000}, NULL);                           \
		}                                                                                  \
	} while (0)

static struct pump *start(struct fake *fake, struct seen *seen, int *fd)
{
	const struct pump_callbacks callbacks = {seen, on_live, on_away, on_events, on_fatal};
	struct pump *pump;

	pthread_mutex_init(&fake->lock, NULL);
	*fd = eventfd(0, 0);
	pump = pump_create(&fake_source, fake, &callbacks, *fd, 10);
	pump_start(pump);
	return pump;
}

static void goes_on_after_failures(void **state)
{
	struct fake fake = {.fail_opens = 2, .head = 1000};
	struct seen seen = {0};
	int fd;
	struct pump *pump = start(&fake, &seen, &fd);

	(void)state;
	UNTIL(atomic_load(&seen.last) == 1000);
	assert_int_equal(atomic_load(&seen.away), 2);
	for (int i = 1; i <= 3; i++) {
		pthread_mutex_lock(&fake.lock);
		fake.fetch_status = STATUS_UNAVAILABLE;
		fake.head += 500;
		pthread_mutex_unlock(&fake.lock);
		UNTIL(atomic_load(&seen.last) == fake.head && atomic_load(&seen.live) == i + 1);
	}
	pump_destroy(pump);
	assert_int_equal(atomic_load(&seen.out_of_order), 0);
	assert_int_equal(atomic_load(&fake.closes), 4);
	close(fd);
}

/* Before the events that come with it, and once: not again at each fetch, nor after a reconnect. */
static void tells_of_holes(void **state)
{
	struct fake fake = {.head = 10, .holes = {1, 1}};
	struct seen seen = {0};
	int fd;
	struct pump *pump = start(&fake, &seen, &fd);

	(void)state;
	UNTIL(atomic_load(&seen.last) == 10);
	assert_int_equal(atomic_load(&seen.live), 1);
	assert_int_equal(atomic_load(&seen.holes), 1);
	pthread_mutex_lock(&fake.lock);
	fake.holes = (struct source_holes){2, 10};
	fake.head = 20;
	pthread_mutex_unlock(&fake.lock);
	UNTIL(atomic_load(&seen.last) == 20);
	assert_int_equal(atomic_load(&seen.holes), 2);
	assert_int_equal(atomic_load(&seen.at_hole), 10);
	assert_int_equal(atomic_load(&seen.live), 2);
	pthread_mutex_lock(&fake.lock);
	fake.fetch_status = STATUS_UNAVAILABLE;
	fake.head = 30;
	pthread_mutex_unlock(&fake.lock);
	UNTIL(atomic_load(&seen.last) == 30);
	assert_int_equal(atomic_load(&seen.live), 3);
	assert_int_equal(atomic_load(&seen.at_hole), 10);
	pump_destroy(pump);
	close(fd);
}

static void refuses_what_does_not_fit(void **state)
{
	struct fake fake = {.open_status = STATUS_NOT_FOUND};
	struct seen seen = {0};
	int fd;
	struct pump *pump = start(&fake, &seen, &fd);

	(void)state;
	UNTIL(atomic_load(&seen.fatal) == 1);
	pump_destroy(pump);
	assert_int_equal(atomic_load(&fake.opens), 1);
	close(fd);
}

static void misfit_after_success_is_only_away(void **state)
{
	struct fake fake = {.head = 1};
	struct seen seen = {0};
	int fd;
	struct pump *pump = start(&fake, &seen, &fd);

	(void)state;
	UNTIL(atomic_load(&seen.last) == 1);
	pthread_mutex_lock(&fake.lock);
	fake.open_status = STATUS_DENIED;
	fake.fetch_status = STATUS_UNAVAILABLE;
	pthread_mutex_unlock(&fake.lock);
	UNTIL(atomic_load(&seen.away) >= 2);
	assert_int_equal(atomic_load(&seen.fatal), 0);
	pump_destroy(pump);
	close(fd);
}

static int64_t stop_while_backing_off(void)
{
	struct fake fake = {.open_status = STATUS_UNAVAILABLE};
	struct seen seen = {0};
	int fd;
	struct pump *pump = start(&fake, &seen, &fd);
	int64_t begin;

	UNTIL(atomic_load(&seen.away) >= 3);
	begin = clock_ms();
	pump_destroy(pump);
	begin = clock_ms() - begin;
	close(fd);
	return begin;
}

/* At once; of five tries, for a machine that is busy with something else may be late. */
static void stops_while_backing_off(void **state)
{
	int64_t ms = stop_while_backing_off();

	(void)state;
	for (int more = 0; more < 4 && ms >= 1000; more++)
		ms = stop_while_backing_off();
	assert_true(ms < 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(goes_on_after_failures),
		cmocka_unit_test(tells_of_holes),
		cmocka_unit_test(refuses_what_does_not_fit),
		cmocka_unit_test(misfit_after_success_is_only_away),
		cmocka_unit_test(stops_while_backing_off)};

	log_init(LOG_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
