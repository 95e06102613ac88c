/* Prevents: a send per event instead of per turn; a session that falls behind losing or repeating
 * an event; a session that ends while it is being sent to taking the turn down with it.
 */
#include "wire/wire.h"
#include "world.h"

static void test_one_send_a_turn(void **state)
{
	struct world *world = *state;
	struct client *seven = client_of(world, "7");

	publish_many(world, "7", 50);
	assert_int_equal(seven->sends, 1);
	assert_ids(seven, 101, 150);
	publish(world, "7");
	assert_int_equal(seven->sends, 2);
	publish(world, "8");
	assert_int_equal(seven->sends, 2);
	assert_sent(seven, "changes:151");
}

static void publish_large(struct world *world, size_t len)
{
	AUTO_BUF struct buf data = buf_init(BUF_NO_MAX);
	struct span seven[] = {{"7", 1}};

	buf_text(&data, "{\"x\":\"");
	for (size_t i = 0; i < len; i++)
		buf_text(&data, "x");
	buf_text(&data, "\"}");
	publish_parts(world, (struct event_parts){.data = buf_as_span(&data), .users = seven, .user_count = 1});
}

/* A slow client is not handed all of a large event at once, gets all of it in the end, and nothing between its pieces. */
static void test_a_large_event_in_pieces(void **state)
{
	struct world *world = *state;
	struct client *slow = client_of(world, "7"), *quick = client_of(world, "7");
	size_t before;

	slow->next = SEND_BEHIND;
	publish_large(world, 500000);
	assert_true(slow->bytes.len <= 65536);
	assert_ids(quick, 101, 101);
	for (int i = 0; i < 4; i++) {
		before = slow->bytes.len;
		client_say(slow, "{\"event\":\"unsubscribe\"}"); /* answered behind it */
		publish(world, "7");
		assert_int_equal(slow->bytes.len, before);
		client_writable(slow);
		assert_in_range(slow->bytes.len - before, 1, 65536);
	}
	slow->next = SEND_ALL;
	client_writable(slow);
	assert_sent(slow, "changes:101 subscribed subscribed subscribed subscribed changes:102 changes:103 changes:104 changes:105");
	assert_int_equal(slow->session.state, SESSION_LIVE);
}

/* Whose socket takes so much is handed that and no more, in one send, and goes on when it takes more; who takes all gets it at once. */
static void test_a_large_event_by_what_is_taken(void **state)
{
	struct world *world = *state;
	struct client *some = client_of(world, "7"), *all = client_of(world, "7");

	some->room = 100000;
	all->room = 1000000;
	publish_large(world, 200000);
	assert_int_equal(all->sends, 1);
	assert_ids(all, 101, 101);
	assert_int_equal(some->sends, 1);
	assert_in_range(some->bytes.len, 100000 - FRAME_PIECE, 100000);
	assert_int_equal(some->bytes.len % FRAME_PIECE, 0);
	assert_int_equal(some->wanted, 1);
	publish(world, "7");
	assert_int_equal(some->sends, 1);
	client_writable(some);
	assert_int_equal(some->sends, 2);
	client_writable(some);
	assert_sent(some, "changes:101 changes:102");
	assert_int_equal(some->sends, 4);
	assert_int_equal(some->session.state, SESSION_LIVE);
}

/* In the middle of a large event the session ends, and another vanishes: nothing leaks, nothing more is sent. */
static void test_ends_within_a_large_event(void **state)
{
	struct world *world = *state;
	struct client *slow = client_of(world, "7"), *vanishes = client_of(world, "7"), *gone = client_of(world, "7");

	slow->next = vanishes->next = gone->next = SEND_BEHIND;
	publish_large(world, 500000);
	client_gone(gone);
	vanishes->vanish_on_send = true;
	client_writable(vanishes);
	world->config.slow_timeout_ms = 10;
	hub_tick(world->hub);
	pause_ms(20);
	hub_tick(world->hub);
	assert_int_equal(slow->reason, CLOSE_SLOW);
	for (int i = 0; i < 3; i++) /* they end in the middle of a message */
		buf_clear(&world->clients[i]->bytes);
}

