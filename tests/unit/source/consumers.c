/* Prevents: a consumer's cursor that moves back when two relays acknowledge at once, so that what was acknowledged comes again;
 * one that is lost with the lane that wrote it; an outcome that is not the last one told; patterns that come back other than
 * they went in; a consumer that was dropped and is served on as if nothing had been discarded; marks without end; a consumer
 * that comes under the name of a deleted one and has its cursor moved by what was acknowledged to that one; consumers without end.
 *
 * Runs on a real database: an SQLite file of its own, or the one that SQLITE_PATH, POSTGRES_DATABASE_URL or MYSQL_DATABASE and what belongs
 * to it name (tests/e2e/consumers.test.mjs). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "esink/source.h"
#include "rules/ruleset.h"
#include "source/mark_budget.h"

#define ROUNDS 200
#define MAX 20
#define GENERATION INT64_MAX /* the greatest */

static struct source_config config;
static const struct source_ops *ops;
static void *source, *lanes[2];

#define OK(call) assert_int_equal_status(call, STATUS_OK, __LINE__)
static struct err err;

static void assert_int_equal_status(enum status status, enum status wanted, int line)
{
	if (status != wanted)
		print_error("line %d: %s: %s\n", line, status_text(status), err.text);
	assert_int_equal(status, wanted);
}

static struct source_position head;

static bool put_anew(void *lane, const char *name, const char *topics, uint64_t cursor, uint64_t generation, const struct consumer *lost)
{
	struct consumer consumer = {.name = (char *)(uintptr_t)name, .topics = (char *)(uintptr_t)topics,
		.types = (char *)(uintptr_t) "[\"insert\"]", .cursor = cursor, .generation = generation};
	bool created = false;

	OK(ops->consumer_put(lane, &consumer, lost, &created, &err));
	return created;
}

static bool put(void *lane, const char *name, const char *topics, uint64_t cursor)
{
	return put_anew(lane, name, topics, cursor, GENERATION, NULL);
}

static enum status advance(void *lane, const char *name, uint64_t cursor, struct err *why)
{
	const struct consumer consumer = {.name = (char *)(uintptr_t)name, .generation = strcmp(name, "full") ? GENERATION : 0};

	return ops->consumer_advance(lane, &consumer, span_of(head.journal), cursor, why);
}

static enum status mark(void *lane, const char *name, uint64_t id, enum consumer_outcome outcome, struct err *why)
{
	const struct consumer consumer = {.name = (char *)(uintptr_t)name, .generation = strcmp(name, "full") ? GENERATION : 0};

	return ops->consumer_mark(lane, &consumer, span_of(head.journal), id, outcome, why);
}

static struct consumer_list get(void *lane, const char *name)
{
	struct consumer_list list = {0};

	OK(ops->consumers(lane, name, &list, &err));
	return list;
}

static uint64_t cursor_of(void *lane, const char *name)
{
	struct consumer_list list = get(lane, name);
	uint64_t cursor = list.items[0].cursor;

	consumer_list_finish(&list);
	return cursor;
}

static int64_t heard_of(void *lane, const char *name)
{
	struct consumer_list list = get(lane, name);
	int64_t at = list.items[0].updated_at;

	consumer_list_finish(&list);
	return at;
}

/* As text: `a 5 skipped, b 5 completed`. */
static char *marks(void *lane, const char *name, uint64_t first, uint64_t last, size_t max)
{
	struct consumer_mark_list list = {0};
	char *text = mem_text("");

	OK(ops->consumer_marks(lane, name, first, last, max, &list, &err));
	for (size_t i = 0; i < list.count; i++) {
		char *more = mem_format("%s%s%s %" PRIu64 " %s", text, i ? ", " : "", list.items[i].consumer, list.items[i].id,
			list.items[i].outcome == OUTCOME_SKIPPED ? "skipped" : "completed");

		free(text);
		text = more;
	}
	consumer_mark_list_finish(&list);
	return text;
}

static void assert_marks(const char *name, uint64_t first, uint64_t last, size_t max, const char *wanted)
{
	char *text = marks(lanes[1], name, first, last, max);

	assert_string_equal(text, wanted);
	free(text);
}

