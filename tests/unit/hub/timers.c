/* Prevents: a session that hangs for ever: one that never authenticates, takes no bytes, answers no
 * ping; and a quiet one whose resume point grows old.
 */
#include "world.h"

#include "hub/internal.h"

static void test_no_auth_message(void **state)
{
	struct world *world = *state;
	struct client *client;

	world->config.auth_timeout_ms = 20;
	client = client_open(world, NULL, NULL);
	hub_tick(world->hub);
	assert_false(client->closed);
	pause_ms(30);
	hub_tick(world->hub);
	assert_sent(client, "error:401");
	assert_int_equal(client->reason, CLOSE_AUTH_TIMEOUT);
}

static void test_stalled_is_closed_slow_is_not(void **state)
{
	struct world *world = *state;
	struct client *stalled, *slow;

	world->config.slow_timeout_ms = 40;
	stalled = client_of(world, "7");
	slow = client_of(world, "7");
	stalled->next = slow->next = SEND_BEHIND;
	publish(world, "7");
	for (int i = 0; i < 4; i++) {
		hub_tick(world->hub);
		pause_ms(15);
		slow->progress++;
	}
	hub_tick(world->hub);
	assert_int_equal(stalled->reason, CLOSE_SLOW);
	assert_true(stalled->closed);
	assert_false(slow->closed);
}

static void test_no_answer_to_a_ping(void **state)
{
	struct world *world = *state;
	struct client *answers, *silent, *stream;

	world->config.heartbeat_ms = 20;
	world->config.heartbeat_timeout_ms = 30;
	answers = client_of(world, "7");
	silent = client_of(world, "7");
	stream = stream_open(world, "7", NULL);
	lookup_answer(world, STATUS_OK, "7", false);
	for (int i = 0; i < 10; i++) {
		pause_ms(10);
		hub_tick(world->hub);
		if (answers->session.pinged)
			session_heard(&answers->session);
	}
	assert_true(answers->heartbeats >= 2);
	assert_false(answers->closed);
	assert_int_equal(silent->heartbeats, 1);
	assert_int_equal(silent->reason, CLOSE_GONE_QUIET);
	assert_false(stream->closed);
}

/* A ping waits in line behind what the peer takes slowly; one that hangs has a kernel that takes. */
static void test_a_late_answer_to_a_ping(void **state)
{
	struct world *world = *state;
	struct client *slow, *hangs, *unplugged;

	world->config.heartbeat_ms = 20;
	world->config.heartbeat_timeout_ms = 30;
	slow = client_of(world, "7");
	hangs = client_of(world, "7");
	unplugged = client_of(world, "7");
	slow->in_flight = unplugged->in_flight = 1000;
	for (int i = 0; i < 12; i++) {
		pause_ms(10);
		slow->progress++;
		hangs->progress++;
		hub_tick(world->hub);
	}
	assert_false(slow->closed);
	assert_int_equal(hangs->reason, CLOSE_GONE_QUIET);
	assert_int_equal(unplugged->reason, CLOSE_GONE_QUIET);
	slow->progress += 1000;
	for (int i = 0; i < 2; i++) {
		pause_ms(40);
		slow->progress++;
		hub_tick(world->hub);
	}
	assert_int_equal(slow->reason, CLOSE_GONE_QUIET);
}

/* Its kernel takes every event as it comes: that proves nothing. */
static void test_hangs_while_events_flow(void **state)
{
	struct world *world = *state;
	struct client *hangs, *answers;

	world->config.heartbeat_ms = 20;
	world->config.heartbeat_timeout_ms = 30;
	hangs = client_of(world, "7");
	answers = client_of(world, "7");
	for (int i = 0; i < 16; i++) {
		pause_ms(5);
		publish(world, "7");
		hangs->progress += 300;
		answers->progress += 300;
		hub_tick(world->hub);
		if (answers->session.pinged)
			session_heard(&answers->session);
	}
	assert_int_equal(hangs->reason, CLOSE_GONE_QUIET);
	assert_false(answers->closed);
}

static void test_quiet_sessions_get_a_position(void **state)
{
	struct world *world = *state;
	struct client *socket, *stream, *test;

	world->config.position_ms = world->config.heartbeat_ms = 20;
	socket = client_of(world, "7");
	stream = stream_open(world, "7", NULL);
	lookup_answer(world, STATUS_OK, "7", false);
	test = client_test(world);
	client_forget(test);
	client_forget(stream);
	publish_many(world, "8", 5);
	pause_ms(30);
	hub_tick(world->hub);
	hub_tick(world->hub);
	assert_string_equal(
		json_string_value(json_object_get(message_data(socket, 0), "journal")), JOURNAL);
	client_read(stream);
	assert_string_equal(
		json_string_value(json_object_get(stream->messages[0], "id")), JOURNAL ":105");
	assert_sent(socket, "position:105");
	assert_sent(stream, "position:105");
	assert_sent(test, "");
}

/* A position must never promise more than was sent. */
static void test_no_position_while_behind(void **state)
{
	struct world *world = *state;
	struct client *client;

	world->config.position_ms = 10;
	client = client_of(world, "7");
	client->next = SEND_BEHIND;
	publish_many(world, "7", 2);
	client->next = SEND_ALL;
	publish_many(world, "7", 2);
	pause_ms(20);
	hub_tick(world->hub);
	assert_ids(client, 101, 102);
	client_writable(client);
	assert_ids(client, 103, 104);
	pause_ms(20);
	hub_tick(world->hub);
	assert_sent(client, "position:104");
}

static void test_samples(void **state)
{
	struct world *world = *state;
	struct client *test = client_test(world);

	assert_sent(test, "connected changes:0");
	hub_tick(world->hub);
	assert_sent(test, "");
	test->session.sample_at -= SAMPLE_MS;
	hub_tick(world->hub);
	assert_string_equal(
		json_string_value(json_object_get(message_data(test, 0), "table")), "esink_test");
	assert_sent(test, "changes:0");
}

/* A tick in which sessions end, in their own callback, still visits the others. */
static void test_sessions_end_during_a_tick(void **state)
{
	struct world *world = *state;
	struct client *clients[10];

	world->config.auth_timeout_ms = 5;
	for (int i = 0; i < 10; i++) {
		clients[i] = client_open(world, NULL, NULL);
		clients[i]->vanish_on_close = i % 2;
		clients[i]->vanish_on_send = i % 3 == 0;
	}
	pause_ms(10);
	hub_tick(world->hub);
	for (int i = 0; i < 10; i++)
		assert_true(clients[i]->closed || clients[i]->vanish_on_send);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_no_auth_message),
		IN_A_WORLD(test_stalled_is_closed_slow_is_not),
		IN_A_WORLD(test_no_answer_to_a_ping),
		IN_A_WORLD(test_a_late_answer_to_a_ping),
		IN_A_WORLD(test_hangs_while_events_flow),
		IN_A_WORLD(test_quiet_sessions_get_a_position),
		IN_A_WORLD(test_no_position_while_behind),
		IN_A_WORLD(test_samples),
		IN_A_WORLD(test_sessions_end_during_a_tick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
