/* Prevents: a session that goes from one thread to another leaving something of itself behind, which the old thread then
 * touches, or being counted twice or never again; a look-up or page that was under way on the old thread being waited for
 * forever; one that stays although its key, its journal or the server went while neither hub saw it.
 */
#include "world.h"

#include "base/clock.h"
#include "hub/internal.h"

static void move_to(struct client *client, struct hub *hub)
{
	struct passage *passage = session_depart(&client->session);

	assert_true(session_arrive(&client->session, hub, passage));
	if (session_usable(&client->session))
		session_writable(&client->session);
}

static void give(struct world *world, struct hub *hub, const char *users, uint64_t id)
{
	struct event *event = event_of(id, users, (struct event_parts){0});

	if (world->head < id)
		world->head = id;
	assert_true(hub_deliver(hub, &event, 1));
	event_unref(event);
	hub_turn(hub);
}

static void live(struct hub *hub, const char *journal, uint64_t id)
{
	struct source_position head = {.id = id};

	memcpy(head.journal, journal, JOURNAL_LEN);
	hub_live(hub, &head);
	hub_turn(hub);
}

static void assert_empty(const struct hub *hub)
{
	assert_int_equal(hub->count, 0);
	assert_int_equal(hub->waiting, 0);
	assert_int_equal(hub->closing, 0);
	assert_int_equal(hub->users.count, 0);
	assert_null(hub->sessions);
	assert_null(hub->operators);
	assert_null(hub->dirty);
	assert_null(hub->ticking.at);
}

/* -- every state -- */

static struct client *jwt(struct world *world, const char *after)
{
	char *token = jwt_of("7", 60);
	struct client *client = client_open(world, token, after);

	free(token);
	return client;
}

static struct client *opened(struct world *world)
{
	return client_open(world, NULL, NULL);
}

static void opened_goes_on(struct world *world, struct client *client)
{
	client_say(client, "{\"event\":\"auth\",\"data\":{\"token\":\"7\"}}");
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(client, "connected");
}

static struct client *looked_up(struct world *world)
{
	return client_open(world, "7", NULL);
}

static void looked_up_goes_on(struct world *world, struct client *client)
{
	assert_int_equal(world->lookup_count, 2);
	lookup_answer(world, STATUS_UNAUTHORIZED, NULL, false); /* the old hub's */
	assert_sent(client, "");
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(client, "connected");
}

static struct client *waiting(struct world *world)
{
	hub_away(world->hub);
	hub_turn(world->hub);
	return jwt(world, NULL);
}

static void waiting_goes_on(struct world *world, struct client *client)
{
	(void)world;
	assert_sent(client, "connected");
}

static struct client *resuming(struct world *world)
{
	return jwt(world, JOURNAL ":98");
}

static void resuming_goes_on(struct world *world, struct client *client)
{
	assert_int_equal(world->read_count, 2);
	read_answer(world, STATUS_GONE, "7", 1, 0); /* the old hub's */
	assert_sent(client, "");
	read_answer(world, STATUS_OK, "7", 99, 100);
	assert_sent(client, "connected:recovered changes:99 changes:100");
}

/* A page of the journal is under way, in the middle of a replay. */
static struct client *replaying(struct world *world)
{
	struct client *client = client_of(world, "7");

	leave_live(&client->session, 97, 0);
	session_writable(&client->session);
	assert_int_equal(world->read_count, 1);
	return client;
}

static void replaying_goes_on(struct world *world, struct client *client)
{
	assert_int_equal(world->read_count, 2);
	read_answer(world, STATUS_GONE, "7", 1, 0);
	assert_false(client->closed);
	read_answer(world, STATUS_OK, "7", 98, 100);
	assert_sent(client, "changes:98 changes:99 changes:100");
}

static struct client *behind(struct world *world)
{
	struct client *client = client_of(world, "7");

	session_pause(&client->session);
	client_say(client, "{\"event\":\"unsubscribe\"}");
	return client;
}

static void behind_goes_on(struct world *world, struct client *client)
{
	(void)world;
	assert_sent(client, "subscribed");
}

