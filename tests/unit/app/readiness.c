/* Prevents: a load balancer that is told «ready» while nothing is captured, while columns are wrong, or while the relay is
 * about to end; and an answer of 503 without a reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "app/readiness.h"

static void complain(void *source, struct err *err)
{
	snprintf(err->text, sizeof(err->text), "%s", (const char *)source);
}

static const struct source_ops complaining = {.name = "fake", .complaint = complain};
static const struct source_ops content = {.name = "fake"};

static void complain_also(void *context, struct err *err)
{
	snprintf(err->text, sizeof(err->text), "%s", *(const char **)context);
}

enum step { LIVE, AWAY, STOPPING };

static const struct {
	const struct source_ops *ops;
	const char *complaint;
	enum step steps[4];
	size_t count;
	const char *reason; /* NULL: ready */
	const char *also;   /* what is complained of beside the source; NULL: nobody is asked */
} cases[] = {
	{&content, "", {0}, 0, "starting: the database was not reached yet", NULL},
	{&content, "", {LIVE}, 1, NULL, NULL},
	{NULL, "", {LIVE}, 1, NULL, NULL},
	{&complaining, "", {LIVE}, 1, NULL, NULL},
	{&complaining, "FILTERS: users.pasword is not there", {LIVE}, 1, "FILTERS: users.pasword is not there", NULL},
	{&complaining, "FILTERS: x", {LIVE, AWAY}, 2, "no connection", NULL},
	{&content, "", {AWAY}, 1, "no connection", NULL},
	{&content, "", {LIVE, AWAY, LIVE}, 3, NULL, NULL},
	{&content, "", {LIVE, STOPPING}, 2, "shutting down", NULL},
	{&content, "", {STOPPING, LIVE}, 2, "shutting down", NULL},
	{&content, "", {LIVE, STOPPING, AWAY}, 3, "shutting down", NULL},
	{&content, "", {LIVE}, 1, NULL, ""},
	{&content, "", {LIVE}, 1, "AUTH_TABLE: no right", "AUTH_TABLE: no right"},
	{&complaining, "FILTERS: x", {LIVE}, 1, "FILTERS: x", "AUTH_TABLE: no right"},
	{&content, "", {LIVE, AWAY}, 2, "no connection", "AUTH_TABLE: no right"},
};

static void tells_the_truth(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct readiness readiness;
		struct err reason = {"left over"};
		bool ready;

		readiness_init(&readiness);
		if (cases[i].ops)
			readiness_watch(&readiness, cases[i].ops, (void *)cases[i].complaint);
		if (cases[i].also)
			readiness_watch_also(&readiness, complain_also, (void *)(uintptr_t)&cases[i].also);
		for (size_t s = 0; s < cases[i].count; s++) {
			if (cases[i].steps[s] == LIVE)
				readiness_live(&readiness);
			else if (cases[i].steps[s] == AWAY)
				readiness_away(&readiness, "no connection");
			else
				readiness_stopping(&readiness);
		}
		ready = readiness_ask(&readiness, &reason);
		assert_int_equal(ready, cases[i].reason == NULL);
		assert_string_equal(reason.text, cases[i].reason ? cases[i].reason : "");
		readiness_finish(&readiness);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(tells_the_truth)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
