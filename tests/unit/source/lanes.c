/* Prevents: a publication answered before its event has an id and every hub has shown it, answered
 * twice, or never; one bad publication failing the others of its group; a full or stopping lane
 * that keeps a job; a hanging write delaying a login; a relay that is not ready because look-ups
 * fail, and does not notice that they do not any more; a log in which an outage ends because we do. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fake.h"
#include "source/lanes.h"

#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		int64_t end = clock_ms() + 60000;                                                  \
		while (!(condition)) {                                                             \
			assert_true(clock_ms() < end);                                             \
			nanosleep(&(struct timespec){0, 1000000}, NULL);                           \
		}                                                                                  \
	} while (0)

static atomic_int done_count, done_ok, done_timeout, done_invalid, done_unavailable;
static atomic_uint_fast64_t done_id, done_sent;

static void published(struct publish_job *job)
{
	atomic_store(&done_id, job->id);
	atomic_store(&done_sent, job->sent_to_count);
	atomic_fetch_add(job->status == STATUS_OK        ? &done_ok
			 : job->status == STATUS_TIMEOUT ? &done_timeout
			 : job->status == STATUS_INVALID ? &done_invalid
							 : &done_unavailable,
		1);
	publish_job_free(job);
	atomic_fetch_add(&done_count, 1);
}

static void looked_up(struct lookup_job *job)
{
	atomic_fetch_add(
		job->status == STATUS_OK && job->user.numeric ? &done_ok : &done_unavailable, 1);
	lookup_job_free(job);
	atomic_fetch_add(&done_count, 1);
}

static struct publish_job *publication(const char *topic, const char *ref)
{
	struct publish_job *job = mem_zero(1, sizeof(*job));

	job->done = published;
	job->item.topic = mem_text(topic);
	job->item.type = mem_text("x");
	job->item.data = mem_text("{}");
	snprintf(job->item.ref, sizeof(job->item.ref), "%s", ref);
	return job;
}

static struct lanes *start(struct fake *fake, int confirm_ms, size_t hubs)
{
	const struct lanes_config config = {.max_lookups = 10,
		.max_writes = 10,
		.max_reads = 10,
		.max_group = 10,
		.confirm_ms = confirm_ms,
		.table_only = true,
		.hub_count = hubs};
	struct lanes *lanes;

	pthread_mutex_init(&fake->lock, NULL);
	done_count = done_ok = done_timeout = done_invalid = done_unavailable = 0;
	lanes = lanes_create(&fake_source, fake, &config);
	lanes_start(lanes);
	return lanes;
}

static void shown(struct lanes *lanes, uint64_t id, const char *ref, size_t sessions)
{
	char *ids[] = {(char *)(uintptr_t) "one", (char *)(uintptr_t) "two"};
	struct event *event = fake_event(id, ref);

	lanes_shown(lanes, event, ids, sessions);
	event_unref(event);
}

static void waits_for_every_hub(void **state)
{
	struct fake fake = {0};
	struct lanes *lanes = start(&fake, 60000, 2);

	(void)state;
	assert_true(lanes_publish(lanes, publication("t", "r1")));
	UNTIL(atomic_load(&fake.publishes) == 1);
	shown(lanes, 42, "other", 1);
	shown(lanes, 42, "r1", 2);
	assert_int_equal(atomic_load(&done_count), 0);
	shown(lanes, 42, "r1", 1);
	UNTIL(atomic_load(&done_ok) == 1);
	assert_int_equal(atomic_load(&done_id), 42);
	assert_int_equal(atomic_load(&done_sent), 3);
	shown(lanes, 42, "r1", 1);
	lanes_destroy(lanes);
	assert_int_equal(atomic_load(&done_count), 1);
}

static void shown_before_the_write_returned(void **state)
{
	struct fake fake = {.hang_ms = 50};
	struct lanes *lanes = start(&fake, 60000, 1);

	(void)state;
	assert_true(lanes_publish(lanes, publication("t", "r1")));
	/* Shown over and over while the write is under way: it counts once, and the job lives until
	 * the write has ended. */
	while (atomic_load(&done_count) == 0)
		shown(lanes, 7, "r1", 0);
	assert_int_equal(atomic_load(&done_ok), 1);
	lanes_destroy(lanes);
}

