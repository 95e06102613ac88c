/* Prevents: a topic that falls silent, or a good pattern that is refused, because the system took the processor for something
 * else while it was tried: that passes on the clock of whoever was there. And patterns that are tried for ever.
 *
 * The clocks are this program's own, linked before the real ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "rules/topics.h"

static int64_t now_us, step_us; /* step_us: passes with each look at the clock */
static unsigned jump_at;        /* the look at which 1 s is gone; 0: none */

int64_t clock_us(void)
{
	return now_us;
}

int64_t clock_ms(void)
{
	return now_us / 1000;
}

int64_t clock_wall_ms(void)
{
	return now_us / 1000;
}

int64_t clock_thread_us(void)
{
	now_us += step_us;
	if (jump_at && !--jump_at)
		now_us += 1000000;
	return now_us;
}

static enum status subscribe(struct subscription **ret, struct err *err)
{
	const struct span topics[] = {span_of("customers$"), span_of("orders$")};

	return subscription_create(topics, 2, NULL, 0, 100, 1000, ret, err);
}

static bool wants(struct subscription *s, const char *topic)
{
	return subscription_wants(s, span_of(topic), span_of("update"));
}

static void test_a_verdict_that_was_cut_off_is_tried_again(void **state)
{
	struct subscription *s = NULL;

	(void)state;
	assert_int_equal(subscribe(&s, NULL), STATUS_OK);
	jump_at = 3; /* between the two patterns */
	assert_false(wants(s, "orders"));
	assert_int_equal(jump_at, 0);
	assert_true(wants(s, "orders"));
	/* From then on it is known. */
	step_us = 1000000;
	assert_true(wants(s, "orders"));
	step_us = 0;
	subscription_destroy(s);
}

/* What is too slow a second time is too slow, and is not tried a third time. */
static void test_tried_twice(void **state)
{
	struct subscription *s = NULL;
	int64_t before;

	(void)state;
	assert_int_equal(subscribe(&s, NULL), STATUS_OK);
	step_us = 1000000;
	assert_false(wants(s, "orders"));
	assert_false(wants(s, "orders"));
	before = now_us;
	assert_false(wants(s, "orders"));
	assert_int_equal(now_us, before);
	step_us = 0;
	subscription_destroy(s);
}

static void test_a_trial_that_was_cut_off(void **state)
{
	struct subscription *s = NULL;
	struct err err = {""};

	(void)state;
	jump_at = 2;
	assert_int_equal(subscribe(&s, &err), STATUS_OK);
	assert_int_equal(jump_at, 0);
	assert_true(wants(s, "orders"));
	subscription_destroy(s);
	s = NULL;
	step_us = 1000000;
	assert_int_equal(subscribe(&s, &err), STATUS_INVALID);
	step_us = 0;
	assert_null(s);
	assert_non_null(strstr(err.text, "took longer than the 5 ms allowed"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_verdict_that_was_cut_off_is_tried_again),
		cmocka_unit_test(test_tried_twice),
		cmocka_unit_test(test_a_trial_that_was_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
