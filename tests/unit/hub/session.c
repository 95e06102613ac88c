/* Prevents: a session let in over a limit or counted after it has gone; `connected` said before
 * capture is live; a session that outlives its journal; a stream told of its refusal by bytes when
 * HTTP should say it.
 */
#include "world.h"

#include "base/clock.h"
#include "hub/internal.h"

static void test_connected_says_who_and_where(void **state)
{
	struct world *world = *state;
	struct client *text = client_open(world, "t1", NULL), *number, *odd, *boss, *test;

	lookup_answer(world, STATUS_OK, "7", false);
	number = client_open(world, "t2", NULL);
	lookup_answer(world, STATUS_OK, "7", true);
	odd = client_open(world, "t3", NULL);
	lookup_answer(world, STATUS_OK, "007", true);
	boss = client_open(world, OPERATOR, NULL);
	test = client_test(world);
	assert_string_equal(
		json_string_value(json_object_get(message_data(text, 0), "userId")), "7");
	assert_int_equal(json_integer_value(json_object_get(message_data(number, 0), "userId")), 7);
	assert_string_equal(
		json_string_value(json_object_get(message_data(odd, 0), "userId")), "007");
	assert_true(json_is_null(json_object_get(message_data(boss, 0), "userId")));
	assert_true(json_is_true(json_object_get(message_data(boss, 0), "operator")));
	assert_null(json_object_get(message_data(text, 0), "operator"));
	assert_string_equal(
		json_string_value(json_object_get(message_data(test, 0), "userId")), "-1");
	assert_string_equal(json_string_value(json_object_get(message_data(test, 0), "id")), "0");
	assert_string_equal(json_string_value(json_object_get(message_data(text, 0), "sessionId")),
		text->session.id);
	assert_int_equal(strlen(text->session.id), SESSION_ID_LEN);
	assert_int_equal(json_integer_value(json_object_get(message_data(text, 0), "code")), 200);
	assert_string_equal(json_string_value(json_object_get(message_data(text, 0), "message")),
		"Successfully connected.");
	assert_string_equal(
		json_string_value(json_object_get(message_data(text, 0), "journal")), JOURNAL);
	assert_string_equal(json_string_value(json_object_get(message_data(text, 0), "id")), "100");
	assert_true(json_is_false(json_object_get(message_data(text, 0), "recovered")));
}

static void test_sessions_in_all(void **state)
{
	struct world *world = *state;
	struct client *first, *third;

	world->config.max_sessions = 2;
	first = client_open(world, NULL, NULL);
	client_open(world, NULL, NULL);
	third = client_open(world, NULL, NULL);
	assert_true(third->refused);
	assert_int_equal(third->reason, CLOSE_TOO_MANY);
	assert_string_not_equal(third->refusal, "");
	client_gone(third);
	client_gone(first);
	client_gone(first);
	assert_false(client_open(world, NULL, NULL)->refused);
	assert_true(client_open(world, NULL, NULL)->refused);
}

static void test_sessions_per_address(void **state)
{
	struct world *world = *state;
	struct session_request other = {.address = "2001:db8::1"}, unknown = {0};
	struct client *first;

	world->config.max_sessions_per_address = 1;
	first = client_open(world, NULL, NULL);
	assert_true(client_open(world, NULL, NULL)->refused);
	assert_false(client_open_with(world, &fake_websocket, &other)->refused);
	assert_false(client_open_with(world, &fake_websocket, &unknown)->refused);
	assert_false(client_open_with(world, &fake_websocket, &unknown)->refused);
	client_gone(first);
	assert_false(client_open(world, NULL, NULL)->refused);
}

static void test_sessions_per_user(void **state)
{
	struct world *world = *state;
	struct client *first, *second;

	world->config.max_sessions_per_user = 1;
	first = client_of(world, "7");
	second = client_open(world, "7", NULL);
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(second, "error:429");
	assert_int_equal(second->reason, CLOSE_TOO_MANY);
	client_of(world, "8");
	client_gone(first);
	assert_false(client_of(world, "7")->closed);
}

/* The counts are the process's, not the hub's. */
static void test_limits_hold_over_hubs(void **state)
{
	struct world *world = *state;
	struct hub *mine = world->hub,
		   *other = hub_create(&world->config, world->shared, NULL, NULL);
	struct client *there;

	world->config.max_sessions = 1;
	world->hub = other;
	there = client_open(world, NULL, NULL);
	world->hub = mine;
	assert_true(client_open(world, NULL, NULL)->refused);
	client_gone(there);
	hub_destroy(other);
	assert_false(client_open(world, NULL, NULL)->refused);
}