static struct client *live_user(struct world *world)
{
	return client_of(world, "7");
}

static void nothing(struct world *world, struct client *client)
{
	(void)world;
	assert_sent(client, "");
}

static struct client *live_tester(struct world *world)
{
	struct client *client = client_test(world);

	client_forget(client);
	return client;
}

static struct client *closing(struct world *world)
{
	struct client *client = client_of(world, "7");

	session_end(&client->session, CLOSE_REVOKED);
	return client;
}

static const struct case_of_state {
	const char *name;
	struct client *(*make)(struct world *world);
	enum session_state on_the_way;
	void (*goes_on)(struct world *world, struct client *client);
	enum session_state in_the_end;
	const char *gets; /* of what user 7 gets from then on */
} cases[] = {
	{"opened", opened, SESSION_OPENED, opened_goes_on, SESSION_LIVE, "changes:101"},
	{"looked up", looked_up, SESSION_AUTHENTICATING, looked_up_goes_on, SESSION_LIVE, "changes:101"},
	{"waiting", waiting, SESSION_WAITING, waiting_goes_on, SESSION_LIVE, "changes:101"},
	{"resuming", resuming, SESSION_WAITING, resuming_goes_on, SESSION_LIVE, "changes:101"},
	{"replaying", replaying, SESSION_REPLAY, replaying_goes_on, SESSION_LIVE, "changes:101"},
	{"behind", behind, SESSION_REPLAY, behind_goes_on, SESSION_LIVE, "changes:101"},
	{"live", live_user, SESSION_REPLAY, nothing, SESSION_LIVE, "changes:101"},
	{"operator", client_operator, SESSION_REPLAY, nothing, SESSION_LIVE, "changes:101"},
	{"tester", live_tester, SESSION_REPLAY, nothing, SESSION_LIVE, ""},
	{"closing", closing, SESSION_CLOSING, nothing, SESSION_CLOSING, ""},
};

#define CASES (sizeof(cases) / sizeof(*cases))

/* Starts in a world of its own and hands over what is on the way. */
static struct passage *depart(const struct case_of_state *it, struct world **world, struct client **client)
{
	struct passage *passage;
	void *state;

	print_message("  %s\n", it->name);
	world_setup(&state);
	*world = state;
	world_second(*world);
	(*world)->config.max_sessions = (*world)->config.max_sessions_per_user = 1;
	(*world)->config.max_sessions_per_address = 1;
	*client = it->make(*world);
	(*world)->hub->ticking.at = &(*client)->session;
	passage = session_depart(&(*client)->session);
	assert_int_equal((*client)->session.state, it->on_the_way);
	assert_empty((*world)->hub);
	assert_true(client_open(*world, "8", NULL)->refused);
	return passage;
}

static void test_every_state(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < CASES; i++) {
		struct world *world;
		struct client *client;
		struct passage *passage = depart(&cases[i], &world, &client);
		void *state = world;

		assert_true(session_arrive(&client->session, world->there, passage));
		assert_int_equal(world->there->count, 1);
		assert_int_equal(world->there->waiting, cases[i].on_the_way == SESSION_WAITING);
		assert_int_equal(world->there->closing, cases[i].on_the_way == SESSION_CLOSING);
		session_writable(&client->session);
		cases[i].goes_on(world, client);
		assert_int_equal(client->session.state, cases[i].in_the_end);
		give(world, world->there, "7", 101);
		assert_sent(client, cases[i].gets);
		assert_true(client_open(world, "8", NULL)->refused);
		client_gone(client);
		assert_empty(world->there);
		client_gone(client_of(world, "7"));
		world_teardown(&state);
	}
}

