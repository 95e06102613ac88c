/* Prevents: history that tells a user what was routed to somebody else, or as more than it was to them; a page that misses an
 * event, tells one twice or has no end; a filter that lets through what it should not, or looks at a type that this user never
 * saw; a hole in the journal that nobody is told of; a question that keeps the lane for as long as the journal is.
 *
 * The clock stands still but for what the fake says that it takes: a page ends where it would on an idle machine. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../clock.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "fake.h"
#include "source/history.h"
#include "source/lanes.h"

#define AT 1700000000000 /* of the first event; each is a second after the one before */

/* By the last digit of the id: 1 an insert for 7; 2 an update for 7 and 8; 3 an update that took the row from 7 and gave it
 * to 8; 4 a published event for everybody; 5 for nobody; 6 of another table for 7; the rest for 9. */
static struct event *make(uint64_t id)
{
	static const struct span seven = {"7", 1}, eight = {"8", 1}, nine = {"9", 1};
	struct span users[2], old_users[1];
	char transaction[24];
	unsigned kind = id % 10;
	struct event_parts parts = {.id = id,
		.key = id,
		.timestamp = AT + (int64_t)id * 1000,
		.version = 1,
		.journal = span_of(FAKE_JOURNAL),
		.topic = span_of(kind == 6 ? "shop.notes" : "notes"),
		.type = span_of(kind == 4 ? "shipped" : kind == 2 || kind == 3 ? "update" : "insert"),
		.data = span_of("{}"),
		.old_key = span_of("{\"id\":1}"),
		.source = span_of("fake"),
		.source_type = span_of("database"),
		.broadcast = kind == 4,
		.rerouted = kind == 3,
		.users = users,
		.old_users = old_users};

	snprintf(transaction, sizeof(transaction), "%llu", (unsigned long long)id / 10);
	parts.transaction_id = span_of(transaction);
	users[0] = kind == 3 ? eight : kind == 1 || kind == 2 || kind == 6 ? seven : nine;
	users[1] = eight;
	old_users[0] = seven;
	parts.user_count = kind == 4 || kind == 5 ? 0 : kind == 2 ? 2 : 1;
	parts.old_user_count = kind == 3;
	return event_create(&parts);
}

static struct event *make_large(uint64_t id)
{
	char *data = mem_zero(1 << 20, 1);
	struct event_parts parts = {.id = id, .journal = span_of(FAKE_JOURNAL), .topic = span_of("t"), .type = span_of("insert"),
		.source = span_of("fake"), .source_type = span_of("database")};
	struct event *event;

	memset(data, ' ', (1 << 20) - 1);
	data[0] = '{';
	data[(1 << 20) - 2] = '}';
	parts.data = span_of(data);
	event = event_create(&parts);
	free(data);
	return event;
}

static struct fake fake;

static int set_up(void **state)
{
	(void)state;
	fake = (struct fake){.head = 1000, .make = make, .pass = pause_ms};
	pthread_mutex_init(&fake.lock, NULL);
	return 0;
}

static struct history_job *question(const char *user)
{
	struct history_job *job = mem_zero(1, sizeof(*job));

	job->since = INT64_MIN;
	job->until = INT64_MAX;
	job->limit = 1000;
	job->user = mem_text(user);
	job->operator = !user;
	job->has_after = true;
	return job;
}

static struct history_job *run(struct history_job *job)
{
	history_run(&fake_source, &fake, job);
	return job;
}

/* Over as many pages as it takes: on a busy machine they are short. */
static struct history_job *run_on(struct history_job *job)
{
	run(job);
	while (job->status == STATUS_OK && job->more && job->count < job->limit) {
		struct history_entry *entries = job->entries;
		size_t count = job->count;

		job->entries = NULL;
		job->count = 0;
		job->has_after = true;
		job->after = job->next;
		run(job);
		entries = mem_resize(entries, (count + job->count + 1) * sizeof(*entries));
		if (job->count)
			memcpy(entries + count, job->entries, job->count * sizeof(*entries));
		free(job->entries);
		job->entries = entries;
		job->count += count;
	}
	return job;
}

