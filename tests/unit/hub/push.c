/* Prevents: a second chunk on its way before the first is acknowledged, or one that is acknowledged in the database before the
 * client said so; a chunk lost because the session was behind its socket, or moved to another thread, or because the database
 * was away for a while; a consumer's events to somebody who is not the operator.
 */
#include "world.h"

#define READY "{\"event\":\"ready\",\"data\":{\"consumer\":\"a\",\"limit\":5}}"
#define ACK(seq) "{\"event\":\"ack\",\"data\":{\"seq\":" #seq "}}"

static void assert_asked(const struct world *world, int64_t ack)
{
	const struct consumer_job *job = world->consumes[0];

	assert_int_equal(world->consume_count, 1);
	assert_int_equal(job->verb, CONSUMER_POLL);
	assert_string_equal(job->name, "a");
	assert_int_equal(job->limit, 5);
	assert_int_equal(job->has_ack, ack >= 0);
	assert_int_equal(job->generation, ack >= 0 ? 7 : 0); /* to whom it was told, and of which journal it is */
	assert_string_equal(job->of_journal, ack >= 0 ? JOURNAL : "");
	if (ack >= 0)
		assert_int_equal(job->ack, ack);
}

static void assert_chunk(struct client *client, int seq, uint64_t from, uint64_t to)
{
	json_t *data = message_data(client, 0), *events = json_object_get(data, "events");

	assert_int_equal(client->count, 1);
	assert_int_equal(json_integer_value(json_object_get(data, "seq")), seq);
	assert_string_equal(json_string_value(json_object_get(data, "journal")), JOURNAL);
	assert_int_equal(json_array_size(events), to + 1 - from);
	for (uint64_t id = from; id <= to; id++) {
		char text[24];

		snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
		assert_string_equal(json_string_value(json_object_get(json_array_get(events, id - from), "id")), text);
	}
	assert_sent(client, "events");
}

static void chunk_by_chunk(void **state)
{
	struct world *world = *state;
	struct client *client = client_operator(world);

	client_say(client, READY);
	assert_asked(world, -1);
	consume_answer(world, STATUS_OK, "[]", 11, 15, 15);
	assert_chunk(client, 0, 11, 15);
	assert_int_equal(world->consume_count, 0);
	client_say(client, ACK(1));
	client_say(client, ACK(-1));
	client_say(client, ACK("0"));
	assert_sent(client, "error:400 error:400 error:400");
	client_say(client, ACK(0));
	assert_asked(world, 15);
	client_say(client, ACK(0));
	client_say(client, ACK(1));
	assert_sent(client, "error:400 error:400");
	consume_answer(world, STATUS_OK, "[]", 1, 0, 100); /* there is nothing: it waits */
	assert_sent(client, "");
	publish(world, NULL);
	assert_sent(client, "changes:101");
	assert_asked(world, -1);
	consume_answer(world, STATUS_OK, "[]", 101, 101, 101);
	assert_chunk(client, 1, 101, 101);
	client_say(client, READY);
	consume_answer(world, STATUS_OK, "[]", 101, 101, 101);
	assert_chunk(client, 0, 101, 101);
}

static void a_second_ready_forgets_the_first(void **state)
{
	struct world *world = *state;
	struct client *client = client_operator(world);

	client_say(client, READY);
	client_say(client, READY);
	assert_int_equal(world->consume_count, 2);
	consume_answer(world, STATUS_OK, "[]", 1, 3, 3);
	assert_sent(client, "");
	consume_answer(world, STATUS_OK, "[]", 1, 3, 3);
	assert_chunk(client, 0, 1, 3);
}

static void behind_its_socket(void **state)
{
	struct world *world = *state;
	struct client *client = client_operator(world);

	client_say(client, READY);
	client->next = SEND_BEHIND;
	publish(world, NULL);
	assert_sent(client, "changes:101");
	consume_answer(world, STATUS_OK, "[]", 1, 5, 5);
	assert_sent(client, "");
	client->next = SEND_ALL;
	client_writable(client);
	assert_chunk(client, 0, 1, 5);
}