static void test_vanishes_in_every_state(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < CASES; i++) {
		struct world *world;
		struct client *client;
		struct passage *passage = depart(&cases[i], &world, &client);
		void *state = world;
		bool ended = client->closed;

		session_vanish(&client->session, passage, CLOSE_RESTART);
		assert_int_equal(client->session.state, SESSION_CLOSED);
		assert_int_equal(client->session.close_reason, ended ? CLOSE_REVOKED : CLOSE_RESTART);
		assert_int_equal(client->closed, ended);
		assert_null(client->session.auth);
		assert_null(client->session.held);
		client_gone(client); /* idempotent */
		memset(&client->session, 0, sizeof(client->session));
		if (world->lookup_count) /* its own */
			lookup_answer(world, STATUS_OK, "7", false);
		live(world->hub, JOURNAL, 100);
		client = client_of(world, "7");
		assert_int_equal(client->session.state, SESSION_LIVE);
		client_gone(client);
		world_teardown(&state);
	}
}

/* In the middle of a large event it may vanish, or go on where it was if it is spoken to in the same way. */
static void test_within_a_large_event(void **state)
{
	struct world *world = *state;
	struct client *goes_on = client_of(world, "7"), *vanishes = client_of(world, "7");
	AUTO_BUF struct buf data = buf_init(BUF_NO_MAX);
	struct span seven[] = {{"7", 1}};
	struct event *event;

	buf_text(&data, "{\"x\":\"");
	for (int i = 0; i < 50000; i++)
		buf_text(&data, "0123456789");
	buf_text(&data, "\"}");
	event = event_of(++world->head, NULL,
		(struct event_parts){.data = buf_as_span(&data), .users = seven, .user_count = 1});
	goes_on->next = vanishes->next = SEND_BEHIND;
	assert_true(hub_deliver(world->hub, &event, 1) && hub_deliver(world->there, &event, 1));
	event_unref(event);
	hub_turn(world->hub);
	hub_turn(world->there);
	assert_non_null(goes_on->session.rest);
	session_vanish(&vanishes->session, session_depart(&vanishes->session), CLOSE_CLIENT);
	buf_clear(&vanishes->bytes);
	goes_on->next = SEND_ALL;
	move_to(goes_on, world->there);
	assert_sent(goes_on, "changes:101");
	assert_int_equal(goes_on->session.state, SESSION_LIVE);
}

static void test_the_user_is_counted_throughout(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7"), *second;
	struct passage *passage;

	world->config.max_sessions_per_user = 1;
	passage = session_depart(&client->session);
	for (int i = 0; i < 2; i++) {
		second = client_open(world, "7", NULL);
		lookup_answer(world, STATUS_OK, "7", false);
		assert_int_equal(second->reason, CLOSE_TOO_MANY);
		if (i == 0)
			assert_true(session_arrive(&client->session, world->there, passage));
	}
	client_gone(client);
	assert_int_equal(client_of(world, "7")->session.state, SESSION_LIVE);
}

/* -- what is under way when it goes -- */

/* The old hub's answers come when the session's memory is somebody else's. */
static void test_answers_find_nobody(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");
	struct session kept;
	struct passage *passage;

	client_say(client, "{\"event\":\"event\",\"data\":{\"table\":\"t\",\"type\":\"insert\",\"data\":{}}}");
	client_say(client, "{\"event\":\"auth\",\"data\":{\"token\":\"renewed\"}}");
	leave_live(&client->session, 97, 0);
	session_writable(&client->session);
	assert_int_equal(world->publish_count + world->lookup_count + world->read_count, 3);
	passage = session_depart(&client->session);
	kept = client->session;
	memset(&client->session, 0xee, sizeof(client->session));
	publish_answer(world, STATUS_UNAVAILABLE);
	lookup_answer(world, STATUS_OK, "8", false);
	read_answer(world, STATUS_GONE, NULL, 1, 0);
	hub_tick(world->hub);
	give(world, world->hub, "7", 101);
	client->session = kept;
	assert_true(session_arrive(&client->session, world->there, passage));
	assert_string_equal(world->lookups[0]->token, "renewed");
	session_writable(&client->session);
	read_answer(world, STATUS_OK, "7", 98, 100);
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(client, "changes:98 changes:99 changes:100");
	assert_false(client->closed);
	assert_int_equal(client->session.state, SESSION_LIVE);
}

