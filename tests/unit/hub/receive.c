/* Prevents: a client's message ending anything but its own session, changing a subscription by
 * halves, or being answered before `connected` or while the socket is full.
 */
#include "world.h"

#include "hub/internal.h"

static const struct {
	const char *text, *sent;
	bool closed;
} cases[] = {
	{"{\"event\":\"subscribe\",\"data\":{\"topics\":[\"a\"],\"types\":[\"insert\"]}}",
		"subscribed", false},
	{"{\"event\":\"subscribe\"}", "subscribed", false},
	{"{\"event\":\"subscribe\",\"data\":{\"topics\":null,\"types\":[]}}", "subscribed", false},
	{"{\"event\":\"unsubscribe\"}", "subscribed", false},
	{"{\"event\":\"unsubscribe\",\"data\":{\"topics\":[\"orders\"]}}", "error:400", false},
	{"{\"event\":\"subscribe\",\"data\":{\"topics\":[\"(\"]}}", "error:400", false},
	{"{\"event\":\"subscribe\",\"data\":{\"topics\":\"a\"}}", "error:400", false},
	{"{\"event\":\"subscribe\",\"data\":{\"topics\":[1]}}", "error:400", false},
	{"{\"event\":\"subscribe\",\"data\":{\"types\":{}}}", "error:400", false},
	{"{\"event\":\"subscribe\",\"data\":{\"topics\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\","
	 "\"8\",\"9\",\"10\",\"11\"]}}",
		"error:400", false},
	{"{\"event\":\"constructor\"}", "error:400", false},
	{"{\"event\":\"connected\",\"data\":{}}", "error:400", false},
	{"{\"event\":1}", "error:400", true},
	{"{", "error:400", true},
	{"", "error:400", true},
	{"\xff\xfe", "error:400", true},
	{"{\"event\":\"subscribe\",\"data\":[]}", "error:400", true},
};

static void test_messages(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct client *client = client_of(world, "7");

		client_say(client, cases[i].text);
		if (client->closed != cases[i].closed)
			fail_msg("%s", cases[i].text);
		assert_sent(client, cases[i].sent);
		if (client->closed)
			assert_int_equal(client->reason, CLOSE_BAD_MESSAGE);
	}
}

static void test_a_bad_subscription_changes_nothing(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");
	json_t *topics;

	client_say(client, "{\"event\":\"subscribe\",\"data\":{\"topics\":[\"ord\"]}}");
	topics = json_object_get(message_data(client, 0), "topics");
	assert_string_equal(json_string_value(json_array_get(topics, 0)), "ord");
	assert_int_equal(json_array_size(json_object_get(message_data(client, 0), "types")), 0);
	client_say(client, "{\"event\":\"subscribe\",\"data\":{\"topics\":[\"x\",\"(\"]}}");
	publish(world, "7");
	assert_sent(client, "subscribed error:400 changes:101");
}

static void test_too_many_messages(void **state)
{
	struct world *world = *state;
	struct client *client, *patient;

	world->config.max_messages_per_second = 3;
	client = client_of(world, "7");
	patient = client_of(world, "7");
	for (int i = 0; i < 4; i++)
		client_say(client, "{\"event\":\"unsubscribe\"}");
	assert_sent(client, "subscribed subscribed subscribed error:429");
	assert_int_equal(client->reason, CLOSE_TOO_MANY);
	client_say(client, "{\"event\":\"unsubscribe\"}");
	for (int i = 0; i < 3; i++)
		client_say(patient, "{\"event\":\"unsubscribe\"}");
	pause_ms(1010);
	client_say(patient, "{\"event\":\"unsubscribe\"}");
	assert_false(patient->closed);
}

static void test_connected_comes_first(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, NULL, NULL);

	client_say(client, "{\"event\":\"auth\",\"data\":{\"token\":\"7\"}}");
	client_say(client, "{\"event\":\"subscribe\",\"data\":{\"topics\":[\"other\"]}}");
	client_say(client, "{\"event\":\"event\",\"data\":{}}");
	assert_sent(client, "");
	lookup_answer(world, STATUS_OK, "7", false);
	publish(world, "7");
	assert_sent(client, "connected subscribed error:400");
}

static void test_answers_wait_while_behind(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");

	client->next = SEND_BEHIND;
	publish(world, "7");
	publish(world, "7");
	client_say(client, "{\"event\":\"unsubscribe\"}");
	client_say(client, "{\"event\":\"nonsense\"}");
	assert_sent(client, "changes:101");
	client->next = SEND_ALL;
	client_writable(client);
	assert_sent(client, "subscribed error:400 changes:102");
	assert_int_equal(client->session.state, SESSION_LIVE);
}

/* The answer itself fills the socket. */
static void test_an_answer_leaves_it_behind(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");

	client->next = SEND_BEHIND;
	client_say(client, "{\"event\":\"unsubscribe\"}");
	assert_int_equal(client->session.state, SESSION_REPLAY);
	publish(world, "7");
	client->next = SEND_ALL;
	client_writable(client);
	assert_sent(client, "subscribed changes:101");
}

static void test_held_answers_are_bounded(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");

	client->next = SEND_BEHIND;
	publish(world, "7");
	for (int i = 0; i < HELD_MAX && !client->closed; i++)
		client_say(client, "{\"event\":\"nonsense\"}");
	assert_int_equal(client->reason, CLOSE_TOO_MANY);
}

/* A bad message while behind cannot be answered; the closing code has to do. */
static void test_closed_without_words_while_behind(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");

	client->next = SEND_BEHIND;
	publish(world, "7");
	client_say(client, "{");
	assert_sent(client, "changes:101");
	assert_int_equal(client->reason, CLOSE_BAD_MESSAGE);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_messages),
		IN_A_WORLD(test_a_bad_subscription_changes_nothing),
		IN_A_WORLD(test_too_many_messages),
		IN_A_WORLD(test_connected_comes_first),
		IN_A_WORLD(test_answers_wait_while_behind),
		IN_A_WORLD(test_an_answer_leaves_it_behind),
		IN_A_WORLD(test_held_answers_are_bounded),
		IN_A_WORLD(test_closed_without_words_while_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