static void test_behind_reads_on_from_the_tail(void **state)
{
	struct world *world = *state;
	struct client *seven = client_of(world, "7");

	seven->next = SEND_BEHIND;
	publish_many(world, "7", 10);
	publish_many(world, "7", 10);
	publish_many(world, "8", 10);
	publish_many(world, "7", 10);
	assert_int_equal(seven->sends, 1);
	seven->next = SEND_ALL;
	client_writable(seven);
	assert_int_equal(seven->sends, 2);
	assert_int_equal(seven->session.state, SESSION_LIVE);
	client_read(seven);
	assert_int_equal(seven->count, 30);
	assert_string_equal(
		json_string_value(json_object_get(message_data(seven, 9), "id")), "110");
	assert_string_equal(
		json_string_value(json_object_get(message_data(seven, 10), "id")), "111");
	assert_string_equal(
		json_string_value(json_object_get(message_data(seven, 20), "id")), "131");
	client_forget(seven);
	publish(world, "7");
	assert_sent(seven, "changes:141");
}

/* More than a turn may hold: what fits goes out, the rest follows in steps, one for each time the
 * socket has room. */
static void test_over_the_limit_reads_on_in_steps(void **state)
{
	struct world *world = *state;
	struct client *seven;

	world->config.session_queue_bytes = 1000;
	seven = client_of(world, "7");
	publish_many(world, "7", 40);
	assert_int_equal(seven->sends, 1);
	assert_true(seven->bytes.len <= 1000);
	assert_int_equal(seven->wanted, 1);
	assert_int_equal(seven->session.state, SESSION_REPLAY);
	publish_many(world, "7", 2);
	for (int i = 0; i < 40 && seven->session.state == SESSION_REPLAY; i++)
		session_writable(&seven->session);
	assert_true(seven->sends > 5);
	assert_ids(seven, 101, 142);
	publish(world, "7");
	assert_sent(seven, "changes:143");
}

static void test_one_frame_is_always_allowed(void **state)
{
	struct world *world = *state;
	AUTO_BUF struct buf big = buf_init(1 << 20);
	struct client *seven;
	struct span users[] = {{"7", 1}};

	world->config.session_queue_bytes = 1000;
	seven = client_of(world, "7");
	buf_text(&big, "{\"text\":\"");
	for (int i = 0; i < 5000; i++)
		buf_text(&big, "0123456789");
	buf_text(&big, "\"}");
	publish_parts(world,
		(struct event_parts){.users = users, .user_count = 1, .data = buf_as_span(&big)});
	assert_int_equal(seven->sends, 1);
	assert_int_equal(seven->session.state, SESSION_LIVE);
	assert_sent(seven, "changes:101");
}

static void test_ends_while_it_is_sent_to(void **state)
{
	struct world *world = *state;
	struct client *first = client_of(world, "7"), *middle = client_of(world, "7"),
		      *last = client_of(world, "7");

	middle->vanish_on_send = true;
	publish(world, "7");
	assert_int_equal(middle->session.state, SESSION_CLOSED);
	assert_int_equal(hub_session_count(world->hub), 2);
	publish(world, "7");
	assert_sent(first, "changes:101 changes:102");
	assert_sent(last, "changes:101 changes:102");
	client_gone(middle);
}

/* A session ends between the routing of an event and the flush, in another one's close(). */
static void test_ends_before_it_is_sent_to(void **state)
{
	struct world *world = *state;
	struct client *gone = client_of(world, "7"), *stays = client_of(world, "7"),
		      *refused = client_open(world, "bad", NULL);
	struct event *event = event_of(++world->head, "7", (struct event_parts){0});

	refused->takes_along = gone;
	assert_true(hub_deliver(world->hub, &event, 1));
	event_unref(event);
	lookup_answer(world, STATUS_UNAUTHORIZED, NULL, false);
	assert_int_equal(gone->session.state, SESSION_CLOSED);
	assert_sent(stays, "changes:101");
}

static void test_dead_is_not_sent_to_again(void **state)
{
	struct world *world = *state;
	struct client *seven = client_of(world, "7");

	seven->next = SEND_DEAD;
	publish(world, "7");
	seven->next = SEND_ALL;
	publish(world, "7");
	assert_sent(seven, "");
	assert_false(seven->closed);
	client_gone(seven);
	assert_int_equal(hub_session_count(world->hub), 0);
}

/* A broadcast to many in one turn is sent in parts, so that the list of deliveries stays bounded.
 */
static void test_a_huge_turn(void **state)
{
	struct world *world = *state;
	enum { CLIENTS = 250, EVENTS = 4500 };
	struct client *clients[CLIENTS];

	world->config.inbox_bytes = world->config.tail_bytes = world->config.session_queue_bytes =
		16 << 20;
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = client_of(world, "7");
		clients[i]->forgetful = i % 50 != 0;
	}
	publish_many(world, "*", EVENTS);
	for (int i = 0; i < CLIENTS; i++) {
		assert_int_equal(clients[i]->sends, 2);
		if (!clients[i]->forgetful)
			assert_ids(clients[i], 101, 100 + EVENTS);
	}
}