static void test_bad_requests_are_refused(void **state)
{
	struct world *world = *state;
	char text[300];
	struct session_request long_one = {.topics = (struct span[]){{text, sizeof(text)}}, .topic_count = 1};
	struct client *client = client_open(world, "7", "yesterday");

	memset(text, 'x', sizeof(text));

	assert_true(client->refused);
	assert_int_equal(client->reason, CLOSE_BAD_MESSAGE);
	client = client_open_with(world, &fake_websocket, &long_one);
	assert_true(client->refused);
	assert_int_equal(client->reason, CLOSE_BAD_MESSAGE);
	assert_non_null(strstr(client->refusal, "has 300 bytes, at most 200 are allowed"));
	client = stream_open(world, NULL, NULL);
	assert_true(client->refused);
	assert_int_equal(client->reason, CLOSE_UNAUTHORIZED);
	assert_int_equal(hub_session_count(world->hub), 0);
	assert_int_equal(world->lookup_count, 0);
}

/* Patterns take time to compile: of one that cannot be compiled nobody hears who has no good token, nor does it last long until
 * such a one is told no, however many costly ones it asks for. */
static void test_patterns_wait_for_the_token(void **state)
{
	struct world *world = *state;
	struct span bad[] = {{"(", 1}}, costly[10];
	struct session_request request = {.token = {"t", 1}, .topics = bad, .topic_count = 1}, dear = {.topics = costly, .topic_count = 10};
	struct client *stranger = client_open_with(world, &fake_websocket, &request), *user, *stream, *boss, *asks;
	int64_t began;

	assert_false(stranger->refused);
	lookup_answer(world, STATUS_UNAUTHORIZED, NULL, false);
	assert_sent(stranger, "error:401");
	user = client_open_with(world, &fake_websocket, &request);
	stream = client_open_with(world, &fake_stream, &request);
	assert_sent(user, "");
	lookup_answer(world, STATUS_OK, "7", false);
	assert_non_null(strstr(json_string_value(json_object_get(message_data(user, 0), "message")), "topic pattern \"(\" is not valid"));
	assert_sent(user, "error:400");
	assert_int_equal(user->reason, CLOSE_BAD_MESSAGE);
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(stream, "");
	assert_non_null(strstr(stream->unsaid, "topic pattern \"(\" is not valid"));
	request.token = span_of(OPERATOR);
	boss = client_open_with(world, &fake_websocket, &request);
	assert_sent(boss, "error:400");
	for (size_t i = 0; i < 10; i++)
		costly[i] = span_of("(?:(?:(?:a?){20}){20}){8}");
	asks = client_open_with(world, &fake_websocket, &dear);
	began = clock_thread_us();
	client_say(asks, "{\"event\":\"auth\",\"data\":{\"token\":\"t\"}}");
	for (int i = 0; i < 10; i++)
		client_say(asks, "{\"event\":\"subscribe\",\"data\":{\"topics\":[\"(?:(?:(?:a?){20}){20}){8}\",\"(?:(?:(?:b?){20}){20}){8}\"]}}");
	assert_true(clock_thread_us() - began < 3000);
	lookup_answer(world, STATUS_UNAUTHORIZED, NULL, false);
	assert_sent(asks, "error:401");
}

/* It need not wait for `connected`; the last one holds, and a bad one ends the session. */
static void test_subscribed_before_the_token_is_known(void **state)
{
	struct world *world = *state;
	struct client *good = client_open(world, "t", NULL), *bad = client_open(world, "t", NULL);

	client_say(good, "{\"event\":\"subscribe\",\"data\":{\"topics\":[\"other\"]}}");
	client_say(good, "{\"event\":\"subscribe\",\"data\":{\"topics\":[\"nothing$\"]}}");
	client_say(bad, "{\"event\":\"subscribe\",\"data\":{\"topics\":[\"(\"]}}");
	lookup_answer(world, STATUS_OK, "7", false);
	lookup_answer(world, STATUS_OK, "7", false);
	publish(world, "7");
	assert_sent(good, "connected subscribed subscribed");
	assert_sent(bad, "error:400");
	assert_int_equal(bad->reason, CLOSE_BAD_MESSAGE);
}