static void forget_all(void)
{
	struct consumer_list list = {0};

	OK(ops->consumers(lanes[0], NULL, &list, &err));
	for (size_t i = 0; i < list.count; i++)
		OK(ops->consumer_delete(lanes[0], list.items[i].name, &err));
	consumer_list_finish(&list);
}

static int begin(void **state)
{
	(void)state;
	lanes[0] = ops->lane_create(source);
	lanes[1] = ops->lane_create(source);
	forget_all();
	return 0;
}

static int end(void **state)
{
	(void)state;
	ops->lane_destroy(lanes[0]);
	ops->lane_destroy(lanes[1]);
	return 0;
}

static void comes_stays_and_goes(void **state)
{
	static const char *const patterns = "[\"a\\\"b'c\\\\\", \"\xc3\xa4\xf0\x9f\x90\x98\", \"%s;--\"]";
	char longest[CONSUMER_NAME_MAX + 1];
	struct consumer_list list;
	int64_t now = clock_wall_ms();

	(void)state;
	memset(longest, 'z', CONSUMER_NAME_MAX);
	longest[CONSUMER_NAME_MAX] = 0;
	assert_true(put(lanes[0], "b_-2", patterns, 41));
	assert_true(put(lanes[0], longest, "[]", 0));
	assert_true(put(lanes[0], "B_-2", "[]", 7));
	list = get(lanes[1], NULL);
	assert_int_equal(list.count, 3);
	assert_string_equal(list.items[0].name, "B_-2"); /* names differ by case */
	assert_string_equal(list.items[1].name, "b_-2");
	assert_string_equal(list.items[1].topics, patterns);
	assert_string_equal(list.items[1].types, "[\"insert\"]");
	assert_int_equal(list.items[1].cursor, 41);
	assert_false(list.items[1].dropped);
	assert_true(list.items[1].updated_at > now - 60000 && list.items[1].updated_at < now + 60000);
	assert_string_equal(list.items[2].name, longest);
	consumer_list_finish(&list);
	/* Another relay, or the same again. */
	assert_false(put(lanes[1], "b_-2", "[]", 99));
	list = get(lanes[0], "b_-2");
	assert_int_equal(list.count, 1);
	assert_int_equal(list.items[0].cursor, 41);
	assert_string_equal(list.items[0].topics, "[]");
	consumer_list_finish(&list);
	OK(ops->consumer_delete(lanes[1], "b_-2", &err));
	assert_int_equal(ops->consumer_delete(lanes[0], "b_-2", &err), STATUS_NOT_FOUND);
	assert_int_equal(ops->consumers(lanes[0], "b_-2", &list, &err), STATUS_NOT_FOUND);
	assert_int_equal(advance(lanes[0], "b_-2", 50, &err), STATUS_NOT_FOUND);
	assert_int_equal(mark(lanes[0], "b_-2", 50, OUTCOME_SKIPPED, &err), STATUS_NOT_FOUND);
	assert_non_null(strstr(err.text, "b_-2"));
}

static void goes_on_and_never_back(void **state)
{
	int64_t before, after;

	(void)state;
	put(lanes[0], "a", "[]", 10);
	OK(advance(lanes[0], "a", 20, &err));
	OK(advance(lanes[1], "a", 15, &err));
	OK(advance(lanes[1], "a", 0, &err));
	assert_int_equal(cursor_of(lanes[1], "a"), 20);
	/* It is heard of, although nothing was new to acknowledge. */
	before = after = heard_of(lanes[0], "a");
	for (int64_t until = clock_ms() + 10000; after < before + 1000 && clock_ms() < until;) {
		OK(advance(lanes[1], "a", 20, &err));
		after = heard_of(lanes[0], "a");
	}
	assert_true(after >= before + 1000);
}