/* A look-up that was not under way keeps its time. */
static void test_a_look_up_that_is_not_due(void **state)
{
	struct world *world = *state;
	struct client *in = client_of(world, "7"), *again = client_open(world, "8", NULL);

	lookup_answer(world, STATUS_UNAVAILABLE, NULL, false);
	move_to(in, world->there);
	move_to(again, world->there);
	assert_int_equal(world->lookup_count, 0);
	pause_ms(520);
	hub_tick(world->there);
	assert_int_equal(world->lookup_count, 1);
	lookup_answer(world, STATUS_OK, "8", false);
	assert_sent(again, "connected");
}

/* However long it was on the way: who is behind is not stalled for that, nor is a ping of before waited for. */
static void test_no_time_passes_on_the_way(void **state)
{
	struct world *world = *state;
	struct client *slow, *pinged;
	struct passage *passages[2];

	world->config.heartbeat_ms = 1;
	pinged = client_of(world, "7");
	pause_ms(5);
	hub_tick(world->hub);
	assert_int_equal(pinged->heartbeats, 1);
	slow = behind(world);
	passages[0] = session_depart(&slow->session);
	passages[1] = session_depart(&pinged->session);
	slow->session.progress_at -= 100000; /* as if it had taken long */
	pinged->session.deadline -= 100000;
	assert_true(session_arrive(&slow->session, world->there, passages[0]));
	assert_true(session_arrive(&pinged->session, world->there, passages[1]));
	hub_tick(world->there);
	assert_false(slow->closed || pinged->closed);
}

/* -- what happened on the way -- */

static void withdraw(struct world *world, const char *operator)
{
	struct hub *hubs[] = {world->hub, world->there};
	struct err err;

	assert_int_equal(auth_reload(world->auth, operator, NULL, &err), STATUS_OK);
	hubs_withdraw(hubs, 2);
}

static void test_its_key_went(void **state)
{
	struct world *world = *state;
	struct client *client = client_operator(world), *fetches = client_operator(world), *stays = client_of(world, "7");
	struct passage *passages[3];

	session_speak_through(&fetches->session, &fake_fetching);
	session_pause(&fetches->session);
	passages[0] = session_depart(&client->session);
	passages[1] = session_depart(&fetches->session);
	passages[2] = session_depart(&stays->session);
	withdraw(world, "another");
	hub_turn(world->hub); /* both walks are over before it arrives */
	hub_turn(world->there);
	client->session.position = 200; /* nothing to wait for */
	assert_true(session_arrive(&client->session, world->there, passages[0]));
	assert_true(session_arrive(&fetches->session, world->there, passages[1]));
	assert_true(session_arrive(&stays->session, world->there, passages[2]));
	assert_sent(client, "error:401");
	assert_sent(fetches, "error:401");
	assert_int_equal(client->reason, CLOSE_KEY_GONE);
	assert_int_equal(fetches->reason, CLOSE_KEY_GONE);
	assert_false(stays->closed);
	client_gone(client);
	client_gone(fetches);
	client_gone(stays);
	assert_empty(world->there);
}

/* The old hub's walk stands at it. */
static void test_it_goes_while_keys_are_withdrawn(void **state)
{
	struct world *world = *state;
	struct client *other = client_operator(world), *client = client_of(world, "7");

	withdraw(world, "another");
	world->hub->withdrawing.at = &client->session;
	move_to(client, world->there);
	assert_ptr_equal(world->hub->withdrawing.at, &other->session);
	hub_turn(world->hub);
	hub_turn(world->there);
	assert_false(client->closed);
	assert_int_equal(other->reason, CLOSE_KEY_GONE);
}

static void test_another_journal(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7"), *tester = live_tester(world), *nobody = client_open(world, NULL, NULL);

	live(world->there, OTHER_JOURNAL, 100);
	move_to(client, world->there);
	move_to(tester, world->there);
	move_to(nobody, world->there);
	assert_sent(client, "");
	assert_int_equal(client->reason, CLOSE_JOURNAL);
	assert_int_equal(tester->reason, CLOSE_JOURNAL);
	opened_goes_on(world, nobody);
}

