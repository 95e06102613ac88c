/* Prevents: a silent hole. A session that resumes or that was behind gets every event once, in
 * order, from the tail or the journal, or it is told (recovered:false, or closed) that it must
 * fetch its state anew.
 */
#include "world.h"

#include "hub/internal.h"

static void drop_tail(struct world *world)
{
	size_t max = world->config.tail_bytes;

	world->config.tail_bytes = 0;
	hub_turn(world->hub);
	world->config.tail_bytes = max;
}

static struct client *resume(struct world *world, const char *after)
{
	struct client *client = client_open(world, "7", after);

	lookup_answer(world, STATUS_OK, "7", false);
	return client;
}

static void test_resume_from_the_tail(void **state)
{
	struct world *world = *state;

	publish_many(world, "7", 5);
	publish_many(world, "8", 1);
	assert_sent(resume(world, JOURNAL ":102"),
		"connected:recovered changes:103 changes:104 changes:105");
	assert_sent(resume(world, "103"), "connected:recovered changes:104 changes:105");
	assert_sent(resume(world, JOURNAL ":106"), "connected:recovered");
	assert_sent(resume(world, JOURNAL ":100"),
		"connected:recovered changes:101 changes:102 changes:103 changes:104 changes:105");
	assert_sent(resume(world, NULL), "connected");
	assert_int_equal(world->read_count, 0);
}

static void test_resume_that_cannot_be(void **state)
{
	struct world *world = *state;

	publish_many(world, "7", 5);
	assert_sent(resume(world, JOURNAL ":106"), "connected");
	assert_sent(resume(world, "18446744073709551615"), "connected");
	assert_sent(resume(world, OTHER_JOURNAL ":102"), "connected");
	assert_int_equal(world->read_count, 0);
}

static void test_resumed_is_live(void **state)
{
	struct world *world = *state;
	struct client *client;

	publish_many(world, "7", 2);
	client = resume(world, JOURNAL ":101");
	publish(world, "7");
	assert_sent(client, "connected:recovered changes:102 changes:103");
}

static void test_resume_from_the_journal_then_the_tail(void **state)
{
	struct world *world = *state;
	struct client *client;

	publish_many(world, "7", 4);
	drop_tail(world);
	publish_many(world, "7", 2);
	client = resume(world, JOURNAL ":52");
	assert_sent(client, "");
	assert_int_equal(world->reads[0]->after, 52);
	assert_string_equal(world->reads[0]->journal, JOURNAL);
	read_answer(world, STATUS_OK, "7", 53, 102);
	client_read(client);
	assert_int_equal(client->count, 51);
	assert_true(json_is_true(json_object_get(message_data(client, 0), "recovered")));
	assert_string_equal(
		json_string_value(json_object_get(message_data(client, 0), "id")), "106");
	client_forget(client);
	client_writable(client);
	assert_int_equal(world->reads[0]->after, 102);
	assert_int_equal(world->reads[0]->key, 102);
	publish(world, "7");
	read_answer(world, STATUS_OK, "7", 103, 104);
	assert_sent(client, "changes:103 changes:104");
	client_writable(client);
	assert_sent(client, "changes:105 changes:106 changes:107");
	assert_int_equal(client->session.state, SESSION_LIVE);
}

/* The journal is read by another connection and may be ahead of what this hub was handed. */
static void test_a_page_ahead_of_the_hub_repeats_nothing(void **state)
{
	struct world *world = *state;
	struct client *client = resume(world, JOURNAL ":98");

	read_answer(world, STATUS_OK, "7", 99, 103);
	assert_sent(client, "connected:recovered changes:99 changes:100");
	assert_int_equal(client->session.state, SESSION_LIVE);
	publish_many(world, "7", 4);
	assert_sent(client, "changes:101 changes:102 changes:103 changes:104");
}

static void test_the_journal_does_not_reach_back(void **state)
{
	struct world *world = *state;
	struct client *gone = resume(world, JOURNAL ":1"), *gap = resume(world, JOURNAL ":2");

	read_answer(world, STATUS_GONE, NULL, 1, 0);
	assert_sent(gone, "connected");
	read_answer(world, STATUS_OK, "7", 50, 60);
	assert_sent(gap, "connected");
	publish(world, "7");
	assert_sent(gone, "changes:101");
	assert_sent(gap, "changes:101");
}

static void test_the_journal_cannot_be_read_just_now(void **state)
{
	struct world *world = *state;
	struct client *client = resume(world, JOURNAL ":98");

	read_answer(world, STATUS_UNAVAILABLE, NULL, 1, 0);
	assert_sent(client, "");
	hub_tick(world->hub);
	read_answer(world, STATUS_OK, "7", 99, 100);
	assert_sent(client, "connected:recovered changes:99 changes:100");
}

