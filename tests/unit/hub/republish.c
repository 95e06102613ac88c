/* Prevents: a client's event reaching anybody but the sender, carrying a filtered column or altered
 * digits, or its refusal echoing a token.
 */
#include "world.h"

#define EVENT(rest) "{\"event\":\"event\",\"data\":{" rest "}}"
#define GOOD EVENT("\"table\":\"t\",\"type\":\"ping\",\"data\":{\"n\":0.10}")

static void test_goes_to_the_sender_alone(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");
	const struct publication *item;

	client_say(client, EVENT("\"table\":\"t\",\"type\":\"ping\",\"data\":{\"n\":0.10,\"m\":"
				 "12345678901234567890123},\"userId\":\"*\","
				 "\"source\":\"me\",\"timestamp\":5,\"version\":2"));
	item = &world->publishes[0]->item;
	assert_string_equal(item->user, "7");
	assert_false(item->broadcast);
	assert_string_equal(item->topic, "t");
	assert_string_equal(item->type, "ping");
	assert_non_null(strstr(item->data, "0.10"));
	assert_non_null(strstr(item->data, "12345678901234567890123"));
	assert_string_equal(item->source, "me");
	assert_string_equal(item->source_type, "websocket");
	assert_int_equal(item->timestamp, 5);
	assert_int_equal(item->version, 2);
	assert_int_equal(strlen(item->ref), 32);
	publish_answer(world, STATUS_OK);
	assert_sent(client, "");
	client_say(client, GOOD);
	assert_string_equal(world->publishes[0]->item.source, "API");
}

static void test_filters_apply(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");

	client_say(client, EVENT("\"table\":\"secrets\",\"type\":\"t\",\"data\":{\"password\":"
				 "\"hunter2\",\"a\":1}"));
	client_say(client, EVENT("\"table\":\"auth\",\"type\":\"t\",\"d\\u0061ta\":{\"token\":"
				 "\"hunter2\",\"a\":1}"));
	for (int i = 0; i < 2; i++) {
		assert_null(strstr(world->publishes[i]->item.data, "hunter2"));
		assert_non_null(strstr(world->publishes[i]->item.data, "\"a\":1"));
	}
}

static void test_invalid(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");
	json_t *data, *original;

	client_say(client, EVENT("\"table\":\"t\",\"data\":{},\"token\":\"s3cret\","
				 "\"securityToken\":\"s3cret\",\"x\":1"));
	data = message_data(client, 0);
	original = json_object_get(data, "originalBody");
	assert_string_equal(json_string_value(json_object_get(data, "type")), "ValidationError");
	assert_string_equal(json_string_value(json_object_get(data, "key")), "type");
	assert_string_equal(
		json_string_value(json_object_get(data, "message")), "Invalid parameters given");
	assert_int_equal(json_integer_value(json_object_get(data, "code")), 400);
	assert_int_equal(json_object_size(original), 3);
	assert_null(json_object_get(original, "token"));
	assert_null(json_object_get(original, "securityToken"));
	assert_int_equal(world->publish_count, 0);
}

static void test_not_allowed(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7"), *boss = client_operator(world),
		      *test = client_test(world);

	client_forget(test);
	client_say(boss, GOOD);
	client_say(test, GOOD);
	world->config.allow_republishing = false;
	client_say(client, GOOD);
	assert_sent(boss, "error:400");
	assert_sent(test, "error:403");
	assert_sent(client, "error:403");
	assert_int_equal(world->publish_count, 0);
}

static void test_not_stored(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");

	client_say(client, GOOD);
	publish_answer(world, STATUS_TIMEOUT);
	world->full = true;
	client_say(client, GOOD);
	assert_sent(client, "error:503 error:503");
}

static void test_the_sender_goes_meanwhile(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7"), *other = client_of(world, "7");

	client_say(client, GOOD);
	client_say(other, GOOD);
	client_say(client, GOOD);
	client_gone(client);
	memset(&client->session, 0xee, sizeof(client->session));
	for (int i = 0; i < 3; i++)
		publish_answer(world, STATUS_UNAVAILABLE);
	memset(&client->session, 0, sizeof(client->session));
	assert_sent(other, "error:503");
}

/* An answer fills the socket in the very turn in which an event was routed, before that is sent. */
static void test_an_answer_before_the_events_of_its_turn(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");
	struct event *event = event_of(++world->head, "7", (struct event_parts){0});

	client_say(client, GOOD);
	assert_true(hub_deliver(world->hub, &event, 1));
	event_unref(event);
	client->next = SEND_BEHIND;
	publish_answer(world, STATUS_UNAVAILABLE);
	assert_sent(client, "error:503");
	client->next = SEND_ALL;
	client_writable(client);
	assert_sent(client, "changes:101");
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_goes_to_the_sender_alone),
		IN_A_WORLD(test_filters_apply),
		IN_A_WORLD(test_invalid),
		IN_A_WORLD(test_not_allowed),
		IN_A_WORLD(test_not_stored),
		IN_A_WORLD(test_the_sender_goes_meanwhile),
		IN_A_WORLD(test_an_answer_before_the_events_of_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