static void test_connected_waits_for_live(void **state)
{
	struct world *world = *state;
	struct client *waits, *there = client_of(world, "8");

	publish_many(world, "7,8", 2);
	hub_away(world->hub);
	hub_turn(world->hub);
	waits = client_open(world, "7", JOURNAL ":101");
	lookup_answer(world, STATUS_OK, "7", false);
	hub_tick(world->hub);
	assert_sent(waits, "");
	assert_int_equal(waits->session.state, SESSION_WAITING);
	assert_sent(there, "changes:101 changes:102");
	world_live(world, JOURNAL, 102);
	assert_sent(waits, "connected:recovered changes:102");
	publish(world, "7,8");
	assert_sent(waits, "changes:103");
	assert_sent(there, "changes:103");
}

static void test_waiting_ends_with_503(void **state)
{
	struct world *world = *state;
	struct client *socket, *stream;

	world->config.live_timeout_ms = 20;
	hub_away(world->hub);
	hub_turn(world->hub);
	socket = client_open(world, "7", NULL);
	lookup_answer(world, STATUS_OK, "7", false);
	stream = stream_open(world, "7", NULL);
	lookup_answer(world, STATUS_OK, "7", false);
	pause_ms(30);
	hub_tick(world->hub);
	assert_sent(socket, "error:503");
	assert_sent(stream, "");
	assert_int_equal(socket->reason, CLOSE_UNAVAILABLE);
	assert_int_equal(stream->reason, CLOSE_UNAVAILABLE);
}

static void test_another_journal_closes(void **state)
{
	struct world *world = *state;
	struct client *seven = client_of(world, "7"), *pending = client_open(world, "8", NULL),
		      *reading;

	reading = client_open(world, OPERATOR, JOURNAL ":50");
	world_live(world, OTHER_JOURNAL, 3);
	assert_int_equal(seven->reason, CLOSE_JOURNAL);
	assert_sent(reading, "connected");
	lookup_answer(world, STATUS_OK, "8", false);
	assert_sent(pending, "connected");
	read_answer(world, STATUS_OK, "8", 51, 52);
	assert_sent(reading, "");
	publish_parts(world, (struct event_parts){.journal = span_of(OTHER_JOURNAL)});
	assert_sent(reading, "changes:4");
}

static void live_with_holes(struct world *world, uint32_t count, uint64_t last)
{
	struct source_position head = {.journal = JOURNAL, .id = world->head, .holes = {count, last + 1}};

	hub_live(world->hub, &head);
	hub_turn(world->hub);
}

/* Who is here is sent away, and is not told that all is there when it comes back, until it was told what lies behind the hole; events
 * that are in the journal are told as ever. Each hole counts, also where nothing was told since the one before. */
static void test_a_hole_in_the_journal_closes(void **state)
{
	struct world *world = *state;
	struct client *seven = client_of(world, "7"), *reading, *again;

	publish_many(world, "7", 2);
	reading = client_open(world, OPERATOR, JOURNAL ":50");
	live_with_holes(world, 1, 102);
	assert_sent(seven, "changes:101 changes:102");
	assert_int_equal(seven->reason, CLOSE_JOURNAL);
	assert_sent(reading, "connected");
	assert_sent(client_open(world, OPERATOR, JOURNAL ":101"), "connected");
	assert_sent(client_open(world, OPERATOR, "102"), "connected");
	again = client_open(world, OPERATOR, JOURNAL ":102");
	assert_sent(again, "connected");
	live_with_holes(world, 1, 102); /* capture was away for a moment */
	assert_false(again->closed);
	live_with_holes(world, 2, 102);
	assert_int_equal(again->reason, CLOSE_JOURNAL);
	publish_many(world, "7", 2);
	assert_sent(client_open(world, OPERATOR, JOURNAL ":102"), "connected");
	assert_sent(client_open(world, OPERATOR, JOURNAL ":103"), "connected:recovered changes:104");
}

/* As an empty journal may have one, 0 is a position like others. */
static void test_a_hole_at_the_start(void **state)
{
	struct world *world = *state;

	world_live(world, OTHER_JOURNAL, 0);
	assert_sent(client_open(world, OPERATOR, OTHER_JOURNAL ":0"), "connected:recovered");
	hub_live(world->hub, &(struct source_position){.journal = OTHER_JOURNAL, .holes = {1, 1}});
	hub_turn(world->hub);
	assert_sent(client_open(world, OPERATOR, OTHER_JOURNAL ":0"), "connected");
}

