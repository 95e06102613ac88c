/* Prevents: a session that goes on receiving after the key or the operator's token that let it in
 * was replaced; one ended whose key stays; a thread that is kept from its work by ten thousand ends.
 */
#include "world.h"

#include "base/mem.h"
#include "hub/internal.h"

#define NEW_SECRET "another secret of at least thirty-two bytes"

static void reload(struct world *world, const char *operator, const char *secret)
{
	struct err err = {""};

	assert_int_equal(auth_reload(world->auth, operator, secret, &err), STATUS_OK);
	hubs_withdraw(&world->hub, 1);
}

static struct client *client_jwt(struct world *world, const char *after)
{
	char *token = jwt_of("7", 60);
	struct client *client = client_open(world, token, after);

	free(token);
	return client;
}

static void test_those_of_a_key_that_is_gone(void **state)
{
	struct world *world = *state;
	char *token = jwt_of("7", 60);
	struct client *of_table = client_of(world, "7"), *operator = client_operator(world),
		      *tester = client_test(world), *nobody = client_open(world, NULL, NULL),
		      *jwt = client_jwt(world, NULL), *stream = stream_open(world, token, NULL), *late;

	client_forget(tester);
	reload(world, NULL, NULL);
	hub_turn(world->hub);
	assert_false(jwt->closed || stream->closed || operator->closed);
	reload(world, OPERATOR, NEW_SECRET);
	late = client_jwt(world, NULL);
	assert_int_equal(late->reason, CLOSE_UNAUTHORIZED);
	hub_turn(world->hub);
	assert_sent(jwt, "connected error:401");
	assert_sent(stream, "connected error:401");
	assert_int_equal(jwt->reason, CLOSE_KEY_GONE);
	assert_int_equal(stream->reason, CLOSE_KEY_GONE);
	assert_false(of_table->closed || operator->closed || tester->closed || nobody->closed);
	reload(world, "another-operator-token", NULL);
	publish(world, "7");
	assert_sent(operator, "error:401");
	assert_int_equal(operator->reason, CLOSE_KEY_GONE);
	assert_sent(of_table, "changes:101");
	assert_false(tester->closed || nobody->closed);
	free(token);
}

/* Waiting for capture, for a page of the journal, behind its socket, and asked to renew itself. */
static void test_in_every_state(void **state)
{
	struct world *world = *state;
	struct client *stays = client_of(world, "7");
	struct client *clients[4] = {client_jwt(world, NULL), client_jwt(world, NULL),
		client_jwt(world, JOURNAL ":40")};

	clients[0]->next = SEND_BEHIND;
	publish(world, "7");
	client_say(clients[1], "{\"event\":\"auth\",\"data\":{\"token\":\"table\"}}");
	assert_true(clients[0]->session.behind);
	assert_int_equal(world->read_count, 1);
	assert_int_equal(world->lookup_count, 1);
	hub_away(world->hub);
	hub_turn(world->hub);
	clients[3] = client_jwt(world, NULL);
	client_say(stays, "{\"event\":\"auth\",\"data\":{\"token\":\"x\"}}");
	assert_int_equal(clients[3]->session.state, SESSION_WAITING);
	reload(world, NULL, NEW_SECRET);
	hub_turn(world->hub);
	for (int i = 0; i < 4; i++)
		assert_int_equal(clients[i]->reason, CLOSE_KEY_GONE);
	assert_false(stays->closed);
}

/* A renewal by what stays keeps the session, whatever let it in at first. */
static void test_renewed_meanwhile(void **state)
{
	struct world *world = *state;
	struct client *client = client_jwt(world, NULL), *other = client_of(world, "7");
	char *token = jwt_of("7", 60);
	char *text = mem_format("{\"event\":\"auth\",\"data\":{\"token\":\"%s\"}}", token);

	client_say(client, "{\"event\":\"auth\",\"data\":{\"token\":\"table\"}}");
	lookup_answer(world, STATUS_OK, "7", false);
	client_say(other, text);
	reload(world, NULL, NEW_SECRET);
	hub_turn(world->hub);
	assert_false(client->closed);
	assert_int_equal(other->reason, CLOSE_KEY_GONE);
	free(token);
	free(text);
}

#define MANY 600

static size_t count_closed(struct client *const *clients)
{
	size_t closed = 0;

	for (size_t i = 0; i < MANY; i++)
		closed += clients[i]->closed;
	return closed;
}

static struct client *client_apart(struct world *world, const char *token)
{
	struct client *client = client_open(world, token, NULL);

	assert_false(client->refused);
	world->client_count--; /* the world has no room for so many */
	return client;
}

/* Over turns, and begun anew by a second reload between them. */
static void test_many(void **state)
{
	struct world *world = *state;
	struct client *clients[MANY];
	char *token = jwt_of("7", 60);
	size_t closed, turns = 0;

	for (size_t i = 0; i < MANY; i++)
		clients[i] = client_apart(world, i % 2 ? OPERATOR : token);
	reload(world, "another-operator-token", NULL);
	hub_turn(world->hub);
	closed = count_closed(clients);
	assert_in_range(closed, 1, MANY / 2 - 1);
	reload(world, NULL, NEW_SECRET);
	for (; count_closed(clients) < MANY; turns++) {
		assert_in_range(turns, 0, 5);
		hub_turn(world->hub);
	}
	assert_in_range(turns, 1, 5);
	for (int i = 0; i < 3; i++)
		hub_turn(world->hub);
	assert_null(world->hub->withdrawal);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(clients[i]->reason, CLOSE_KEY_GONE);
		client_gone(clients[i]);
		buf_finish(&clients[i]->bytes);
		free(clients[i]);
	}
	free(token);
}

/* The transport forgets sessions while they are walked over, and between two turns. */
static void test_they_go_meanwhile(void **state)
{
	struct world *world = *state;
	struct client *last = client_jwt(world, NULL), *next = client_jwt(world, NULL),
		      *first = client_jwt(world, NULL);

	first->vanish_on_close = true;
	first->takes_along = next;
	reload(world, NULL, NEW_SECRET);
	hub_turn(world->hub);
	assert_int_equal(first->session.state, SESSION_CLOSED);
	assert_int_equal(next->session.state, SESSION_CLOSED);
	assert_int_equal(last->reason, CLOSE_KEY_GONE);
}

/* The process ends before the hub has come to it. */
static void test_never_run(void **state)
{
	struct world *world = *state;

	client_gone(client_jwt(world, NULL));
	reload(world, NULL, NEW_SECRET);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_those_of_a_key_that_is_gone),
		IN_A_WORLD(test_in_every_state),
		IN_A_WORLD(test_renewed_meanwhile),
		IN_A_WORLD(test_many),
		IN_A_WORLD(test_they_go_meanwhile),
		IN_A_WORLD(test_never_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