static void test_a_hole(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7"), *behind = client_of(world, "7"), *nobody = client_open(world, NULL, NULL);
	struct source_position head = {.journal = JOURNAL, .id = 100, .holes = {1, 101}};
	struct passage *passage = session_depart(&behind->session);

	hub_live(world->there, &head);
	hub_turn(world->there);
	move_to(client, world->there);
	move_to(nobody, world->there);
	assert_int_equal(client->reason, CLOSE_JOURNAL);
	assert_true(session_arrive(&behind->session, world->there, passage));
	assert_int_equal(behind->reason, CLOSE_JOURNAL);
	opened_goes_on(world, nobody);
}

/* The new hub was not told yet of the journal that the session is of. */
static void test_the_journal_comes_later(void **state)
{
	struct world *world = *state;
	struct passage *passage;
	struct client *client;

	live(world->hub, OTHER_JOURNAL, 50);
	client = client_of(world, "7");
	passage = session_depart(&client->session);
	for (int i = 0; i < 3; i++) {
		assert_false(session_arrive(&client->session, world->there, passage));
		hub_turn(world->there);
		hub_tick(world->there);
	}
	assert_empty(world->there);
	live(world->there, OTHER_JOURNAL, 50);
	assert_true(session_arrive(&client->session, world->there, passage));
	session_writable(&client->session);
	assert_int_equal(client->session.state, SESSION_LIVE);
	assert_int_equal(client->session.position, 50);
}

/* Both hubs hear of it after the session has arrived: it ends as everybody. */
static void test_the_journal_ends_there(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");
	struct passage *passage = session_depart(&client->session);

	live(world->hub, OTHER_JOURNAL, 50);
	assert_true(session_arrive(&client->session, world->there, passage));
	live(world->there, OTHER_JOURNAL, 50);
	assert_int_equal(client->reason, CLOSE_JOURNAL);
}

/* A hub that knows no journal yet: one that is connected waits, and must not take 0 for the head. */
static void test_a_hub_without_a_journal(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");
	struct passage *passage = session_depart(&client->session);
	struct hub *fresh = hub_create(&world->config, world->shared, NULL, NULL), *old = world->there;

	assert_false(session_arrive(&client->session, fresh, passage));
	hub_destroy(fresh);
	assert_true(session_arrive(&client->session, old, passage));
}

static void test_that_hub_shuts_down(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7"), *ahead = client_of(world, "7");

	give(world, world->hub, "7", 101);
	client_forget(client);
	client_forget(ahead);
	hub_drain(world->there, 1000);
	move_to(client, world->there);
	move_to(ahead, world->there); /* those events will never come */
	assert_int_equal(client->reason, CLOSE_RESTART);
	assert_int_equal(ahead->reason, CLOSE_RESTART);
	assert_sent(client, "");
}

/* The old hub shuts down evenly: those who have left are no part of it. */
static void test_this_hub_shuts_down(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7"), *stays = client_of(world, "7");

	hub_drain(world->hub, 60000);
	move_to(client, world->there);
	hub_turn(world->hub);
	assert_false(client->closed);
	give(world, world->there, "7", 101);
	assert_sent(client, "changes:101");
	(void)stays;
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, two_hubs, world_teardown)

static int two_hubs(void **state)
{
	world_setup(state);
	world_second(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_state),
		cmocka_unit_test(test_vanishes_in_every_state),
		IN_A_WORLD(test_within_a_large_event),
		IN_A_WORLD(test_the_user_is_counted_throughout),
		IN_A_WORLD(test_answers_find_nobody),
		IN_A_WORLD(test_a_look_up_that_is_not_due),
		IN_A_WORLD(test_no_time_passes_on_the_way),
		IN_A_WORLD(test_its_key_went),
		IN_A_WORLD(test_it_goes_while_keys_are_withdrawn),
		IN_A_WORLD(test_another_journal),
		IN_A_WORLD(test_a_hole),
		IN_A_WORLD(test_the_journal_comes_later),
		IN_A_WORLD(test_the_journal_ends_there),
		IN_A_WORLD(test_a_hub_without_a_journal),
		IN_A_WORLD(test_that_hub_shuts_down),
		IN_A_WORLD(test_this_hub_shuts_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
