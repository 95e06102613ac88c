/* Prevents: an event lost or delivered twice because its session went from one thread to another, whatever was routed to it,
 * sent, or still on its way to either hub at that moment.
 *
 * Two hubs are handed the same numbered events, each in batches of its own and at its own time. In the random test sessions go
 * to and fro between them, between turns and within them, behind their sockets, resuming from the journal, spoken to in two
 * ways; in the end each must have got what it may see, once and in order. A failure prints its seed: give it as an argument.
 */
#include "world.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "hub/internal.h"

#define EVENTS 6000
#define CLIENTS 6
#define STEPS 6000
#define SEEDS 12

/* -- one step after the other -- */

static void give(struct world *world, struct hub *hub, uint64_t id)
{
	struct event *event = event_of(id, "7", (struct event_parts){0});

	(void)world;
	assert_true(hub_deliver(hub, &event, 1));
	event_unref(event);
}

/* Posted to a hub, so that it runs within a turn, between two batches. */
struct departure {
	struct task task;
	struct client *client;
	struct passage *passage;
};

static void run_departure(struct task *task)
{
	struct departure *departure = (struct departure *)task;

	departure->passage = session_depart(&departure->client->session);
}

static void test_with_deliveries_not_sent(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7"), *stays = client_of(world, "7");
	struct departure departure = {.task.run = run_departure, .client = client};

	give(world, world->hub, 101);
	hub_turn(world->hub);
	give(world, world->hub, 102);
	give(world, world->hub, 103);
	inbox_post(&world->hub->inbox, &departure.task);
	give(world, world->hub, 104);
	hub_turn(world->hub);
	assert_int_equal(client->session.position, 101);
	assert_sent(client, "changes:101");
	assert_sent(stays, "changes:101 changes:102 changes:103 changes:104");
	assert_false(session_arrive(&client->session, world->there, departure.passage));
	give(world, world->there, 101);
	give(world, world->there, 102);
	hub_turn(world->there);
	assert_true(session_arrive(&client->session, world->there, departure.passage));
	session_writable(&client->session);
	give(world, world->there, 103);
	hub_turn(world->there);
	assert_sent(client, "changes:102 changes:103");
	assert_int_equal(client->session.state, SESSION_LIVE);
}

/* From the hub that is behind to the one that is ahead, whose tail has lost what comes next. */
static void test_to_a_hub_that_is_ahead(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");
	struct passage *passage = session_depart(&client->session);

	for (uint64_t id = 101; id <= 110; id++)
		give(world, world->there, id);
	world->config.tail_bytes = 0;
	hub_turn(world->there);
	assert_true(session_arrive(&client->session, world->there, passage));
	session_writable(&client->session);
	assert_int_equal(world->read_count, 1);
	assert_int_equal(world->reads[0]->after, 100);
	read_answer(world, STATUS_OK, "7", 101, 115); /* the journal is ahead of the hub */
	give(world, world->there, 111);
	hub_turn(world->there);
	assert_ids(client, 101, 111);
}

/* What it left behind was more than the journal keeps: it is told to fetch anew, never left with a hole. */
static void test_the_journal_does_not_reach_back(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");
	struct passage *passage = session_depart(&client->session);

	give(world, world->there, 101);
	world->config.tail_bytes = 0;
	hub_turn(world->there);
	assert_true(session_arrive(&client->session, world->there, passage));
	session_writable(&client->session);
	read_answer(world, STATUS_GONE, NULL, 1, 0);
	assert_int_equal(client->reason, CLOSE_SLOW);
}

/* -- at random -- */

static uint64_t seed;

static unsigned pick(unsigned below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 11) % below);
}

static const char *const audiences[] = {"7", "8", "7,8", "*", "9"};

struct traveller {
	struct task task; /* what it does within a turn */
	struct game *game;
	struct client *client;
	const char *user; /* NULL: the operator */
	struct passage *passage;
	int at;      /* hub; on the way: where to */
	bool posted; /* to hub at */
	size_t asked, answered, got; /* `subscribed`; ids, in got_ids */
	uint64_t got_ids[EVENTS];
};

