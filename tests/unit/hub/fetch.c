/* Prevents: a client that fetches (HTTP long-polling) being answered with half a packet, or ended without a word because it
 * happens not to ask just now; one that is spoken to in another way hearing what waited in the old encoding, or being ended for
 * a ping of the old; an event sent twice to one that was paused in the middle of a turn.
 */
#include "world.h"

#include "hub/internal.h"

/* Connected, and its messages forgotten. */
static struct client *fetcher_of(struct world *world, const char *user)
{
	struct session_request request = {.token = span_of(user), .address = "192.0.2.1"};
	struct client *client = client_open_with(world, &fake_fetching, &request);

	lookup_answer(world, STATUS_OK, user, false);
	client_forget(client);
	client->sends = 0;
	return client;
}

static void test_a_large_event_whole(void **state)
{
	struct world *world = *state;
	struct client *client = fetcher_of(world, "7");
	AUTO_BUF struct buf data = buf_init(BUF_NO_MAX);
	struct span seven[] = {{"7", 1}};

	buf_text(&data, "{\"x\":\"");
	for (int i = 0; i < 50000; i++)
		buf_text(&data, "0123456789");
	buf_text(&data, "\"}");
	client->next = SEND_BEHIND;
	for (int i = 0; i < 2; i++)
		publish_parts(world,
			(struct event_parts){.data = buf_as_span(&data), .users = seven, .user_count = 1});
	assert_int_equal(client->sends, 1);
	assert_null(client->session.rest);
	assert_sent(client, "changes:101");
	client_writable(client); /* from the tail */
	assert_int_equal(client->sends, 2);
	assert_null(client->session.rest);
	assert_sent(client, "changes:102");
}

static void test_paused_until_it_asks(void **state)
{
	struct world *world = *state;
	struct client *client = fetcher_of(world, "7");

	session_pause(&client->session);
	assert_int_equal(client->session.state, SESSION_REPLAY);
	publish_many(world, "7", 3);
	session_pause(&client->session); /* is so already */
	client_say(client, "{\"event\":\"unsubscribe\"}");
	assert_int_equal(client->sends, 0);
	client_writable(client);
	assert_sent(client, "subscribed changes:101 changes:102 changes:103");
	assert_int_equal(client->session.state, SESSION_LIVE);
	publish(world, "7");
	assert_sent(client, "changes:104");
	assert_int_equal(client->last_words, 0);
	session_end(&client->session, CLOSE_REVOKED);
	session_pause(&client->session);
	assert_false(client->session.behind);
	client_gone(client);
	session_pause(&client->session);
}

/* Before it is connected: what comes then waits until it asks. */
static void test_paused_before_it_is_connected(void **state)
{
	struct world *world = *state;
	struct session_request request = {.token = span_of("7"), .address = "192.0.2.1"};
	struct client *client = client_open_with(world, &fake_fetching, &request);

	session_pause(&client->session);
	lookup_answer(world, STATUS_OK, "7", false);
	publish(world, "7");
	assert_sent(client, "");
	client_writable(client);
	assert_sent(client, "connected changes:101");
}

/* What it said before it was let in is answered behind `connected`, also when it happens not to ask while it is let in. */
static void test_connected_comes_first(void **state)
{
	struct world *world = *state;
	struct session_request request = {.token = span_of("7"), .address = "192.0.2.1"};
	struct client *client = client_open_with(world, &fake_fetching, &request);

	session_pause(&client->session);
	client_say(client, "{\"event\":\"subscribe\",\"data\":{\"topics\":[\"other\"]}}");
	client_say(client, "{\"event\":\"nonsense\"}");
	lookup_answer(world, STATUS_OK, "7", false);
	publish(world, "7");
	client_writable(client);
	assert_sent(client, "connected subscribed error:400");
}

enum step { PAUSE, WRITABLE };

struct step_task {
	struct task task;
	struct client *client;
	enum step step;
};

static void run_step(struct task *task)
{
	struct step_task *step = (struct step_task *)task;

	if (step->step == PAUSE)
		session_pause(&step->client->session);
	else
		client_writable(step->client);
}

static void give(struct world *world, const char *users)
{
	struct event *event = event_of(++world->head, users, (struct event_parts){0});

	assert_true(hub_deliver(world->hub, &event, 1));
	event_unref(event);
}

/* An event was routed to it and is not sent yet: paused and asked for, all within one turn, it is read from the tail and must
 * not be sent again at the turn's end. */
static void test_paused_in_the_middle_of_a_turn(void **state)
{
	struct world *world = *state;
	struct client *client = fetcher_of(world, "7"), *other = fetcher_of(world, "7");
	struct step_task steps[] = {{{.run = run_step}, client, PAUSE}, {{.run = run_step}, client, WRITABLE},
		{{.run = run_step}, client, PAUSE}};

	give(world, "7");
	give(world, "7");
	inbox_post(&world->hub->inbox, &steps[0].task);
	give(world, "8");
	inbox_post(&world->hub->inbox, &steps[1].task);
	give(world, "7");
	inbox_post(&world->hub->inbox, &steps[2].task);
	give(world, "7");
	hub_turn(world->hub);
	assert_sent(client, "changes:101 changes:102");
	assert_int_equal(client->session.state, SESSION_REPLAY);
	assert_sent(other, "changes:101 changes:102 changes:104 changes:105");
	client_writable(client);
	assert_sent(client, "changes:104 changes:105");
}

