/* Prevents: an event reaching a user whom it does not name, or one that it names not reaching every
 * one of their sessions; a TEST session seeing anything real; a subscription that looks at a type
 * which the session is not shown.
 */
#include "world.h"

static void test_only_the_named_users(void **state)
{
	struct world *world = *state;
	struct client *seven = client_of(world, "7"), *again = client_of(world, "7"),
		      *eight = client_of(world, "8"), *odd = client_of(world, "constructor"),
		      *star = client_of(world, "*"), *none = client_open(world, NULL, NULL);

	publish(world, "7");
	publish(world, "8,7");
	publish(world, "constructor");
	publish(world, "");
	publish(world, "77");
	assert_sent(seven, "changes:101 changes:102");
	assert_sent(again, "changes:101 changes:102");
	assert_sent(eight, "changes:102");
	assert_sent(odd, "changes:103");
	assert_sent(star, "");
	assert_sent(none, "");
}

static void test_a_user_called_star_is_a_user(void **state)
{
	struct world *world = *state;
	struct client *star = client_of(world, "*"), *seven = client_of(world, "7");
	struct span users[] = {{"*", 1}};

	publish_parts(world, (struct event_parts){.users = users, .user_count = 1});
	assert_sent(star, "changes:101");
	assert_sent(seven, "");
}

static void test_broadcast_reaches_users_and_operator_not_test(void **state)
{
	struct world *world = *state;
	struct client *seven = client_of(world, "7"), *boss = client_operator(world),
		      *test = client_test(world),
		      *waiting = client_open(world, "unknown yet", NULL);

	client_forget(test);
	publish(world, "*");
	assert_sent(seven, "changes:101");
	assert_sent(boss, "changes:101");
	assert_sent(test, "");
	assert_sent(waiting, "");
}

static void test_test_sessions_see_nothing_real(void **state)
{
	struct world *world = *state;
	struct client *test = client_test(world);
	struct span users[] = {{"-1", 2}};

	assert_sent(test, "connected changes:0");
	publish_parts(world, (struct event_parts){.users = users, .user_count = 1});
	publish(world, "*");
	publish(world, "TEST");
	assert_sent(test, "");
	client_say(test,
		"{\"event\":\"event\",\"data\":{\"table\":\"x\",\"type\":\"t\",\"data\":{}}}");
	assert_sent(test, "error:403");
	assert_int_equal(world->publish_count, 0);
}

static void test_a_real_user_called_minus_one_is_no_test_session(void **state)
{
	struct world *world = *state;
	struct client *user = client_of(world, "-1"), *test = client_test(world);
	struct span users[] = {{"-1", 2}};

	client_forget(test);
	publish_parts(world, (struct event_parts){.users = users, .user_count = 1});
	assert_sent(user, "changes:101");
	assert_sent(test, "");
}

static void test_classes(void **state)
{
	struct world *world = *state;
	struct client *stays = client_of(world, "1"), *enters = client_of(world, "2"),
		      *leaves = client_of(world, "3"), *boss = client_operator(world);
	struct span users[] = {{"1", 1}, {"2", 1}}, old_users[] = {{"1", 1}, {"3", 1}};

	publish_parts(world, (struct event_parts){.rerouted = true,
				     .users = users,
				     .user_count = 2,
				     .old_users = old_users,
				     .old_user_count = 2,
				     .old = span_of("{\"id\":1,\"a\":0}"),
				     .old_key = span_of("{\"id\":1}"),
				     .data = span_of("{\"id\":1,\"a\":1}")});
	assert_non_null(json_object_get(message_data(stays, 0), "old"));
	assert_null(json_object_get(message_data(enters, 0), "old"));
	assert_null(json_object_get(message_data(leaves, 0), "old"));
	assert_non_null(json_object_get(message_data(boss, 0), "old"));
	assert_int_equal(json_object_size(json_object_get(message_data(leaves, 0), "data")), 1);
	assert_sent(stays, "changes:101");
	assert_sent(enters, "changes:101");
	assert_sent(leaves, "changes:101:delete");
	assert_sent(boss, "changes:101");
}

static void test_operator_sees_what_nobody_sees(void **state)
{
	struct world *world = *state;
	struct client *boss = client_operator(world);

	publish(world, "");
	publish(world, "7");
	assert_sent(boss, "changes:101 changes:102");
}

static void test_subscription_looks_at_the_type_as_shown(void **state)
{
	struct world *world = *state;
	struct client *user = client_of(world, "3");
	struct span old_users[] = {{"3", 1}};
	struct event_parts leaving = {
		.rerouted = true, .old_users = old_users, .old_user_count = 1};

	client_say(user, "{\"event\":\"subscribe\",\"data\":{\"types\":[\"update\"]}}");
	publish_parts(world, leaving);
	publish(world, "3");
	assert_sent(user, "subscribed changes:102");
	client_say(user,
		"{\"event\":\"subscribe\",\"data\":{\"types\":[\"delete\"],\"topics\":[\"ord\"]}}");
	publish_parts(world, leaving);
	publish(world, "3");
	assert_sent(user, "subscribed changes:103:delete");
	client_say(user, "{\"event\":\"unsubscribe\",\"data\":{}}");
	publish(world, "3");
	assert_sent(user, "subscribed changes:105");
}

static void test_an_audience_larger_than_the_house(void **state)
{
	struct world *world = *state;
	struct client *last = client_of(world, "999"), *none = client_of(world, "1000");
	struct span users[1000];
	char ids[1000][4];

	for (int i = 0; i < 1000; i++) {
		for (int digit = 2, n = i; digit >= 0; digit--, n /= 10)
			ids[i][digit] = (char)('0' + n % 10);
		users[i] = (struct span){ids[i], 3};
	}
	publish_parts(world, (struct event_parts){.users = users, .user_count = 1000});
	assert_sent(last, "changes:101");
	assert_sent(none, "");
}

static void test_publishers_learn_who_was_shown_it(void **state)
{
	struct world *world = *state;
	struct client *seven = client_of(world, "7"), *picky = client_of(world, "7");
	struct span users[] = {{"7", 1}};

	client_of(world, "8");
	client_say(picky, "{\"event\":\"subscribe\",\"data\":{\"topics\":[\"other\"]}}");
	publish_parts(world, (struct event_parts){.users = users,
				     .user_count = 1,
				     .ref = span_of("0123456789abcdef0123456789abcdef")});
	assert_int_equal(world->shown_calls, 1);
	assert_string_equal(world->shown, seven->session.id);
	publish(world, "7");
	assert_int_equal(world->shown_calls, 1);
	publish_parts(
		world, (struct event_parts){.ref = span_of("0123456789abcdef0123456789abcdef")});
	assert_int_equal(world->shown_calls, 2);
	assert_string_equal(world->shown, "");
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_only_the_named_users),
		IN_A_WORLD(test_a_user_called_star_is_a_user),
		IN_A_WORLD(test_broadcast_reaches_users_and_operator_not_test),
		IN_A_WORLD(test_test_sessions_see_nothing_real),
		IN_A_WORLD(test_a_real_user_called_minus_one_is_no_test_session),
		IN_A_WORLD(test_classes),
		IN_A_WORLD(test_operator_sees_what_nobody_sees),
		IN_A_WORLD(test_subscription_looks_at_the_type_as_shown),
		IN_A_WORLD(test_an_audience_larger_than_the_house),
		IN_A_WORLD(test_publishers_learn_who_was_shown_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
