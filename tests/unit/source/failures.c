/* Prevents: a log with a line for each session and second while the database is away, or with two lines for each time that something
 * works in between; a relay that is «not ready» for a moment because a table was swapped, or for ever because it once was refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "source/failures.h"

static bool add(struct failures *failures, int64_t now, const char *why)
{
	struct err err;

	snprintf(err.text, sizeof(err.text), "%s", why);
	return failures_add(failures, now, &err);
}

static void one_line_a_reason(void **state)
{
	struct failures failures;

	(void)state;
	failures_init(&failures);
	failures_worked(&failures);
	assert_int_equal(failures_settled(&failures, 100), 0);
	assert_true(add(&failures, 100, "lost"));
	assert_false(failures_pending(&failures));
	for (int64_t now = 200; now < 1200; now++) { /* they take turns */
		assert_int_equal(add(&failures, now, "refused"), now == 200);
		assert_false(add(&failures, now, "lost"));
	}
	failures_worked(&failures);
	assert_true(failures_pending(&failures));
	assert_int_equal(failures_settled(&failures, 1300), 0);
	assert_false(add(&failures, 1300, "lost")); /* now and then */
	assert_int_equal(failures_settled(&failures, 9000), 0);
	failures_worked(&failures);
	assert_int_equal(failures_settled(&failures, 2299), 0);
	assert_int_equal(failures_settled(&failures, 2300), 2002);
	assert_int_equal(failures_settled(&failures, 2301), 0);
	assert_false(failures_pending(&failures));
	assert_true(add(&failures, 5000, "lost")); /* another time */
	failures_finish(&failures);
}

/* A driver that puts a number of its own into each sentence would be a line each again. */
static void bounded_whatever_the_reasons(void **state)
{
	struct failures failures;
	char why[32];
	int said = 0;

	(void)state;
	failures_init(&failures);
	for (int i = 0; i < 1000; i++) {
		snprintf(why, sizeof(why), "event %d", i);
		said += add(&failures, 1000 + i, why);
	}
	assert_int_equal(said, FAILURES_REASONS);
	assert_true(add(&failures, 1000 + FAILURES_REASONS - 1 + FAILURES_MORE_MS, "later"));
	assert_false(add(&failures, 1000 + FAILURES_REASONS + FAILURES_MORE_MS, "and later"));
	failures_finish(&failures);
}

/* Nobody asked in between, so nobody knows whether it worked. */
static void said_again_when_it_is_long_ago(void **state)
{
	struct failures failures;

	(void)state;
	failures_init(&failures);
	assert_true(add(&failures, 1000, "away"));
	assert_false(add(&failures, FAILURES_FORGET_MS + 999, "away"));
	assert_true(add(&failures, 2 * FAILURES_FORGET_MS + 999, "away"));
	failures_finish(&failures);
}

static void complains_of_what_lasts(void **state)
{
	struct failures failures;
	struct err err = {"left over"};

	(void)state;
	failures_init(&failures);
	add(&failures, 100000, "no table");
	assert_true(failures_go_on(&failures));
	add(&failures, 104000, "no right");
	failures_complaint(&failures, 104999, &err);
	assert_string_equal(err.text, "");
	failures_complaint(&failures, 105000, &err);
	assert_string_equal(err.text, "no right");
	failures_worked(&failures);
	failures_complaint(&failures, 105000, &err);
	assert_string_equal(err.text, "");
	add(&failures, 105001, "no right");
	failures_complaint(&failures, 105002, &err);
	assert_string_equal(err.text, "");
	failures_worked(&failures);
	add(&failures, 111000, "no connection left");
	add(&failures, 112000, "no answer");
	assert_true(failures_go_on(&failures));
	failures_complaint(&failures, 115999, &err);
	assert_string_equal(err.text, "");
	failures_complaint(&failures, 116000, &err);
	assert_string_equal(err.text, "no answer");
	failures_finish(&failures);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(one_line_a_reason), cmocka_unit_test(bounded_whatever_the_reasons),
		cmocka_unit_test(said_again_when_it_is_long_ago), cmocka_unit_test(complains_of_what_lasts)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