static void keeps_marks(void **state)
{
	(void)state;
	put(lanes[0], "a", "[]", 10);
	put(lanes[0], "b", "[]", 10);
	OK(mark(lanes[0], "a", 14, OUTCOME_COMPLETED, &err));
	OK(mark(lanes[1], "a", 12, OUTCOME_SKIPPED, &err));
	OK(mark(lanes[0], "b", 12, OUTCOME_COMPLETED, &err));
	OK(mark(lanes[0], "a", 13, OUTCOME_COMPLETED, &err));
	OK(mark(lanes[0], "a", 13, OUTCOME_COMPLETED, &err));
	assert_marks("a", 11, UINT64_MAX, 100, "a 12 skipped, a 13 completed, a 14 completed");
	assert_marks("a", 0, UINT64_MAX, 2, "a 12 skipped, a 13 completed");
	assert_marks("a", 13, 13, 100, "a 13 completed");
	assert_marks(NULL, 12, 12, 100, "a 12 skipped, b 12 completed");
	assert_marks("nobody", 0, UINT64_MAX, 100, "");
	/* The last one counts. */
	OK(mark(lanes[1], "a", 13, OUTCOME_SKIPPED, &err));
	OK(mark(lanes[1], "a", 12, OUTCOME_COMPLETED, &err));
	assert_marks("a", 11, 100, 100, "a 12 completed, a 13 skipped, a 14 completed");
	/* Of what is behind the cursor the skipped ones are kept. */
	OK(advance(lanes[0], "a", 13, &err));
	assert_marks(NULL, 0, 100, 100, "b 12 completed, a 13 skipped, a 14 completed");
	OK(mark(lanes[0], "a", 11, OUTCOME_SKIPPED, &err));
	OK(mark(lanes[0], "a", 13, OUTCOME_COMPLETED, &err));
	OK(mark(lanes[0], "a", 12, OUTCOME_COMPLETED, &err));
	assert_marks("a", 0, 100, 100, "a 11 skipped, a 14 completed");
	/* They go with the consumer, and who comes under its name is another one. */
	OK(ops->consumer_delete(lanes[0], "a", &err));
	assert_marks(NULL, 0, 100, 100, "b 12 completed");
	assert_true(put(lanes[0], "a", "[]", 0));
	assert_marks("a", 0, 100, 100, "");
}

/* A relay is about to write what it found out of a consumer that another relay has replaced meanwhile. */
static void another_one_of_the_same_name(void **state)
{
	struct consumer old = {.name = (char *)(uintptr_t) "a", .generation = 1}, new = {.name = old.name, .generation = 2};
	struct span journal = span_of(head.journal), another = span_of("0000000000000000");
	struct consumer_list list;

	(void)state;
	assert_true(put_anew(lanes[0], "a", "[]", 10, 1, NULL));
	OK(ops->consumer_advance(lanes[0], &old, journal, 12, &err));
	OK(ops->consumer_mark(lanes[0], &old, journal, 15, OUTCOME_SKIPPED, &err));
	OK(ops->consumer_delete(lanes[1], "a", &err));
	assert_true(put_anew(lanes[1], "a", "[]", 10, 2, NULL));
	assert_int_equal(ops->consumer_advance(lanes[0], &old, journal, 20, &err), STATUS_NOT_FOUND);
	assert_int_equal(ops->consumer_mark(lanes[0], &old, journal, 11, OUTCOME_COMPLETED, &err), STATUS_NOT_FOUND);
	assert_int_equal(ops->consumer_mark(lanes[0], &old, journal, 11, OUTCOME_SKIPPED, &err), STATUS_NOT_FOUND);
	/* Nor what it found out in another journal. */
	assert_int_equal(ops->consumer_advance(lanes[0], &new, another, 20, &err), STATUS_NOT_FOUND);
	assert_int_equal(ops->consumer_mark(lanes[0], &new, another, 11, OUTCOME_COMPLETED, &err), STATUS_NOT_FOUND);
	assert_int_equal(cursor_of(lanes[1], "a"), 10);
	assert_marks("a", 0, UINT64_MAX, 100, "");
	/* A completed one behind the cursor takes its mark along, but not that of another's. */
	OK(ops->consumer_mark(lanes[1], &new, journal, 9, OUTCOME_SKIPPED, &err));
	assert_int_equal(ops->consumer_mark(lanes[0], &old, journal, 9, OUTCOME_COMPLETED, &err), STATUS_NOT_FOUND);
	assert_marks("a", 0, UINT64_MAX, 100, "a 9 skipped");
	/* Replaced where it is the one that is lost, with its marks; the patterns alone where it is not. */
	assert_false(put_anew(lanes[0], "a", "[\"b\"]", 30, 3, &old));
	assert_int_equal(cursor_of(lanes[1], "a"), 10);
	assert_true(put_anew(lanes[0], "a", "[]", 30, 3, &new));
	list = get(lanes[1], "a");
	assert_true(list.items[0].cursor == 30 && list.items[0].generation == 3);
	consumer_list_finish(&list);
	assert_marks("a", 0, UINT64_MAX, 100, "");
}