/* The ids of the first ones, and how each is shown. */
static void assert_told(const struct history_job *job, const char *expected)
{
	AUTO_BUF struct buf told = buf_init(100000);

	assert_int_equal(job->status, STATUS_OK);
	buf_text(&told, "");
	for (size_t i = 0; i < job->count && i < 9; i++)
		buf_printf(&told, "%s%llu%.*s", i ? " " : "", (unsigned long long)job->entries[i].event->id,
			job->entries[i].class == CLASS_BOTH ? 0 : 1, job->entries[i].class == CLASS_LEFT ? "-" : "+");
	assert_string_equal(told.bytes, expected);
}

static void the_sealed_audience_decides(void **state)
{
	static const struct {
		const char *user, *told;
	} cases[] = {
		{NULL, "1 2 3 4 5 6 7 8 9"},
		{"7", "1 2 3- 4 6 11 12 13- 14"},
		{"8", "2 3+ 4 12 13+ 14 22 23+ 24"},
		{"9", "4 7 8 9 10 14 17 18 19"},
		{"70", "4 14 24 34 44 54 64 74 84"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct history_job *job = run_on(question(cases[i].user));

		assert_told(job, cases[i].told);
		assert_int_equal(job->first, 1);
		history_job_free(job);
	}
}

static void who_is_neither_user_nor_operator_is_told_nothing(void **state)
{
	struct history_job *job = question(NULL);

	(void)state;
	job->operator = false;
	assert_told(run_on(job), "");
	assert_false(job->more);
	history_job_free(job);
}

static void filters(void **state)
{
	static const struct {
		const char *user, *table, *type, *transaction, *told;
	} cases[] = {
		{NULL, "notes", NULL, "0", "1 2 3 4 5 7 8 9"},
		{NULL, "shop.notes", NULL, NULL, "6 16 26 36 46 56 66 76 86"},
		{NULL, "note", NULL, NULL, ""},
		{NULL, NULL, "update", NULL, "2 3 12 13 22 23 32 33 42"},
		{"7", NULL, "update", NULL, "2 12 22 32 42 52 62 72 82"}, /* as this user sees it */
		{"7", NULL, "delete", NULL, "3- 13- 23- 33- 43- 53- 63- 73- 83-"},
		{"8", NULL, "update", "1", "12 13+"},
		{"8", NULL, "delete", NULL, ""},
		{"7", "notes", "shipped", "3", "34"},
		{NULL, NULL, NULL, "99", "990 991 992 993 994 995 996 997 998"},
		{NULL, NULL, NULL, "9", "90 91 92 93 94 95 96 97 98"},
		{NULL, NULL, NULL, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct history_job *job = question(cases[i].user);

		job->table = mem_text(cases[i].table);
		job->type = mem_text(cases[i].type);
		job->transaction_id = mem_text(cases[i].transaction);
		assert_told(run_on(job), cases[i].told);
		history_job_free(job);
	}
}

static void ids_and_times_bound_it(void **state)
{
	static const struct {
		uint64_t after, before;
		int64_t since, until;
		const char *told;
	} cases[] = {
		{990, 0, INT64_MIN, INT64_MAX, "991 992 993 994 995 996 997 998 999"},
		{0, 4, INT64_MIN, INT64_MAX, "1 2 3"},
		{5, 7, INT64_MIN, INT64_MAX, "6"},
		{5, 6, INT64_MIN, INT64_MAX, ""},
		{7, 3, INT64_MIN, INT64_MAX, ""},
		{0, 1, INT64_MIN, INT64_MAX, ""},
		{0, UINT64_MAX, AT + 999000, INT64_MAX, "999 1000"},
		{0, 0, AT + 3000, AT + 5000, "3 4 5"},
		{0, 0, AT + 3001, AT + 4999, "4"},
		{4, 0, AT + 3000, AT + 5000, "5"},
		{0, 0, AT + 5000, AT + 3000, ""},
		{999, 0, INT64_MIN, INT64_MAX, "1000"},
		{1000, 0, INT64_MIN, INT64_MAX, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct history_job *job = question(NULL);

		job->after = cases[i].after;
		job->before = cases[i].before;
		job->since = cases[i].since;
		job->until = cases[i].until;
		assert_told(run_on(job), cases[i].told);
		assert_false(job->more);
		history_job_free(job);
	}
}

/* Every id of a walk to the end, and no page over its limit. */
static void assert_walk(const char *user, size_t limit, size_t expected)
{
	uint64_t after = 0, last = 0;
	size_t count = 0;
	bool more = true;

	while (more) {
		struct history_job *job = question(user);

		job->after = after;
		job->limit = limit;
		run(job);
		assert_int_equal(job->status, STATUS_OK);
		assert_true(job->count <= limit);
		for (size_t i = 0; i < job->count; i++) {
			assert_true(job->entries[i].event->id > last);
			last = job->entries[i].event->id;
		}
		count += job->count;
		more = job->more;
		assert_true(!more || job->next > after);
		after = job->next;
		history_job_free(job);
	}
	assert_int_equal(count, expected);
}

static void pages_to_the_end_tell_all_once(void **state)
{
	static const size_t limits[] = {1, 2, 7, 100, 1000};

	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		assert_walk(NULL, limits[i], 1000);
		assert_walk("7", limits[i], 500);
		assert_walk("nobody", limits[i], 100);
	}
}

static void a_page_ends_after_its_time_with_what_it_has(void **state)
{
	struct history_job *job = question("nobody");

	(void)state;
	fake.head = 1000000;
	fake.hang_ms = HISTORY_SCAN_MS;
	job->table = mem_text("none");
	run(job);
	assert_int_equal(job->status, STATUS_OK);
	assert_int_equal(job->count, 0);
	assert_true(job->more);
	assert_true(job->next > 0 && job->next < fake.head);
	assert_int_equal(atomic_load(&fake.reads), 1);
	history_job_free(job);
}

static void a_page_ends_at_its_bytes_but_has_one(void **state)
{
	struct history_job *job = question(NULL);

	(void)state;
	fake.make = make_large;
	fake.head = 20;
	run(job);
	assert_int_equal(job->status, STATUS_OK);
	assert_int_equal(job->count, HISTORY_BYTES_MAX / (1 << 20) - 1); /* an event is a little more than its data */
	assert_true(job->more);
	assert_int_equal(job->next, job->count);
	history_job_free(job);
}

static void a_time_is_looked_for_with_some_slack(void **state)
{
	struct history_job *job = question(NULL);

	(void)state;
	fake.start = 500;
	job->since = AT + 510000;
	job->limit = 1;
	assert_told(run_on(job), "510");
	assert_in_range(fake.since, AT + 500000, AT + 509999);
	history_job_free(job);
}

static void without_bounds_it_is_the_last_day(void **state)
{
	struct history_job *job = question(NULL);
	int64_t day = clock_wall_ms() - 86400000;

	(void)state;
	job->has_after = false;
	assert_told(run_on(job), ""); /* the fake's events are years old */
	assert_in_range(fake.since, day - 60000, day + 60000);
	history_job_free(job);
	job = question(NULL);
	job->has_after = false;
	job->before = 3;
	assert_told(run_on(job), "1 2");
	history_job_free(job);
}

/* An id from before a restore: «nothing new» would be told for ever. */
static void what_was_not_there_yet_is_told(void **state)
{
	static const struct {
		uint64_t floor, after;
		enum status status;
	} cases[] = {{0, 1000, STATUS_OK}, {0, 1001, STATUS_INVALID}, {0, UINT64_MAX, STATUS_INVALID},
		{1000, 1000, STATUS_OK}, {1000, 1001, STATUS_INVALID}, {1000, 999, STATUS_GONE}}; /* all of it is pruned */

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct history_job *job = question(NULL);

		fake.floor = cases[i].floor;
		job->has_after = true;
		job->after = cases[i].after;
		run_on(job);
		assert_int_equal(job->status, cases[i].status);
		assert_int_equal(job->newest, 1000);
		assert_int_equal(job->count, 0);
		history_job_free(job);
	}
}

static void what_is_no_longer_there_is_told(void **state)
{
	static const struct {
		bool has_after;
		uint64_t after;
		enum status status;
	} cases[] = {{true, 1, STATUS_GONE}, {true, 599, STATUS_GONE}, {true, 600, STATUS_OK}, {true, 0, STATUS_OK}, {false, 0, STATUS_OK}};

	(void)state;
	fake.floor = 600;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct history_job *job = question(NULL);

		job->has_after = cases[i].has_after;
		job->after = cases[i].after;
		job->until = AT * 2;
		run_on(job);
		assert_int_equal(job->status, cases[i].status);
		assert_int_equal(job->first, 601);
		assert_int_equal(job->count, cases[i].status == STATUS_OK ? 400 : 0);
		history_job_free(job);
	}
}