static void ends_when_not_confirmed(void **state)
{
	struct fake fake = {0};
	struct lanes *lanes = start(&fake, 50, 1);

	(void)state;
	assert_true(lanes_publish(lanes, publication("t", "r1")));
	UNTIL(atomic_load(&done_timeout) == 1);
	lanes_destroy(lanes);
	assert_int_equal(atomic_load(&done_count), 1);
}

static void poison_fails_alone(void **state)
{
	struct fake fake = {0};
	struct lanes *lanes = start(&fake, 60000, 1);
	char ref[8];

	(void)state;
	pthread_mutex_lock(&fake.lock); /* what is written first does not return before all are there, however slow we are */
	for (int i = 0; i < 5; i++) {
		snprintf(ref, sizeof(ref), "r%d", i);
		assert_true(lanes_publish(lanes, publication(i == 2 ? "poison" : "t", ref)));
	}
	pthread_mutex_unlock(&fake.lock);
	UNTIL(atomic_load(&done_invalid) == 1);
	for (int i = 0; i < 5; i++) {
		snprintf(ref, sizeof(ref), "r%d", i);
		shown(lanes, (uint64_t)i + 1, ref, 0);
	}
	UNTIL(atomic_load(&done_ok) == 4);
	lanes_destroy(lanes);
	assert_int_equal(atomic_load(&done_count), 5);
	assert_true(fake.largest_group > 1);
}

static void bounded_and_done_at_stop(void **state)
{
	struct fake fake = {.hang_ms = 200};
	struct lanes *lanes = start(&fake, 60000, 1);
	struct publish_job *refused = NULL;
	int taken = 0;

	(void)state;
	for (int i = 0; i < 400 && !refused; i++) {
		struct publish_job *job = publication("t", "");

		snprintf(job->item.ref, sizeof(job->item.ref), "b%d", i);
		if (lanes_publish(lanes, job))
			taken++;
		else
			refused = job;
	}
	assert_non_null(refused);
	publish_job_free(refused);
	lanes_destroy(lanes);
	assert_int_equal(atomic_load(&done_count), taken);
}

static void a_slow_write_delays_no_login(void **state)
{
	struct fake fake = {.hang_ms = 0};
	struct lanes *lanes = start(&fake, 60000, 1);
	struct lookup_job *job = mem_zero(1, sizeof(*job));

	(void)state;
	/* Not confirmed, so its receipt waits for the whole test. */
	assert_true(lanes_publish(lanes, publication("t", "r1")));
	job->done = looked_up;
	job->token = mem_text("good");
	assert_true(lanes_lookup(lanes, job));
	UNTIL(atomic_load(&done_ok) == 1);
	assert_int_equal(atomic_load(&done_count), 1);
	lanes_destroy(lanes);
	assert_int_equal(atomic_load(&done_count), 2);
}

static void look_up(struct lanes *lanes)
{
	struct lookup_job *job = mem_zero(1, sizeof(*job));

	job->done = looked_up;
	job->token = mem_text("good");
	assert_true(lanes_lookup(lanes, job));
}

static void set_lookup(struct fake *fake, enum status status)
{
	pthread_mutex_lock(&fake->lock);
	fake->lookup_status = status;
	pthread_mutex_unlock(&fake->lock);
}