static void so_many_and_no_more(void **state)
{
	struct consumer one = {.topics = (char *)(uintptr_t) "[]", .types = (char *)(uintptr_t) "[]"}, old = {.generation = GENERATION};
	bool created;

	(void)state;
	for (int i = 0; i <= MAX; i++) {
		char name[8];

		snprintf(name, sizeof(name), "c%d", i);
		one.name = name;
		one.generation = GENERATION;
		assert_int_equal(ops->consumer_put(lanes[i % 2], &one, NULL, &created, &err), i < MAX ? STATUS_OK : STATUS_TOO_MANY);
	}
	assert_non_null(strstr(err.text, "MAX_CONSUMERS"));
	/* Those that are there may be told, and replaced; one that goes makes room. */
	one.name = (char *)(uintptr_t) "c7";
	OK(ops->consumer_put(lanes[0], &one, NULL, &created, &err));
	assert_false(created);
	OK(ops->consumer_put(lanes[0], &one, &old, &created, &err));
	assert_true(created);
	OK(ops->consumer_delete(lanes[0], "c3", &err));
	one.name = (char *)(uintptr_t) "anew";
	OK(ops->consumer_put(lanes[1], &one, NULL, &created, &err));
}

static atomic_int turn, unwanted;

static void *advance_and_mark(void *lane)
{
	struct err own;
	int n;

	while ((n = atomic_fetch_add(&turn, 1)) < ROUNDS) {
		if (advance(lane, "a", (uint64_t)n, &own) != STATUS_OK)
			atomic_fetch_add(&unwanted, 1);
		if (mark(lane, "a", 1000 + (uint64_t)n % 7, n % 2 ? OUTCOME_SKIPPED : OUTCOME_COMPLETED, &own) != STATUS_OK)
			atomic_fetch_add(&unwanted, 1);
		if (advance(lane, "a", (uint64_t)n / 2, &own) != STATUS_OK)
			atomic_fetch_add(&unwanted, 1);
	}
	return NULL;
}

static void two_at_once(void **state)
{
	struct consumer_mark_list list = {0};
	pthread_t thread;

	(void)state;
	put(lanes[0], "a", "[]", 0);
	atomic_store(&turn, 0);
	pthread_create(&thread, NULL, advance_and_mark, lanes[1]);
	advance_and_mark(lanes[0]);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&unwanted), 0);
	assert_int_equal(cursor_of(lanes[0], "a"), ROUNDS - 1);
	OK(ops->consumer_marks(lanes[0], "a", 0, UINT64_MAX, 100, &list, &err));
	assert_int_equal(list.count, 7);
	consumer_mark_list_finish(&list);
}

static void marks_have_a_bound(void **state)
{
	struct mark_budget budget = {0};
	int64_t count = 0, counted = 0;

	(void)state;
	for (;; count++) {
		if (mark_budget_take(&budget, "a"))
			continue;
		counted++;
		if (mark_budget_counted(&budget, "a", count, 10, 10 + (uint64_t)count, &err) != STATUS_OK)
			break;
	}
	assert_int_equal(count, MARKS_MAX);
	assert_true(counted < 500);
	assert_non_null(strstr(err.text, "\"a\""));
	/* What all of them wait for may always be settled. */
	OK(mark_budget_counted(&budget, "a", MARKS_MAX, 10, 9, &err));
	assert_false(mark_budget_take(&budget, "a"));
	/* Some are acknowledged, and it goes on; another one is not concerned. */
	OK(mark_budget_counted(&budget, "a", MARKS_MAX - 1, 10, 11, &err));
	assert_false(mark_budget_take(&budget, "a"));
	assert_false(mark_budget_take(&budget, "b"));
	OK(mark_budget_counted(&budget, "b", 0, 0, 11, &err));
	assert_true(mark_budget_take(&budget, "b"));
}