static void test_last_words_while_behind(void **state)
{
	struct world *world = *state;
	struct client *client = fetcher_of(world, "7"), *slow = fetcher_of(world, "7"),
		      *early = client_open_with(world, &fake_fetching, &(struct session_request){.address = ""});

	session_pause(&client->session);
	session_pause(&early->session);
	client_say(client, "{");
	client_say(early, "{\"event\":\"auth\",\"data\":{\"token\":\"a.b.c\"}}");
	assert_sent(client, "error:400");
	assert_sent(early, "error:401");
	assert_int_equal(client->last_words + early->last_words, 2);
	assert_int_equal(client->reason, CLOSE_BAD_MESSAGE);
	assert_int_equal(early->reason, CLOSE_UNAUTHORIZED);
	slow->next = SEND_DEAD; /* its connection has gone meanwhile */
	session_pause(&slow->session);
	client_say(slow, "{");
	assert_false(slow->closed);
	assert_int_equal(slow->session.state, SESSION_CLOSING);
}

/* It asks no more: stalled. As long as it asks now and then, it is slow at most. */
static void test_asks_no_more(void **state)
{
	struct world *world = *state;
	struct client *client = fetcher_of(world, "7"), *asks = fetcher_of(world, "8");

	world->config.slow_timeout_ms = 20;
	session_pause(&client->session);
	session_pause(&asks->session);
	pause_ms(30);
	asks->progress++;
	hub_tick(world->hub);
	assert_int_equal(client->reason, CLOSE_SLOW);
	assert_false(asks->closed);
}

static void test_position_while_quiet(void **state)
{
	struct world *world = *state;
	struct client *client;

	world->config.position_ms = 20;
	world->config.heartbeat_ms = 1;
	client = fetcher_of(world, "7");
	publish(world, "8");
	pause_ms(25);
	hub_tick(world->hub);
	assert_sent(client, "position:101");
	assert_int_equal(client->heartbeats, 0);
}

static void test_what_waits_is_said_in_the_new_encoding(void **state)
{
	struct world *world = *state;
	struct client *client = fetcher_of(world, "7"),
		      *early = client_open_with(
			      world, &fake_fetching, &(struct session_request){.token = span_of("7")});

	session_pause(&early->session);
	lookup_answer(world, STATUS_OK, "7", false); /* `connected` waits, with its id */
	session_pause(&client->session);
	client_say(client, "{\"event\":\"subscribe\",\"data\":{\"topics\":[\"orders\"]}}");
	client_say(client, "{\"event\":\"nonsense\"}");
	publish(world, "7");
	session_speak_through(&client->session, &fake_stream);
	session_speak_through(&early->session, &fake_stream);
	assert_int_equal(client->bytes.len + early->bytes.len, 0);
	client_writable(client);
	client_writable(early);
	assert_string_equal(json_string_value(json_array_get(json_object_get(message_data(client, 0), "topics"), 0)), "orders");
	assert_sent(client, "subscribed error:400 changes:101");
	assert_string_equal(json_string_value(json_object_get((client_read(early), early->messages[0]), "id")), JOURNAL ":100");
	assert_sent(early, "connected changes:101");
	session_speak_through(&client->session, &fake_websocket);
	publish(world, "7");
	assert_sent(client, "changes:102");
}

/* A ping, and what was measured of it, is of the connection that it went over. */
static void test_a_ping_under_way(void **state)
{
	struct world *world = *state;
	struct client *client;

	world->config.heartbeat_ms = 10;
	world->config.heartbeat_timeout_ms = 10;
	client = client_of(world, "7");
	pause_ms(15);
	hub_tick(world->hub);
	assert_int_equal(client->heartbeats, 1);
	client->progress += 10;
	session_speak_through(&client->session, &fake_fetching);
	pause_ms(15);
	hub_tick(world->hub);
	assert_false(client->closed);
	session_speak_through(&client->session, &fake_websocket);
	pause_ms(15);
	hub_tick(world->hub);
	assert_int_equal(client->heartbeats, 2);
	session_heard(&client->session);
	hub_tick(world->hub);
	assert_false(client->closed);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_a_large_event_whole),
		IN_A_WORLD(test_paused_until_it_asks),
		IN_A_WORLD(test_paused_before_it_is_connected),
		IN_A_WORLD(test_connected_comes_first),
		IN_A_WORLD(test_paused_in_the_middle_of_a_turn),
		IN_A_WORLD(test_last_words_while_behind),
		IN_A_WORLD(test_asks_no_more),
		IN_A_WORLD(test_position_while_quiet),
		IN_A_WORLD(test_what_waits_is_said_in_the_new_encoding),
		IN_A_WORLD(test_a_ping_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