/* A batch whose events have these receivers. */
static void publish_to(struct world *world, const char *const *users, size_t count)
{
	struct event *events[8];

	for (size_t i = 0; i < count; i++)
		events[i] = event_of(++world->head, users[i], (struct event_parts){0});
	assert_true(hub_deliver(world->hub, events, count));
	for (size_t i = 0; i < count; i++)
		event_unref(events[i]);
	hub_turn(world->hub);
}

/* Sessions that get the same are sent the same bytes; those that get a little more, or in another encoding, or that end while
 * another is sent to, are not. Everybody has exactly what is his, in order, by one send. */
static void test_what_sessions_share(void **state)
{
	static const char *const users[] = {"7", "*", "*", "8", "*", "7,8", "*"};
	struct world *world = *state;
	struct client *seven = client_of(world, "7"), *also = client_of(world, "7"), *eight = client_of(world, "8"),
		      *nine = client_of(world, "9"), *ten = client_of(world, "10"), *dies = client_of(world, "9"),
		      *operator = client_operator(world), *stream = stream_open(world, "9", NULL);

	lookup_answer(world, STATUS_OK, "9", false);
	client_read(stream);
	client_forget(stream);
	client_forget(operator);
	dies->vanish_on_send = true;
	publish_to(world, users, 7);
	assert_sent(seven, "changes:101 changes:102 changes:103 changes:105 changes:106 changes:107");
	assert_sent(also, "changes:101 changes:102 changes:103 changes:105 changes:106 changes:107");
	assert_sent(eight, "changes:102 changes:103 changes:104 changes:105 changes:106 changes:107");
	assert_sent(nine, "changes:102 changes:103 changes:105 changes:107");
	assert_sent(ten, "changes:102 changes:103 changes:105 changes:107");
	assert_sent(stream, "changes:102 changes:103 changes:105 changes:107");
	assert_ids(operator, 101, 107);
	assert_int_equal(seven->sends + also->sends + eight->sends + nine->sends + ten->sends, 5);
	publish_to(world, users + 1, 1);
	assert_sent(nine, "changes:108");
	assert_sent(ten, "changes:108");
	client_gone(dies);
}

/* One session's queue holds less than all of it: each of those that share it goes on where its own send ended. */
static void test_shared_over_the_limit(void **state)
{
	struct world *world = *state;
	struct client *one = client_of(world, "7"), *two = client_of(world, "8"), *behind = client_of(world, "9");

	world->config.session_queue_bytes = 1000;
	behind->next = SEND_BEHIND;
	publish_many(world, "*", 20);
	assert_true(one->wanted && two->wanted);
	behind->next = SEND_ALL;
	for (int i = 0; i < 20; i++) {
		client_writable(one);
		client_writable(two);
		client_writable(behind);
	}
	assert_ids(one, 101, 120);
	assert_ids(two, 101, 120);
	assert_ids(behind, 101, 120);
	publish(world, "*");
	assert_sent(two, "changes:121");
}

static void test_streams_get_stream_events(void **state)
{
	struct world *world = *state;
	struct client *stream = stream_open(world, "7", NULL), *socket;

	lookup_answer(world, STATUS_OK, "7", false);
	socket = client_of(world, "8");
	assert_string_equal(
		json_string_value(json_object_get(message_data(stream, 0), "id")), "100");
	assert_string_equal(
		json_string_value(json_object_get(stream->messages[0], "id")), JOURNAL ":100");
	client_forget(stream);
	publish_many(world, "7,8", 3);
	client_read(stream);
	assert_string_equal(
		json_string_value(json_object_get(stream->messages[2], "id")), JOURNAL ":103");
	assert_ids(stream, 101, 103);
	assert_ids(socket, 101, 103);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_one_send_a_turn),
		IN_A_WORLD(test_a_large_event_in_pieces),
		IN_A_WORLD(test_a_large_event_by_what_is_taken),
		IN_A_WORLD(test_ends_within_a_large_event),
		IN_A_WORLD(test_behind_reads_on_from_the_tail),
		IN_A_WORLD(test_over_the_limit_reads_on_in_steps),
		IN_A_WORLD(test_one_frame_is_always_allowed),
		IN_A_WORLD(test_ends_while_it_is_sent_to),
		IN_A_WORLD(test_ends_before_it_is_sent_to),
		IN_A_WORLD(test_dead_is_not_sent_to_again),
		IN_A_WORLD(test_a_huge_turn),
		IN_A_WORLD(test_what_sessions_share),
		IN_A_WORLD(test_shared_over_the_limit),
		IN_A_WORLD(test_streams_get_stream_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