static void test_behind_beyond_the_tail_reads_the_journal(void **state)
{
	struct world *world = *state;
	struct client *seven = client_of(world, "7");

	seven->next = SEND_BEHIND;
	publish(world, "7");
	seven->next = SEND_ALL;
	publish_many(world, "7", 3);
	drop_tail(world);
	publish(world, "7");
	client_writable(seven);
	assert_int_equal(world->reads[0]->after, 101);
	assert_int_equal(world->reads[0]->key, 101);
	client_writable(seven);
	assert_int_equal(world->read_count, 1);
	read_answer(world, STATUS_UNAVAILABLE, NULL, 1, 0);
	hub_tick(world->hub);
	read_answer(world, STATUS_OK, "7", 102, 104);
	client_writable(seven);
	assert_ids(seven, 101, 105);
	assert_int_equal(seven->session.state, SESSION_LIVE);
}

static void test_lost_its_place_is_closed(void **state)
{
	struct world *world = *state;
	struct client *seven = client_of(world, "7");

	seven->next = SEND_BEHIND;
	publish_many(world, "7", 3);
	drop_tail(world);
	publish_many(world, "7", 1);
	drop_tail(world);
	client_writable(seven);
	read_answer(world, STATUS_GONE, NULL, 1, 0);
	assert_true(seven->closed);
	assert_int_equal(seven->reason, CLOSE_SLOW);
}

static void test_a_page_that_does_not_fit_is_read_again(void **state)
{
	struct world *world = *state;
	struct client *client;

	world->config.session_queue_bytes = 1000;
	client = resume(world, JOURNAL ":80");
	for (int i = 0; i < 30 && client->session.state != SESSION_LIVE; i++) {
		if (world->read_count)
			read_answer(world, STATUS_OK, "7", world->reads[0]->after + 1,
				world->reads[0]->after + 10);
		else
			client_writable(client);
	}
	client_read(client);
	json_decref(client->messages[0]);
	memmove(client->messages, client->messages + 1, --client->count * sizeof(json_t *));
	assert_ids(client, 81, 100);
}

static void test_the_session_goes_while_its_page_is_read(void **state)
{
	struct world *world = *state;
	struct client *client = resume(world, JOURNAL ":50");

	client_gone(client);
	memset(&client->session, 0xee, sizeof(client->session));
	read_answer(world, STATUS_OK, "7", 51, 60);
	memset(&client->session, 0, sizeof(client->session));
	assert_int_equal(hub_session_count(world->hub), 0);
}

static void test_reads_are_bounded_and_in_order(void **state)
{
	struct world *world = *state;
	struct client *clients[8];

	world_live(world, OTHER_JOURNAL, 10000);
	for (int i = 0; i < 8; i++) {
		char after[24];

		snprintf(after, sizeof(after), "%d", 1000 * (i + 1));
		clients[i] = resume(world, after);
	}
	assert_int_equal(world->read_count, READS_AT_ONCE);
	client_gone(clients[READS_AT_ONCE]);
	for (int i = 0; i < 8; i++) {
		if (i == READS_AT_ONCE)
			continue;
		assert_int_equal(world->reads[0]->after, 1000 * (i + 1));
		read_answer(world, STATUS_GONE, NULL, 1, 0);
		assert_sent(clients[i], "connected");
	}
	assert_int_equal(world->read_count, 0);
}

/* A relay was restarted and everybody resumes: pages are read once, not once a session. */
static void test_many_resume_from_few_pages(void **state)
{
	struct world *world = *state;
	struct client *clients[40];
	size_t reads = 0;

	world->config.session_queue_bytes = 2000; /* several steps to a page */
	for (int i = 0; i < 40; i++)
		clients[i] = resume(world, i % 2 ? JOURNAL ":44" : JOURNAL ":40");
	assert_int_equal(world->read_count, 1);
	for (int turn = 0; turn < 400; turn++) {
		if (world->read_count) {
			uint64_t after = world->reads[0]->after;

			read_answer(world, STATUS_OK, "7", after + 1, after + 30 < 100 ? after + 30 : 100);
			reads++;
		}
		for (int i = 0; i < 40; i++)
			client_writable(clients[i]);
	}
	assert_in_range(reads, 2, 4);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(clients[i]->session.state, SESSION_LIVE);
		client_read(clients[i]);
		assert_true(json_is_true(json_object_get(message_data(clients[i], 0), "recovered")));
		json_decref(clients[i]->messages[0]);
		memmove(clients[i]->messages, clients[i]->messages + 1, --clients[i]->count * sizeof(json_t *));
		assert_ids(clients[i], i % 2 ? 45 : 41, 100);
	}
}

/* The place of a page that was cut short is asked for by those who waited for it. */
static void test_a_page_shorter_than_expected(void **state)
{
	struct world *world = *state;
	struct client *first = resume(world, JOURNAL ":50"), *later = resume(world, JOURNAL ":70");

	assert_int_equal(world->read_count, 1);
	read_answer(world, STATUS_OK, "7", 51, 60);
	assert_int_equal(world->reads[0]->after, 70);
	read_answer(world, STATUS_OK, "7", 71, 100);
	assert_int_equal(later->session.state, SESSION_LIVE);
	client_writable(first);
	read_answer(world, STATUS_OK, "7", 61, 100);
	assert_int_equal(first->session.state, SESSION_LIVE);
}

