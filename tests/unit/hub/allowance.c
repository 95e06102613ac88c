/* Prevents: one user whose topic patterns take a network thread's time from all others, by sending them again and again, in many
 * sessions, or by reconnecting; others who pay for it; ordinary patterns that are refused.
 */
#include "world.h"

#include <stdio.h>

#include "base/clock.h"
#include "hub/internal.h"

#define SUBSCRIBE(topics) "{\"event\":\"subscribe\",\"data\":{\"topics\":[" topics "]}}"
#define COSTLY SUBSCRIBE("\"(?:(?:(?:a?){20}){20}){8}\",\"(?:(?:(?:b?){20}){20}){8}\",\"(?:(?:(?:c?){20}){20}){8}\"")
#define TRIES 3000

/* How often it was looked at until it was refused for the time it took. */
static int ask_until_refused(struct client *client, const char *subscribe)
{
	for (int i = 0; i < TRIES; i++) {
		int code;

		client_forget(client);
		client_say(client, subscribe);
		client_read(client);
		code = (int)json_integer_value(json_object_get(message_data(client, 0), "code"));
		if (code == 429)
			return i;
	}
	fail_msg("%d subscriptions, and none too many", TRIES);
	return TRIES;
}

static void test_a_user_has_a_share(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7"), *second = client_of(world, "7"), *other = client_of(world, "8"), *late;
	struct span plain = span_of("orders");
	struct session_request request = {.token = {"t", 1}, .topics = &plain, .topic_count = 1};

	assert_true(ask_until_refused(client, COSTLY) > 0);
	assert_non_null(strstr(json_string_value(json_object_get(message_data(client, 0), "message")), "subscribe again in 1 s"));
	client_forget(client);
	client_say(second, SUBSCRIBE("\"orders\""));
	client_say(other, SUBSCRIBE("\"orders\""));
	assert_sent(second, "error:429");
	assert_sent(other, "subscribed");
	/* What it received before, it receives. */
	publish(world, "7");
	assert_sent(client, "changes:101");

	client_gone(client);
	client_gone(second);
	late = client_open_with(world, &fake_websocket, &request);
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(late, "error:429");
	assert_int_equal(late->reason, CLOSE_TOO_MANY);

	pause_ms(5000);
	late = client_open_with(world, &fake_websocket, &request);
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(late, "connected");
}

/* One that meets new topics until it has taken so much of the thread. */
static struct client *takes(struct world *world, int64_t us)
{
	struct span costly[5], seven = span_of("7");
	struct session_request request = {.token = {"t", 1}, .topics = costly, .topic_count = 5};
	struct client *client;
	char topic[240], digits[12];
	int64_t began;

	for (size_t i = 0; i < 5; i++)
		costly[i] = span_of(".*_.*_.*[lm]");
	client = client_open_with(world, &fake_websocket, &request);
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(client, "connected");
	memset(topic, '_', sizeof(topic));
	began = clock_thread_us();
	for (int i = 0; clock_thread_us() - began < us; i++) {
		memcpy(topic, digits, (size_t)snprintf(digits, sizeof(digits), "%d", i));
		publish_parts(world, (struct event_parts){.topic = {topic, sizeof(topic)}, .users = &seven, .user_count = 1});
	}
	assert_sent(client, "");
	return client;
}

static struct client *comes_with_a_pattern(struct world *world)
{
	struct span plain = span_of("orders");
	struct session_request request = {.token = {"t", 1}, .topics = &plain, .topic_count = 1};
	struct client *client = client_open_with(world, &fake_websocket, &request);

	lookup_answer(world, STATUS_OK, "7", false);
	return client;
}

static void test_what_topics_take_counts_as_well(void **state)
{
	client_gone(takes(*state, 600000));
	assert_sent(comes_with_a_pattern(*state), "error:429");
}

/* A session that lives long is not presented with the bill of a day when it reconnects. */
static void test_it_is_paid_as_it_arises(void **state)
{
	struct world *world = *state;
	struct client *client = takes(world, 600000);

	hub_tick(world->hub);
	pause_ms(10000);
	client_gone(client);
	assert_sent(comes_with_a_pattern(world), "connected");
}

static void test_ordinary_patterns_are_free(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");

	for (int i = 0; i < 300; i++) {
		client_say(client, SUBSCRIBE("\"orders\""));
		assert_sent(client, "subscribed");
	}
}

static void test_an_operator_owes_nothing(void **state)
{
	struct client *client = client_operator(*state);

	client_forget(client);
	for (int i = 0; i < 50; i++) {
		client_say(client, COSTLY);
		client_read(client);
		assert_int_not_equal(json_integer_value(json_object_get(message_data(client, 0), "code")), 429);
		client_forget(client);
	}
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_a_user_has_a_share),
		IN_A_WORLD(test_what_topics_take_counts_as_well),
		IN_A_WORLD(test_it_is_paid_as_it_arises),
		IN_A_WORLD(test_ordinary_patterns_are_free),
		IN_A_WORLD(test_an_operator_owes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
