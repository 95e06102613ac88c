/* Prevents: a request that is answered for somebody else, or with no token at all; one whose requester has gone being answered
 * all the same; requests that crowd the database with look-ups, or keep sessions from theirs; tokens of those who have gone that
 * pile up while the token table is locked.
 */
#include "hub/internal.h"
#include "world.h"

#include <stdio.h>

static size_t answers;
static enum status last;
static char who[32];

static void on_answer(void *context, enum status status, struct identity *identity)
{
	assert_ptr_equal(context, &answers);
	answers++;
	last = status;
	who[0] = 0;
	assert_int_equal(status == STATUS_OK, identity != NULL);
	if (!identity)
		return;
	snprintf(who, sizeof(who), "%s", identity->kind == IDENTITY_OPERATOR ? "the operator" : identity->kind == IDENTITY_TEST ? "TEST" : identity->user);
	free(identity->user);
}

static struct inquiry *ask(struct world *world, const char *token)
{
	answers = 0;
	return hub_inquire(world->hub, span_of(token), on_answer, &answers);
}

static void assert_answer(enum status status, const char *expected)
{
	assert_int_equal(answers, 1);
	assert_int_equal(last, status);
	assert_string_equal(who, expected);
}

static void test_at_once(void **state)
{
	struct world *world = *state;
	char *good = jwt_of("8", 60), *old = jwt_of("8", -60);
	const struct {
		const char *token;
		enum status status;
		const char *who;
	} cases[] = {{OPERATOR, STATUS_OK, "the operator"}, {"TEST", STATUS_OK, "TEST"}, {good, STATUS_OK, "8"}, {old, STATUS_UNAUTHORIZED, ""},
		{"", STATUS_UNAUTHORIZED, ""}, {NULL, STATUS_UNAUTHORIZED, ""}, {"a\xff", STATUS_UNAUTHORIZED, ""}, {"a.b.c", STATUS_UNAUTHORIZED, ""}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_null(ask(world, cases[i].token));
		assert_answer(cases[i].status, cases[i].who);
	}
	assert_int_equal(world->lookup_count, 0);
	free(good);
	free(old);
}

static void test_looked_up(void **state)
{
	static const struct {
		enum status found;
		const char *user;
		enum status status;
		const char *who;
	} cases[] = {{STATUS_OK, "7", STATUS_OK, "7"}, {STATUS_OK, "", STATUS_UNAUTHORIZED, ""}, {STATUS_UNAUTHORIZED, NULL, STATUS_UNAUTHORIZED, ""},
		{STATUS_UNAVAILABLE, NULL, STATUS_UNAVAILABLE, ""}, {STATUS_TIMEOUT, NULL, STATUS_UNAVAILABLE, ""}};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_non_null(ask(world, "token"));
		assert_int_equal(answers, 0);
		lookup_answer(world, cases[i].found, cases[i].user, true);
		assert_answer(cases[i].status, cases[i].who);
	}
	hub_tick(world->hub);
	assert_int_equal(world->lookup_count, 0); /* is not tried again */
}

static void test_forgotten(void **state)
{
	struct world *world = *state;

	inquiry_forget(ask(world, "token"));
	lookup_answer(world, STATUS_OK, "7", true);
	assert_int_equal(answers, 0);
	inquiry_forget(NULL);
}

static void test_bounded_together_with_sessions(void **state)
{
	struct world *world = *state;
	struct client *client;
	struct inquiry *waits, *goes;

	world->config.max_pending_auth = 1;
	assert_non_null(ask(world, "first"));
	client = client_open(world, "second", NULL);
	goes = ask(world, "third");
	waits = ask(world, "fourth");
	assert_int_equal(world->lookup_count, 1);
	inquiry_forget(goes);
	lookup_answer(world, STATUS_OK, "1", false);
	assert_int_equal(world->lookup_count, 1);
	lookup_answer(world, STATUS_OK, "2", false);
	assert_sent(client, "connected");
	answers = 0;
	assert_non_null(waits);
	lookup_answer(world, STATUS_OK, "4", false);
	assert_answer(STATUS_OK, "4");
}

static void test_who_has_gone_does_not_wait(void **state)
{
	struct world *world = *state;
	struct inquiry *waits[4];

	world->config.max_pending_auth = 1;
	assert_non_null(ask(world, "first"));
	for (int i = 0; i < 100; i++)
		inquiry_forget(ask(world, "another"));
	assert_null(world->hub->lookups);
	for (int i = 0; i < 4; i++)
		waits[i] = ask(world, (const char *[]){"a", "b", "c", "d"}[i]);
	inquiry_forget(waits[3]); /* the last, one between, the first */
	inquiry_forget(waits[1]);
	inquiry_forget(waits[0]);
	waits[0] = ask(world, "e");
	lookup_answer(world, STATUS_OK, "1", false);
	for (const char *next = "ce"; *next; next++) {
		assert_int_equal(world->lookup_count, 1);
		assert_int_equal(world->lookups[0]->token[0], *next);
		lookup_answer(world, STATUS_OK, "1", false);
	}
	assert_int_equal(world->lookup_count, 0);
	assert_null(world->hub->lookups);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_at_once),
		IN_A_WORLD(test_looked_up),
		IN_A_WORLD(test_forgotten),
		IN_A_WORLD(test_bounded_together_with_sessions),
		IN_A_WORLD(test_who_has_gone_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