struct game {
	struct world *world;
	struct hub *hubs[2];
	struct event *events[EVENTS]; /* of id 101 + i */
	size_t made, handed[2];       /* handed to each hub */
	size_t moves;
	struct traveller travellers[CLIENTS];
};

static void make(struct game *game, size_t up_to)
{
	for (; game->made < EVENTS && game->made < up_to; game->made++)
		game->events[game->made] =
			event_of(101 + game->made, audiences[pick(5)], (struct event_parts){0});
}

static void hand(struct game *game, int hub, size_t count)
{
	if (count > game->made - game->handed[hub])
		count = game->made - game->handed[hub];
	assert_true(hub_deliver(game->hubs[hub], game->events + game->handed[hub], count));
	game->handed[hub] += count;
}

/* The oldest or any page that was asked for: what the journal has of it, or an error. */
static void answer_read(struct game *game)
{
	struct world *world = game->world;
	size_t which;
	struct read_job *job;

	if (!world->read_count)
		return;
	which = pick((unsigned)world->read_count);
	job = world->reads[which];
	world->reads[which] = world->reads[--world->read_count];
	job->status = pick(8) ? STATUS_OK : STATUS_UNAVAILABLE;
	for (uint64_t id = job->after + 1; job->status == STATUS_OK && id <= job->after + job->max && id <= 100 + game->made; id++)
		event_batch_add(&job->batch, event_ref(game->events[id - 101]));
	job->done(job);
}

static void collect(struct traveller *traveller)
{
	struct client *client = traveller->client;

	client_read(client);
	for (size_t i = 0; i < client->count; i++) {
		const char *name = json_string_value(json_object_get(client->messages[i], "event"));
		const char *id = json_string_value(json_object_get(message_data(client, i), "id"));

		if (strcmp(name, "subscribed") == 0) {
			traveller->answered++;
			continue;
		}
		assert_string_equal(name, "changes");
		assert_in_range(traveller->got, 0, EVENTS - 1);
		traveller->got_ids[traveller->got++] = strtoull(id, NULL, 10);
	}
	client_forget(client);
}

static void speak_anyhow(struct traveller *traveller)
{
	session_speak_through(&traveller->client->session, pick(2) ? &fake_websocket : &fake_fetching);
}

/* Departs, or tries to arrive and goes on there. */
static void move(struct traveller *traveller)
{
	struct session *session = &traveller->client->session;

	if (!traveller->passage) {
		traveller->passage = session_depart(session);
		traveller->at = pick(4) ? !traveller->at : traveller->at;
		traveller->game->moves++;
		return;
	}
	if (pick(4) == 0)
		speak_anyhow(traveller);
	if (!session_arrive(session, traveller->game->hubs[traveller->at], traveller->passage))
		return;
	traveller->passage = NULL;
	if (pick(2))
		speak_anyhow(traveller);
	if (pick(4) == 0)
		session_pause(session);
	else
		client_writable(traveller->client);
}

static void run_move(struct task *task)
{
	struct traveller *traveller = (struct traveller *)task;

	traveller->posted = false;
	move(traveller);
}

/* Something that happens to one who is here. */
static void live_on(struct traveller *traveller)
{
	struct session *session = &traveller->client->session;

	traveller->client->next = pick(3) ? SEND_ALL : SEND_BEHIND;
	switch (pick(5)) {
	case 0:
		session_pause(session);
		break;
	case 1:
		traveller->asked++;
		client_say(traveller->client, "{\"event\":\"unsubscribe\"}");
		break;
	case 2:
		speak_anyhow(traveller);
		client_writable(traveller->client);
		break;
	default:
		client_writable(traveller->client);
	}
}

static void step(struct game *game)
{
	struct traveller *traveller = &game->travellers[pick(CLIENTS)];
	int hub = (int)pick(2);
	size_t count;

	switch (pick(8)) {
	case 0:
	case 1:
		count = 1 + pick(5);
		make(game, game->handed[hub] + count);
		hand(game, hub, count);
		break;
	case 2:
		hub_turn(game->hubs[hub]);
		break;
	case 3:
		if (pick(4) == 0)
			hub_tick(game->hubs[hub]);
		else
			answer_read(game);
		break;
	case 4:
		if (!traveller->posted)
			move(traveller);
		break;
	case 5:
		if (!traveller->posted)
			inbox_post(&game->hubs[traveller->at]->inbox, &traveller->task);
		traveller->posted = true;
		break;
	default:
		if (!traveller->passage)
			live_on(traveller);
		collect(traveller);
	}
}