/* Nobody asks any more, for the relay is not ready: it finds out by itself, whatever the reason was. */
static void asks_by_itself_while_they_fail(void **state)
{
	static const enum status reasons[] = {STATUS_UNAVAILABLE, STATUS_TIMEOUT, STATUS_DENIED};

	(void)state;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		struct fake fake = {.lookup_status = reasons[i]};
		struct lanes *lanes = start(&fake, 10000, 1);
		int64_t until;
		int asked;

		look_up(lanes);
		UNTIL(atomic_load(&fake.lookups) >= 3);
		set_lookup(&fake, STATUS_OK);
		asked = atomic_load(&fake.lookups);
		UNTIL(atomic_load(&fake.lookups) > asked);
		asked = atomic_load(&fake.lookups);
		until = clock_ms() + 1500;
		UNTIL(clock_ms() > until);
		assert_true(atomic_load(&fake.lookups) <= asked + 1);
		assert_int_equal(atomic_load(&done_count), 1);
		lanes_destroy(lanes);
	}
}

static void told(struct history_job *job)
{
	atomic_fetch_add(job->status == STATUS_OK ? &done_ok : job->status == STATUS_UNAVAILABLE ? &done_unavailable : &done_invalid, 1);
	history_job_free(job);
	atomic_fetch_add(&done_count, 1);
}

static void listed(struct consumer_job *job)
{
	consumer_job_free(job);
	atomic_fetch_add(&done_count, 1);
}

static void ask_both(struct fake *fake, struct lanes *lanes, enum status status)
{
	struct history_job *history = mem_zero(1, sizeof(*history));
	struct consumer_job *consumers = mem_zero(1, sizeof(*consumers));
	int before = atomic_load(&done_count);

	pthread_mutex_lock(&fake->lock);
	fake->read_status = status;
	pthread_mutex_unlock(&fake->lock);
	history->done = told;
	history->operator = true;
	history->until = INT64_MAX;
	consumers->done = listed;
	consumers->verb = CONSUMER_LIST;
	assert_true(lanes_history(lanes, history));
	assert_true(lanes_consume(lanes, consumers));
	UNTIL(atomic_load(&done_count) == before + 2);
}

/* What is logged while the source is away, we stop asking for as long as an end takes, and (with last STATUS_OK) it is back. */
static void outage(enum status last, char *text, size_t size)
{
	struct fake fake = {0};
	FILE *file = tmpfile();
	int before = dup(STDERR_FILENO);
	struct lanes *lanes;
	int64_t until;

	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	log_init(LOG_INFO, 0);
	lanes = start(&fake, 10000, 1);
	ask_both(&fake, lanes, STATUS_UNAVAILABLE);
	until = clock_ms() + 1100; /* FAILURES_SETTLED_MS and a little */
	UNTIL(clock_ms() > until);
	ask_both(&fake, lanes, last);
	lanes_destroy(lanes);
	dup2(before, STDERR_FILENO);
	close(before);
	log_init(LOG_ERROR, 0);
	rewind(file);
	text[fread(text, 1, size - 1, file)] = 0;
	fclose(file);
}

static void a_stop_is_neither_a_failure_nor_the_end_of_one(void **state)
{
	char text[2000];

	(void)state;
	outage(STATUS_STOPPED, text, sizeof(text));
	assert_int_equal(atomic_load(&done_unavailable), 2); /* whoever asked of the past may ask again */
	assert_non_null(strstr(text, "history: the fake does not read\n"));
	assert_non_null(strstr(text, "consumers: the fake does not read\n"));
	assert_null(strstr(text, " again; "));
	assert_null(strstr(text, "stopped"));
	outage(STATUS_OK, text, sizeof(text));
	assert_non_null(strstr(text, "history works again; 1 failed meanwhile"));
	assert_non_null(strstr(text, "consumers are served again; 1 failed meanwhile"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(waits_for_every_hub),
		cmocka_unit_test(shown_before_the_write_returned),
		cmocka_unit_test(ends_when_not_confirmed), cmocka_unit_test(poison_fails_alone),
		cmocka_unit_test(bounded_and_done_at_stop),
		cmocka_unit_test(a_slow_write_delays_no_login),
		cmocka_unit_test(asks_by_itself_while_they_fail),
		cmocka_unit_test(a_stop_is_neither_a_failure_nor_the_end_of_one)};

	log_init(LOG_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