/* No page of a former journal is shown in the next. */
static void test_pages_go_with_their_journal(void **state)
{
	struct world *world = *state;
	struct client *client = resume(world, JOURNAL ":98");

	read_answer(world, STATUS_OK, "7", 99, 100);
	client_forget(client);
	world_live(world, OTHER_JOURNAL, 100);
	client = resume(world, OTHER_JOURNAL ":98");
	assert_sent(client, "");
	assert_int_equal(world->read_count, 1);
}

static void test_a_full_lane_is_asked_again(void **state)
{
	struct world *world = *state;
	char *token = jwt_of("7", 60);
	struct client *first, *second;

	world->full = true;
	first = client_open(world, token, JOURNAL ":99");
	second = client_open(world, token, JOURNAL ":99");
	free(token);
	assert_int_equal(world->read_count, 0);
	world->full = false;
	hub_tick(world->hub);
	assert_int_equal(world->read_count, 1);
	read_answer(world, STATUS_OK, "7", 100, 100);
	client_writable(second);
	assert_sent(first, "connected:recovered changes:100");
	assert_sent(second, "connected:recovered changes:100");
}

/* Another thread's hub was faster: the client has seen 103 there. */
static void test_resume_ahead_of_this_hub_waits_for_it(void **state)
{
	struct world *world = *state;
	struct client *client;

	shared_raise_head(world->shared, JOURNAL, 103);
	client = resume(world, JOURNAL ":103");
	assert_sent(client, "");
	publish_many(world, "7", 2);
	assert_sent(client, "");
	publish_many(world, "7", 2);
	assert_sent(client, "connected:recovered changes:104");
}

static void test_replay_obeys_class_and_subscription(void **state)
{
	struct world *world = *state;
	struct span seven[] = {{"7", 1}};
	struct session_request request = {
		.token = span_of(OPERATOR), .after = span_of(JOURNAL ":100")};
	struct client *boss;

	publish_parts(world,
		(struct event_parts){.rerouted = true, .old_users = seven, .old_user_count = 1});
	publish_parts(world,
		(struct event_parts){.topic = span_of("other"), .users = seven, .user_count = 1});
	publish(world, "*");
	publish(world, "8");
	assert_sent(resume(world, JOURNAL ":100"),
		"connected:recovered changes:101:delete changes:102 changes:103");
	boss = client_open_with(world, &fake_websocket, &request);
	assert_sent(boss, "connected:recovered changes:101 changes:102 changes:103 changes:104");
	request.topics = (struct span[]){{"oth", 3}};
	request.topic_count = 1;
	boss = client_open_with(world, &fake_websocket, &request);
	assert_sent(boss, "connected:recovered changes:102");
}

static void test_test_sessions_have_no_history(void **state)
{
	struct world *world = *state;
	struct client *test;

	publish_many(world, "-1", 3);
	publish_many(world, "*", 3);
	test = client_open(world, "TEST", JOURNAL ":100");
	assert_sent(test, "connected changes:0");
	test->next = SEND_BEHIND;
	client_say(test, "{\"event\":\"unsubscribe\"}");
	publish_many(world, "*", 3);
	test->next = SEND_ALL;
	client_writable(test);
	assert_sent(test, "subscribed");
	assert_int_equal(test->session.state, SESSION_LIVE);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_many_resume_from_few_pages),
		IN_A_WORLD(test_a_page_shorter_than_expected),
		IN_A_WORLD(test_pages_go_with_their_journal),
		IN_A_WORLD(test_resume_from_the_tail),
		IN_A_WORLD(test_resume_that_cannot_be),
		IN_A_WORLD(test_resumed_is_live),
		IN_A_WORLD(test_resume_from_the_journal_then_the_tail),
		IN_A_WORLD(test_a_page_ahead_of_the_hub_repeats_nothing),
		IN_A_WORLD(test_the_journal_does_not_reach_back),
		IN_A_WORLD(test_the_journal_cannot_be_read_just_now),
		IN_A_WORLD(test_behind_beyond_the_tail_reads_the_journal),
		IN_A_WORLD(test_lost_its_place_is_closed),
		IN_A_WORLD(test_a_page_that_does_not_fit_is_read_again),
		IN_A_WORLD(test_the_session_goes_while_its_page_is_read),
		IN_A_WORLD(test_reads_are_bounded_and_in_order),
		IN_A_WORLD(test_a_full_lane_is_asked_again),
		IN_A_WORLD(test_resume_ahead_of_this_hub_waits_for_it),
		IN_A_WORLD(test_replay_obeys_class_and_subscription),
		IN_A_WORLD(test_test_sessions_have_no_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