static void refused(void **state)
{
	struct world *world = *state;
	struct client *user = client_of(world, "7"), *boss = client_operator(world);
	static const struct {
		enum status status;
		const char *sent;
	} failures[] = {{STATUS_NOT_FOUND, "error:404"}, {STATUS_CONFLICT, "error:409"}, {STATUS_GONE, "error:410"},
		{STATUS_INVALID, "error:400"}, {STATUS_TOO_MANY, "error:429"}};

	client_say(user, READY);
	client_say(user, ACK(0));
	assert_sent(user, "error:403 error:403");
	client_say(boss, ACK(0));
	client_say(boss, "{\"event\":\"ready\",\"data\":{\"consumer\":\"LIVE\"}}");
	client_say(boss, "{\"event\":\"ready\",\"data\":{\"consumer\":\"a.b\"}}");
	client_say(boss, "{\"event\":\"ready\",\"data\":{\"consumer\":\"a\",\"limit\":1001}}");
	client_say(boss, "{\"event\":\"ready\",\"data\":{}}");
	assert_sent(boss, "error:400 error:400 error:400 error:400 error:400");
	assert_int_equal(world->consume_count, 0);
	for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++) {
		client_say(boss, READY);
		consume_answer(world, failures[i].status, "[]", 1, 0, 0);
		assert_sent(boss, failures[i].sent);
		client_say(boss, ACK(0));
		assert_sent(boss, "error:400");
	}
	assert_false(boss->closed);
}

/* What was to be acknowledged still is, however long it takes. */
static void the_database_is_away(void **state)
{
	struct world *world = *state;
	struct client *client = client_operator(world);

	world->full = true;
	client_say(client, READY);
	world->full = false;
	pause_ms(600);
	hub_tick(world->hub);
	assert_asked(world, -1);
	consume_answer(world, STATUS_OK, "[]", 1, 5, 5);
	assert_chunk(client, 0, 1, 5);
	client_say(client, ACK(0));
	for (int i = 0; i < 3; i++) {
		assert_asked(world, 5);
		consume_answer(world, i == 1 ? STATUS_TIMEOUT : STATUS_UNAVAILABLE, "[]", 1, 0, 0);
		assert_int_equal(world->consume_count, 0);
		pause_ms(1100);
		hub_tick(world->hub);
	}
	assert_asked(world, 5);
	consume_answer(world, STATUS_OK, "[]", 6, 6, 6);
	assert_chunk(client, 1, 6, 6);
}

static void move(struct world *world, struct client *client)
{
	struct passage *passage = session_depart(&client->session);

	assert_true(session_arrive(&client->session, world->there, passage));
	session_writable(&client->session);
}

static void to_another_thread(void **state)
{
	struct world *world = *state;
	struct client *client = client_operator(world);

	world_second(world);
	client_say(client, READY);
	move(world, client); /* while it is asked */
	assert_int_equal(world->consume_count, 2);
	consume_answer(world, STATUS_OK, "[]", 1, 5, 5); /* to the old thread */
	assert_sent(client, "");
	consume_answer(world, STATUS_OK, "[]", 1, 5, 5);
	assert_chunk(client, 0, 1, 5);
	client_say(client, ACK(0));
	assert_asked(world, 5);
	client_gone(client);
	consume_answer(world, STATUS_OK, "[]", 6, 7, 7);
}

static void in_flight_and_moved(void **state)
{
	struct world *world = *state;
	struct client *client = client_operator(world);

	world_second(world);
	client_say(client, READY);
	consume_answer(world, STATUS_OK, "[]", 1, 5, 5);
	assert_chunk(client, 0, 1, 5);
	move(world, client);
	assert_int_equal(world->consume_count, 0);
	client_say(client, ACK(0));
	assert_asked(world, 5);
}

static void gone_while_a_chunk_is_held(void **state)
{
	struct world *world = *state;
	struct client *client = client_operator(world);

	client_say(client, READY);
	client->next = SEND_BEHIND;
	publish(world, NULL);
	consume_answer(world, STATUS_OK, "[]", 1, 5, 5);
	client_gone(client);
}

static void gone_at_a_chunk(void **state)
{
	struct world *world = *state;
	struct client *client = client_operator(world);

	client_say(client, READY);
	client->vanish_on_send = true;
	consume_answer(world, STATUS_OK, "[]", 1, 5, 5);
	assert_int_equal(world->consume_count, 0);
}

static void the_end(void **state)
{
	struct world *world = *state;
	struct client *client = client_operator(world);

	client_say(client, READY);
	consume_answer(world, STATUS_OK, "[]", 1, 0, 100);
	hub_drain(world->hub, 0);
	assert_true(client->closed);
	assert_int_equal(client->reason, CLOSE_RESTART);
}

int main(void)
{
#define STORY(story) cmocka_unit_test_setup_teardown(story, world_setup, world_teardown)
	const struct CMUnitTest stories[] = {
		STORY(chunk_by_chunk),
		STORY(a_second_ready_forgets_the_first),
		STORY(behind_its_socket),
		STORY(refused),
		STORY(the_database_is_away),
		STORY(to_another_thread),
		STORY(in_flight_and_moved),
		STORY(gone_while_a_chunk_is_held),
		STORY(gone_at_a_chunk),
		STORY(the_end),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