static void is_full(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) { /* counted by each lane */
		assert_int_equal(mark(lanes[i], "full", 1000000, OUTCOME_COMPLETED, &err), STATUS_TOO_MANY);
		assert_non_null(strstr(err.text, "\"full\""));
	}
	/* What all wait for, and what is behind. */
	OK(mark(lanes[0], "full", 11, OUTCOME_COMPLETED, &err));
	OK(mark(lanes[0], "full", 9, OUTCOME_SKIPPED, &err));
	OK(advance(lanes[1], "full", 50000, &err));
	OK(mark(lanes[0], "full", 1000000, OUTCOME_COMPLETED, &err));
}

static int begin_full(void **state)
{
	(void)state;
	lanes[0] = ops->lane_create(source);
	lanes[1] = ops->lane_create(source);
	return 0;
}

/* -- a database ------------------------------------------------------------------------------------------------------- */

static void choose(const char *folder)
{
	config.poll_interval_ms = 250;
	config.retention_ms = 3600000;
	config.consumer_max_silence_ms = 3600000;
	config.max_consumers = MAX;
	config.drain_max = 1000;
	config.statement_timeout_ms = 10000;
	config.auth_table_optional = true;
	config.auth_table = "auth";
	config.auth_column = "token";
	config.auth_user_column = "id";
	config.url = getenv("POSTGRES_DATABASE_URL");
	config.database = getenv("MYSQL_DATABASE");
	config.host = getenv("MYSQL_HOST");
	config.port = getenv("MYSQL_PORT") ? (int)strtol(getenv("MYSQL_PORT"), NULL, 10) : 3306;
	config.user = getenv("MYSQL_USERNAME");
	config.password = getenv("MYSQL_PASSWORD");
	config.outbox = "esink_pubsub";
	config.path = getenv("SQLITE_PATH") ? mem_text(getenv("SQLITE_PATH")) : mem_format("%s/shop.db", folder);
	ops = config.database ? &mysql_source : config.url ? &postgres_source : &sqlite_source;
}

/* A relay with other rules, which has just ended, may seem to be at work for some seconds more. */
static bool open_patiently(void)
{
	for (int64_t until = clock_ms() + 10000;;) {
		enum status status = ops->open(source, &head, &err);

		if (status == STATUS_OK || status != STATUS_CONFLICT || clock_ms() >= until)
			return status == STATUS_OK;
		nanosleep(&(struct timespec){0, 50000000}, NULL);
	}
}

static void remove_files(const char *folder)
{
	static const char *const ends[] = {"", "-wal", "-shm", "-esink"};

	for (size_t i = 0; !getenv("SQLITE_PATH") && i < sizeof(ends) / sizeof(*ends); i++) {
		char *path = mem_format("%s%s", config.path, ends[i]);

		unlink(path);
		free(path);
	}
	rmdir(folder);
	free((char *)(uintptr_t)config.path);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest full[] = {cmocka_unit_test_setup_teardown(is_full, begin_full, end)};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(comes_stays_and_goes, begin, end),
		cmocka_unit_test_setup_teardown(goes_on_and_never_back, begin, end),
		cmocka_unit_test_setup_teardown(keeps_marks, begin, end),
		cmocka_unit_test_setup_teardown(another_one_of_the_same_name, begin, end),
		cmocka_unit_test_setup_teardown(so_many_and_no_more, begin, end),
		cmocka_unit_test_setup_teardown(two_at_once, begin, end),
		cmocka_unit_test(marks_have_a_bound),
	};
	char folder[] = "/tmp/esink-consumers-XXXXXX";
	struct ruleset *rules = ruleset_create(&(struct ruleset_text){.auth_table = "auth", .auth_column = "token"}, &err);
	int failed = 1, stop = eventfd(0, 0);

	log_init(LOG_WARN, 0);
	if (!mkdtemp(folder) || !rules)
		return 1;
	config.rules = rules;
	config.stop_fd = stop;
	choose(folder);
	source = ops->create(&config);
	if (open_patiently())
		failed = argc > 1 && !strcmp(argv[1], "full") ? cmocka_run_group_tests_name(ops->name, full, NULL, NULL) :
			cmocka_run_group_tests_name(ops->name, tests, NULL, NULL);
	else
		print_error("%s: %s\n", ops->name, err.text);
	ops->close(source);
	ops->destroy(source);
	ruleset_destroy(rules);
	remove_files(folder);
	close(stop);
	return failed;
}