/* Everything is handed over, everybody arrives and asks until there is nothing more. */
static bool settled(struct game *game)
{
	bool all = true;

	for (int i = 0; i < CLIENTS; i++) {
		struct traveller *traveller = &game->travellers[i];

		traveller->client->next = SEND_ALL;
		if (traveller->passage && !traveller->posted)
			move(traveller);
		if (!traveller->passage)
			client_writable(traveller->client);
		all = all && !traveller->passage && !traveller->posted &&
		      traveller->client->session.state == SESSION_LIVE && !traveller->client->session.held;
		collect(traveller);
	}
	return all;
}

static void settle(struct game *game)
{
	int rounds = 0;

	for (int hub = 0; hub < 2; hub++)
		hand(game, hub, game->made);
	do {
		assert_in_range(rounds++, 0, 10000);
		for (int hub = 0; hub < 2; hub++) {
			hub_turn(game->hubs[hub]);
			hub_tick(game->hubs[hub]);
		}
		while (game->world->read_count)
			answer_read(game);
	} while (!settled(game));
}

static bool may_see(const struct traveller *traveller, const struct event *event)
{
	enum event_class class;
	struct span user = span_of(traveller->user);

	return !traveller->user || event->broadcast ||
	       event_visible(event, hash_bytes(user.p, user.len), user, &class);
}

static void begin(struct game *game)
{
	struct world *world = game->world;

	world->config.inbox_bytes = (size_t)1 << 30;
	world->config.tail_bytes = 1 << 14; /* a few dozen events: often the journal is needed */
	world->config.session_queue_bytes = 2000;
	game->hubs[0] = world->hub;
	game->hubs[1] = world->there;
	for (int i = 0; i < CLIENTS; i++) {
		struct traveller *traveller = &game->travellers[i];

		traveller->game = game;
		traveller->task.run = run_move;
		traveller->user = i == 0 ? NULL : i % 2 ? "7" : "8";
		traveller->client = i == 0 ? client_operator(world) : client_of(world, traveller->user);
	}
}

static void check(struct game *game, const struct traveller *traveller)
{
	size_t got = 0;

	for (size_t i = 0; i < game->made; i++) {
		if (!may_see(traveller, game->events[i]))
			continue;
		assert_in_range(got, 0, traveller->got - 1);
		assert_int_equal(traveller->got_ids[got++], game->events[i]->id);
	}
	assert_int_equal(got, traveller->got);
	assert_int_equal(traveller->answered, traveller->asked);
}

static size_t play(uint64_t with)
{
	struct game *game = mem_zero(1, sizeof(*game));
	size_t moves;
	void *state;

	print_message("  seed %llu\n", (unsigned long long)with);
	seed = with * 0x9e3779b97f4a7c15u + 1;
	world_setup(&state);
	game->world = state;
	world_second(game->world);
	begin(game);
	for (int i = 0; i < STEPS; i++)
		step(game);
	settle(game);
	for (int i = 0; i < CLIENTS; i++)
		check(game, &game->travellers[i]);
	world_teardown(&state);
	for (size_t i = 0; i < game->made; i++)
		event_unref(game->events[i]);
	moves = game->moves;
	free(game);
	return moves;
}

static uint64_t only_seed;

static void test_at_random(void **unused)
{
	size_t moves = 0;

	(void)unused;
	for (uint64_t i = 1; i <= SEEDS; i++)
		moves += play(only_seed ? only_seed : i);
	print_message("  %zu moves\n", moves);
	assert_in_range(moves, 3000, SIZE_MAX);
}

static int two_hubs(void **state)
{
	world_setup(state);
	world_second(*state);
	return 0;
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, two_hubs, world_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_with_deliveries_not_sent),
		IN_A_WORLD(test_to_a_hub_that_is_ahead),
		IN_A_WORLD(test_the_journal_does_not_reach_back),
		cmocka_unit_test(test_at_random),
	};

	only_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
