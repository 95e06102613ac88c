/* Prevents: a session admitted without a good token, kept after its token expired or was revoked,
 * renewed as somebody else; a look-up that comes back to a session that has gone; a database that
 * is away throwing out those who are in.
 */
#include "hub/internal.h"
#include "world.h"

static void test_bad_tokens(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, "bad", NULL), *stream,
		      *empty = client_open(world, "", NULL);
	struct session_request nul = {.token = {"a\0b", 3}}, broken = {.token = {"a\xff", 2}};

	lookup_answer(world, STATUS_UNAUTHORIZED, NULL, false);
	assert_sent(client, "error:401");
	assert_int_equal(client->reason, CLOSE_UNAUTHORIZED);
	assert_sent(empty, "error:401");
	assert_sent(client_open_with(world, &fake_websocket, &nul), "error:401");
	assert_sent(client_open_with(world, &fake_websocket, &broken), "error:401");
	assert_sent(client_open(world, "a.b.c", NULL), "error:401");
	assert_int_equal(world->lookup_count, 0);
	stream = stream_open(world, "bad", NULL);
	lookup_answer(world, STATUS_UNAUTHORIZED, NULL, false);
	assert_sent(stream, "");
	assert_int_equal(stream->reason, CLOSE_UNAUTHORIZED);
}

static void test_a_look_up_without_a_user_is_refused(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, "t", NULL);

	lookup_answer(world, STATUS_OK, "", false);
	assert_sent(client, "error:401");
}

static void test_the_session_goes_while_it_is_looked_up(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, "7", NULL);

	client_gone(client);
	memset(&client->session, 0xee, sizeof(client->session));
	lookup_answer(world, STATUS_OK, "7", false);
	memset(&client->session, 0, sizeof(client->session));
	assert_sent(client, "");
	assert_int_equal(hub_session_count(world->hub), 0);
}

static void test_database_away_is_tried_again(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, "7", NULL);

	lookup_answer(world, STATUS_UNAVAILABLE, NULL, false);
	hub_tick(world->hub);
	assert_int_equal(world->lookup_count, 0);
	pause_ms(520);
	hub_tick(world->hub);
	assert_int_equal(world->lookup_count, 1);
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(client, "connected");
}

static void test_database_away_for_too_long(void **state)
{
	struct world *world = *state;
	struct client *client, *stream;

	world->config.live_timeout_ms = 20;
	client = client_open(world, "7", NULL);
	stream = stream_open(world, "7", NULL);
	lookup_answer(world, STATUS_TIMEOUT, NULL, false);
	pause_ms(30);
	hub_tick(world->hub);
	assert_sent(client, "error:503");
	assert_sent(stream, "");
	assert_int_equal(client->reason, CLOSE_UNAVAILABLE);
	assert_int_equal(stream->reason, CLOSE_UNAVAILABLE);
}

static void test_look_ups_are_bounded(void **state)
{
	struct world *world = *state;
	struct client *clients[4];

	world->config.max_pending_auth = 2;
	for (int i = 0; i < 4; i++)
		clients[i] = client_open(world, "7", NULL);
	assert_int_equal(world->lookup_count, 2);
	client_gone(clients[2]);
	lookup_answer(world, STATUS_OK, "7", false);
	assert_int_equal(world->lookup_count, 2);
	lookup_answer(world, STATUS_OK, "7", false);
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(clients[3], "connected");
}

static void test_a_full_lane_is_asked_again(void **state)
{
	struct world *world = *state;
	struct client *client;

	world->full = true;
	client = client_open(world, "7", NULL);
	world->full = false;
	hub_tick(world->hub);
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(client, "connected");
}