static uint64_t forget_once(uint64_t after)
{
	return after < 100 ? 100 : fake.floor;
}

static uint64_t forget_always(uint64_t after)
{
	return after + 1;
}

static void the_journal_loses_its_oldest_meanwhile(void **state)
{
	struct history_job *job = question(NULL);

	(void)state;
	fake.forget = forget_once;
	assert_told(run_on(job), "101 102 103 104 105 106 107 108 109");
	history_job_free(job);
	job = question(NULL);
	fake.floor = 0;
	job->after = 50;
	run(job);
	assert_int_equal(job->status, STATUS_GONE);
	assert_int_equal(job->first, 101);
	history_job_free(job);
	fake.forget = forget_always;
	job = question(NULL);
	run(job);
	assert_int_equal(job->status, STATUS_UNAVAILABLE);
	assert_int_equal(job->count, 0);
	history_job_free(job);
}

static void positions_are_of_one_journal(void **state)
{
	struct history_job *job = question(NULL);

	(void)state;
	snprintf(job->journal, sizeof(job->journal), "%s", FAKE_JOURNAL);
	job->after = 998;
	assert_told(run_on(job), "999 1000");
	history_job_free(job);
	job = question(NULL);
	snprintf(job->journal, sizeof(job->journal), "%s", "fedcba9876543210");
	job->after = 998;
	run(job);
	assert_int_equal(job->status, STATUS_CONFLICT);
	history_job_free(job);
}