static void test_a_gap_closes_and_a_repeat_is_dropped(void **state)
{
	struct world *world = *state;
	struct client *seven = client_of(world, "7");

	publish_many(world, "7", 2);
	world->head = 101;
	publish(world, "7");
	assert_ids(seven, 101, 102);
	assert_false(seven->closed);
	world->head = 109;
	publish(world, "7");
	assert_int_equal(seven->reason, CLOSE_JOURNAL);
	assert_sent(seven, "");
	publish(world, "7");
	assert_sent(
		client_open(world, OPERATOR, JOURNAL ":110"), "connected:recovered changes:111");
}

/* A session may be disconnected within close(), and by the transport again later. */
static void test_disconnected_within_close(void **state)
{
	struct world *world = *state;
	struct client *first = client_of(world, "7"), *second = client_of(world, "7"),
		      *third = client_of(world, "7");

	first->vanish_on_close = second->vanish_on_close = third->vanish_on_close = true;
	world_live(world, OTHER_JOURNAL, 1);
	assert_int_equal(hub_session_count(world->hub), 0);
	assert_int_equal(first->session.close_reason, CLOSE_JOURNAL);
	session_disconnected(&second->session, CLOSE_CLIENT);
	assert_int_equal(second->session.close_reason, CLOSE_JOURNAL);
	client_say(second, "{\"event\":\"auth\"}");
	session_writable(&second->session);
	session_heard(&second->session);
}

/* Closing one takes another along, the one that the walk comes to next. */
static void test_another_goes_within_close(void **state)
{
	struct world *world = *state;
	struct client *last = client_of(world, "7"), *next = client_of(world, "7"),
		      *first = client_of(world, "7");

	first->takes_along = next;
	world_live(world, OTHER_JOURNAL, 1);
	assert_true(first->closed);
	assert_int_equal(next->session.state, SESSION_CLOSED);
	assert_false(next->closed);
	assert_true(last->closed);
}

static void test_drain(void **state)
{
	struct world *world = *state;
	struct client *clients[8];
	struct event *event;
	size_t closed = 0;

	for (int i = 0; i < 8; i++)
		clients[i] = client_of(world, "7");
	hub_drain(world->hub, 80);
	assert_false(clients[7]->closed && clients[6]->closed && clients[0]->closed);
	assert_true(client_open(world, "9", NULL)->refused);
	pause_ms(45);
	hub_tick(world->hub);
	for (int i = 0; i < 8; i++)
		closed += clients[i]->closed;
	assert_in_range(closed, 3, 7);
	pause_ms(60);
	hub_turn(world->hub);
	for (int i = 0; i < 8; i++)
		assert_int_equal(clients[i]->reason, CLOSE_RESTART);
	event = event_of(101, "7", (struct event_parts){0});
	assert_false(hub_deliver(world->hub, &event, 1));
	event_unref(event);
}

static void test_reasons(void **state)
{
	(void)state;
	assert_string_equal(close_reason_word(CLOSE_SLOW), "slow");
	assert_int_equal(close_reason_code(CLOSE_UNAUTHORIZED), 4401);
	assert_int_equal(close_reason_code(CLOSE_RESTART), 1012);
	assert_int_equal(close_reason_http(CLOSE_UNAVAILABLE), 503);
	assert_string_equal(close_reason_word((enum close_reason)999), "open");
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_connected_says_who_and_where),
		IN_A_WORLD(test_sessions_in_all),
		IN_A_WORLD(test_sessions_per_address),
		IN_A_WORLD(test_sessions_per_user),
		IN_A_WORLD(test_limits_hold_over_hubs),
		IN_A_WORLD(test_bad_requests_are_refused),
		IN_A_WORLD(test_patterns_wait_for_the_token),
		IN_A_WORLD(test_subscribed_before_the_token_is_known),
		IN_A_WORLD(test_connected_waits_for_live),
		IN_A_WORLD(test_waiting_ends_with_503),
		IN_A_WORLD(test_another_journal_closes),
		IN_A_WORLD(test_a_hole_in_the_journal_closes),
		IN_A_WORLD(test_a_hole_at_the_start),
		IN_A_WORLD(test_a_gap_closes_and_a_repeat_is_dropped),
		IN_A_WORLD(test_disconnected_within_close),
		IN_A_WORLD(test_another_goes_within_close),
		IN_A_WORLD(test_drain),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