static void test_auth_message(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, NULL, NULL),
		      *late = client_open(world, NULL, NULL);

	publish_many(world, "7", 3);
	client_say(client,
		"{\"event\":\"auth\",\"data\":{\"token\":\"7\",\"after\":\"" JOURNAL ":102\"}}");
	assert_string_equal(world->lookups[0]->token, "7");
	client_say(client, "{\"event\":\"auth\",\"data\":{\"token\":\"8\"}}");
	assert_int_equal(world->lookup_count, 1);
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(client, "connected:recovered error:400 changes:103");
	client_say(
		late, "{\"event\":\"auth\",\"data\":{\"token\":\"" OPERATOR "\",\"after\":102}}");
	assert_sent(late, "connected:recovered changes:103");
}

static void test_auth_messages_that_are_refused(void **state)
{
	struct world *world = *state;
	static const struct {
		const char *text, *sent;
		enum close_reason reason;
	} cases[] = {
		{"{\"event\":\"auth\",\"data\":{}}", "error:401", CLOSE_UNAUTHORIZED},
		{"{\"event\":\"auth\",\"data\":{\"token\":{\"a\":1}}}", "error:401",
			CLOSE_UNAUTHORIZED},
		{"{\"event\":\"auth\",\"data\":{\"token\":7}}", "error:401", CLOSE_UNAUTHORIZED},
		{"{\"event\":\"auth\",\"data\":{\"token\":null}}", "error:401", CLOSE_UNAUTHORIZED},
		{"{\"event\":\"auth\",\"data\":{\"token\":\"\"}}", "error:401", CLOSE_UNAUTHORIZED},
		{"{\"event\":\"subscribe\",\"data\":{}}", "error:401", CLOSE_UNAUTHORIZED},
		{"{\"event\":\"event\",\"data\":{}}", "error:401", CLOSE_UNAUTHORIZED},
		{"{\"event\":\"auth\",\"data\":{\"token\":\"7\",\"after\":\"x\"}}", "error:400",
			CLOSE_BAD_MESSAGE},
		{"{\"event\":\"auth\",\"data\":{\"token\":\"7\",\"after\":-1}}", "error:400",
			CLOSE_BAD_MESSAGE},
		{"{\"event\":\"auth\",\"data\":{\"token\":\"7\",\"after\":[]}}", "error:400",
			CLOSE_BAD_MESSAGE},
		/* Passed over, they would mean everything. */
		{"{\"event\":\"auth\",\"data\":{\"token\":\"7\",\"topics\":[\"orders\"]}}", "error:400", CLOSE_BAD_MESSAGE},
		{"{\"event\":\"auth\",\"data\":{\"token\":\"7\",\"types\":\"insert\"}}", "error:400", CLOSE_BAD_MESSAGE},
		{"{\"event\":\"auth\",\"data\":{\"token\":\"7\",\"Topic\":\"orders\"}}", "error:400", CLOSE_BAD_MESSAGE},
		{"{\"event\":\"auth\",\"data\":{\"token\":\"7\",\"After\":\"102\"}}", "error:400", CLOSE_BAD_MESSAGE},
		{"token", "error:400", CLOSE_BAD_MESSAGE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct client *client = client_open(world, NULL, NULL);

		client_say(client, cases[i].text);
		assert_sent(client, cases[i].sent);
		assert_int_equal(client->reason, cases[i].reason);
	}
	assert_int_equal(world->lookup_count, 0);
}

static void test_jwt_expires(void **state)
{
	struct world *world = *state;
	char *token = jwt_of("7", 0.08);
	struct client *client = client_open(world, token, NULL);

	free(token);
	assert_sent(client, "connected");
	hub_tick(world->hub);
	assert_false(client->closed);
	pause_ms(100);
	hub_tick(world->hub);
	assert_sent(client, "error:401");
	assert_int_equal(client->reason, CLOSE_EXPIRED);
}

static void renew(struct client *client, const char *token)
{
	AUTO_BUF struct buf text = buf_init(4096);

	buf_printf(&text, "{\"event\":\"auth\",\"data\":{\"token\":\"%s\"}}", token);
	client_say(client, text.bytes);
}

static void test_renewed_in_time(void **state)
{
	struct world *world = *state;
	char *token = jwt_of("7", 0.08), *longer = jwt_of("7", 60);
	struct client *client = client_open(world, token, NULL);

	renew(client, longer);
	pause_ms(100);
	hub_tick(world->hub);
	assert_sent(client, "connected");
	assert_false(client->closed);
	free(token);
	free(longer);
}

static void test_renewed_by_a_table_token(void **state)
{
	struct world *world = *state;
	char *token = jwt_of("7", 0.08);
	struct client *client = client_open(world, token, NULL),
		      *other = client_open(world, token, NULL);

	renew(client, "table");
	lookup_answer(world, STATUS_OK, "7", false);
	renew(other, "table");
	lookup_answer(world, STATUS_OK, "8", false);
	assert_sent(other, "connected error:401");
	assert_int_equal(other->reason, CLOSE_UNAUTHORIZED);
	pause_ms(100);
	hub_tick(world->hub);
	assert_false(client->closed);
	free(token);
}

static void test_renewed_as_somebody_else(void **state)
{
	struct world *world = *state;
	char *eight = jwt_of("8", 60), *minus_one = jwt_of("-1", 60);
	const char *tokens[] = {eight, minus_one, "TEST", OPERATOR, "a.b.c"};

	for (size_t i = 0; i < sizeof(tokens) / sizeof(*tokens); i++) {
		struct client *client = client_of(world, "7");

		renew(client, tokens[i]);
		assert_sent(client, "error:401");
		assert_int_equal(client->reason, CLOSE_UNAUTHORIZED);
	}
	free(eight);
	free(minus_one);
}

static void test_rechecked(void **state)
{
	struct world *world = *state;
	struct client *client, *gone, *other;

	world->config.auth_recheck_ms = 20;
	client = client_of(world, "7");
	hub_tick(world->hub);
	assert_int_equal(world->lookup_count, 0);
	pause_ms(30);
	hub_tick(world->hub);
	assert_string_equal(world->lookups[0]->token, "7");
	lookup_answer(world, STATUS_UNAVAILABLE, NULL, false);
	pause_ms(30);
	hub_tick(world->hub);
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(client, "");
	assert_false(client->closed);
	gone = client_of(world, "8");
	other = client_of(world, "9");
	client_gone(client);
	pause_ms(30);
	hub_tick(world->hub);
	assert_int_equal(world->lookup_count, 2);
	lookup_answer(world, STATUS_OK, "10", false); /* the newest session is walked first */
	lookup_answer(world, STATUS_UNAUTHORIZED, NULL, false);
	assert_sent(other, "error:401");
	assert_sent(gone, "error:401");
	assert_int_equal(other->reason, CLOSE_REVOKED);
	assert_int_equal(gone->reason, CLOSE_REVOKED);
}

/* A session that goes while its token is re-checked. */
static void test_gone_while_rechecked(void **state)
{
	struct world *world = *state;
	struct client *client;

	world->config.auth_recheck_ms = 5;
	client = client_of(world, "7");
	pause_ms(10);
	hub_tick(world->hub);
	client_gone(client);
	memset(&client->session, 0xee, sizeof(client->session));
	lookup_answer(world, STATUS_UNAUTHORIZED, NULL, false);
	memset(&client->session, 0, sizeof(client->session));
}

static void never_mind(void *context, enum status status, struct identity *identity)
{
	(void)context;
	(void)status;
	if (identity)
		free(identity->user);
}

/* Requests whose tokens are nobody's keep every place taken, and more wait: whose token is due is asked after all the same. */
static void test_rechecked_in_a_crowd(void **state)
{
	struct world *world = *state;
	struct client *client;
	bool asked = false;

	world->config.auth_recheck_ms = 1000;
	world->config.max_pending_auth = 4;
	client = client_of(world, "7");
	for (int i = 0; i < 8; i++)
		assert_non_null(hub_inquire(world->hub, span_of("nobody's"), never_mind, NULL));
	for (int i = 0; i < 40 && !client->closed; i++) {
		bool session = strcmp(world->lookups[0]->token, "7") == 0;

		pause_ms(100);
		hub_tick(world->hub);
		asked |= session;
		assert_true(world->hub->lookups_under_way <= 4);
		lookup_answer(world, STATUS_UNAUTHORIZED, NULL, false);
		if (!session)
			assert_non_null(hub_inquire(world->hub, span_of("nobody's"), never_mind, NULL));
	}
	assert_true(asked);
	assert_int_equal(client->reason, CLOSE_REVOKED);
}

/* Who waits at the door must not keep one who is in from its answer, as it would when an `auth` message cost its place. */
static void test_renewed_in_a_crowd(void **state)
{
	struct world *world = *state;
	struct client *client, *others[4];

	world->config.auth_recheck_ms = 1000;
	world->config.max_pending_auth = 4;
	client = client_of(world, "7");
	for (size_t i = 0; i < 4; i++)
		others[i] = client_of(world, "7");
	for (int i = 0; i < 8; i++)
		assert_non_null(hub_inquire(world->hub, span_of("nobody's"), never_mind, NULL));
	pause_ms(1100);
	renew(client, "gone");
	lookup_answer(world, STATUS_UNAUTHORIZED, NULL, false);
	assert_string_equal(world->lookups[world->lookup_count - 1]->token, "gone");
	for (size_t i = 0; i < 4; i++)
		renew(others[i], "7");
	assert_int_equal(world->hub->rechecks, 2); /* and no more than half of them */
	while (world->lookup_count) {
		bool gone = strcmp(world->lookups[0]->token, "gone") == 0;

		lookup_answer(world, gone ? STATUS_UNAUTHORIZED : STATUS_OK, "7", false);
	}
	assert_int_equal(client->reason, CLOSE_UNAUTHORIZED);
	assert_int_equal(world->hub->rechecks, 0);
	for (size_t i = 0; i < 4; i++)
		assert_false(others[i]->closed);
}

/* Many that are due at once leave room for those at the door. */
static void test_rechecks_leave_room(void **state)
{
	struct world *world = *state;
	int answers;

	world->config.auth_recheck_ms = 1000;
	world->config.max_pending_auth = 4;
	for (int i = 0; i < 10; i++)
		client_of(world, "7");
	pause_ms(1100);
	hub_tick(world->hub);
	assert_int_equal(world->lookup_count, 2);
	client_open(world, "new", NULL);
	client_open(world, "new", NULL);
	client_gone(client_open(world, "goes", NULL));
	assert_int_equal(world->lookup_count, 4);
	assert_string_equal(world->lookups[2]->token, "new");
	for (answers = 0; world->lookup_count; answers++) { /* each in its turn */
		assert_true(world->hub->rechecks <= 2);
		lookup_answer(world, STATUS_OK, "7", false);
		hub_tick(world->hub);
	}
	assert_int_equal(answers, 12);
	assert_int_equal(world->hub->rechecks, 0);
}

/* An `auth` message again and again must not make an answer go by that would end the session. */
static void test_renewed_before_the_answer(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");

	renew(client, "gone");
	renew(client, "gone");
	renew(client, "7");
	assert_int_equal(world->lookup_count, 1);
	assert_sent(client, "error:400 error:400");
	lookup_answer(world, STATUS_UNAUTHORIZED, NULL, false);
	assert_sent(client, "error:401");
	assert_int_equal(client->reason, CLOSE_UNAUTHORIZED);
}

/* A re-check gives way to one such message: whose token was replaced must not be ended for the old one. */
static void test_renewed_while_rechecked(void **state)
{
	struct world *world = *state;
	struct client *client, *patient;

	world->config.auth_recheck_ms = 20;
	client = client_of(world, "7");
	pause_ms(30);
	hub_tick(world->hub);
	assert_int_equal(world->lookup_count, 1);
	renew(client, "new");
	renew(client, "newer");
	assert_sent(client, "error:400");
	lookup_answer(world, STATUS_UNAUTHORIZED, NULL, false);
	assert_false(client->closed);
	assert_string_equal(world->lookups[0]->token, "new");
	lookup_answer(world, STATUS_UNAUTHORIZED, NULL, false);
	assert_int_equal(client->reason, CLOSE_UNAUTHORIZED);
	/* While the database is away nothing is under way: it may bring another. */
	patient = client_of(world, "7");
	renew(patient, "8");
	lookup_answer(world, STATUS_UNAVAILABLE, NULL, false);
	renew(patient, "9");
	lookup_answer(world, STATUS_OK, "7", false);
	assert_sent(patient, "");
	assert_false(patient->closed);
}

/* Nor must a token that is never answered, of a kind that the database refuses to compare, keep the one before from being looked up. */
static void test_renewed_without_an_answer(void **state)
{
	struct world *world = *state;
	struct client *client;
	bool asked = false;

	world->config.auth_recheck_ms = 50;
	client = client_of(world, "7");
	for (int i = 0; i < 40 && !client->closed; i++) {
		pause_ms(10);
		hub_tick(world->hub);
		renew(client, "never");
		while (world->lookup_count) {
			bool never = strcmp(world->lookups[0]->token, "never") == 0;

			asked |= !never;
			lookup_answer(world, never ? STATUS_UNAVAILABLE : STATUS_UNAUTHORIZED, NULL, false);
		}
	}
	assert_true(asked);
	assert_int_equal(client->reason, CLOSE_REVOKED);
	/* One that is good, when the database is there again, is what vouches from then on. */
	client = client_of(world, "7");
	renew(client, "new");
	lookup_answer(world, STATUS_UNAVAILABLE, NULL, false);
	pause_ms(60);
	hub_tick(world->hub);
	assert_int_equal(world->lookup_count, 1);
	assert_string_not_equal(world->lookups[0]->token, "new");
	lookup_answer(world, STATUS_OK, "7", false);
	pause_ms(510);
	hub_tick(world->hub);
	while (world->lookup_count)
		lookup_answer(world, STATUS_OK, "7", false);
	pause_ms(60);
	hub_tick(world->hub);
	assert_int_equal(world->lookup_count, 1);
	assert_string_equal(world->lookups[0]->token, "new");
	assert_false(client->closed);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_bad_tokens),
		IN_A_WORLD(test_a_look_up_without_a_user_is_refused),
		IN_A_WORLD(test_the_session_goes_while_it_is_looked_up),
		IN_A_WORLD(test_database_away_is_tried_again),
		IN_A_WORLD(test_database_away_for_too_long),
		IN_A_WORLD(test_look_ups_are_bounded),
		IN_A_WORLD(test_a_full_lane_is_asked_again),
		IN_A_WORLD(test_auth_message),
		IN_A_WORLD(test_auth_messages_that_are_refused),
		IN_A_WORLD(test_jwt_expires),
		IN_A_WORLD(test_renewed_in_time),
		IN_A_WORLD(test_renewed_by_a_table_token),
		IN_A_WORLD(test_renewed_as_somebody_else),
		IN_A_WORLD(test_rechecked),
		IN_A_WORLD(test_gone_while_rechecked),
		IN_A_WORLD(test_rechecked_in_a_crowd),
		IN_A_WORLD(test_renewed_in_a_crowd),
		IN_A_WORLD(test_rechecks_leave_room),
		IN_A_WORLD(test_renewed_before_the_answer),
		IN_A_WORLD(test_renewed_while_rechecked),
		IN_A_WORLD(test_renewed_without_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