static void a_database_that_is_away_is_told(void **state)
{
	static const enum status failures[] = {STATUS_UNAVAILABLE, STATUS_TIMEOUT, STATUS_FAILED, STATUS_NOT_FOUND};

	(void)state;
	for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++) {
		struct history_job *job = question("7");

		fake.read_status = failures[i];
		run(job);
		assert_int_equal(job->status, failures[i] == STATUS_TIMEOUT ? STATUS_TIMEOUT : STATUS_UNAVAILABLE);
		assert_string_equal(job->err.text, "the fake does not read");
		history_job_free(job);
	}
}

static atomic_int done, late;

static void on_done(struct history_job *job)
{
	atomic_fetch_add(job->status == STATUS_TIMEOUT ? &late : &done, 1);
	history_job_free(job);
}

static void a_question_that_nobody_waits_for_is_not_asked(void **state)
{
	const struct lanes_config config = {.max_lookups = 1, .max_writes = 1, .max_reads = 10, .max_group = 1, .confirm_ms = 1000, .hub_count = 1};
	struct lanes *lanes = lanes_create(&fake_source, &fake, &config);
	struct history_job *jobs[] = {question(NULL), question(NULL)};

	(void)state;
	for (int i = 0; i < 2; i++) {
		jobs[i]->done = on_done;
		jobs[i]->deadline = clock_ms() + (i ? 60000 : -1);
		assert_true(lanes_history(lanes, jobs[i]));
	}
	lanes_start(lanes);
	for (int i = 0; i < 60000 && atomic_load(&done) + atomic_load(&late) < 2; i++)
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	lanes_destroy(lanes);
	assert_int_equal(atomic_load(&done), 1);
	assert_int_equal(atomic_load(&late), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_sealed_audience_decides, set_up),
		cmocka_unit_test_setup(who_is_neither_user_nor_operator_is_told_nothing, set_up),
		cmocka_unit_test_setup(filters, set_up),
		cmocka_unit_test_setup(ids_and_times_bound_it, set_up),
		cmocka_unit_test_setup(pages_to_the_end_tell_all_once, set_up),
		cmocka_unit_test_setup(a_page_ends_after_its_time_with_what_it_has, set_up),
		cmocka_unit_test_setup(a_page_ends_at_its_bytes_but_has_one, set_up),
		cmocka_unit_test_setup(a_time_is_looked_for_with_some_slack, set_up),
		cmocka_unit_test_setup(without_bounds_it_is_the_last_day, set_up),
		cmocka_unit_test_setup(what_was_not_there_yet_is_told, set_up),
		cmocka_unit_test_setup(what_is_no_longer_there_is_told, set_up),
		cmocka_unit_test_setup(the_journal_loses_its_oldest_meanwhile, set_up),
		cmocka_unit_test_setup(positions_are_of_one_journal, set_up),
		cmocka_unit_test_setup(a_database_that_is_away_is_told, set_up),
		cmocka_unit_test_setup(a_question_that_nobody_waits_for_is_not_asked, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
