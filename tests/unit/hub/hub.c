/* Prevents: a slow network thread filling memory, a source that waits for ever for a hub that
 * stops, and any loss, repeat or disorder when events, sessions that come and go and stalled
 * sockets meet at random.
 */
#include "world.h"

#include <pthread.h>
#include <stdio.h>
#include <stdatomic.h>

#include "hub/internal.h"

struct feeder {
	struct world *world;
	atomic_int delivered;
	atomic_bool refused;
};

static void *feed(void *context)
{
	struct feeder *feeder = context;

	for (uint64_t id = 101; id <= 140; id++) {
		struct event *event = event_of(id, "7", (struct event_parts){0});
		bool taken = hub_deliver(feeder->world->hub, &event, 1);

		event_unref(event);
		if (!taken) {
			atomic_store(&feeder->refused, true);
			break;
		}
		atomic_fetch_add(&feeder->delivered, 1);
	}
	return NULL;
}

/* The first has gone through, and the second has had the time to, if it could. */
static void await_first(struct feeder *feeder)
{
	for (int i = 0; i < 20000 && !atomic_load(&feeder->delivered); i++)
		usleep(500);
	usleep(30000);
}

static void test_deliver_waits_for_the_hub(void **state)
{
	struct world *world = *state;
	struct client *client = client_of(world, "7");
	struct feeder feeder = {.world = world};
	pthread_t thread;

	world->config.inbox_bytes = 1; /* one batch at a time is always let through */
	assert_int_equal(pthread_create(&thread, NULL, feed, &feeder), 0);
	await_first(&feeder);
	assert_int_equal(atomic_load(&feeder.delivered), 1);
	for (int i = 0; i < 20000 && atomic_load(&feeder.delivered) < 40; i++) {
		hub_turn(world->hub);
		usleep(500);
	}
	pthread_join(thread, NULL);
	hub_turn(world->hub);
	assert_ids(client, 101, 140);
}

static void test_deliver_ends_when_the_hub_stops(void **state)
{
	struct world *world = *state;
	struct feeder feeder = {.world = world};
	pthread_t thread;

	world->config.inbox_bytes = 1;
	assert_int_equal(pthread_create(&thread, NULL, feed, &feeder), 0);
	await_first(&feeder);
	hub_drain(world->hub, 0);
	pthread_join(thread, NULL);
	assert_true(atomic_load(&feeder.refused));
	assert_int_equal(atomic_load(&feeder.delivered), 1);
}

static void test_jobs_end_before_the_hub(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, "7", NULL),
		      *reader = client_open(world, OPERATOR, JOURNAL ":5");

	client_gone(client);
	client_gone(reader);
	hub_destroy(NULL);
	hub_shared_destroy(NULL);
}

static void test_tail(void **state)
{
	struct tail tail = {.first = 5};
	size_t size = 0;

	(void)state;
	assert_int_equal(tail_head(&tail), 4);
	assert_null(tail_event(&tail, 5));
	for (uint64_t id = 5; id < 305; id++) {
		struct event *event = event_of(id, "7", (struct event_parts){0});

		size = event->size;
		tail_append(&tail, event);
		event_unref(event);
	}
	for (uint64_t id = 5; id < 305; id++)
		assert_int_equal(tail_event(&tail, id)->id, id);
	assert_null(tail_event(&tail, 4));
	assert_null(tail_event(&tail, 305));
	tail_trim(&tail, 10 * size);
	assert_int_equal(tail.count, 10);
	assert_null(tail_event(&tail, 294));
	assert_int_equal(tail_event(&tail, 295)->id, 295);
	tail_trim(&tail, 0);
	assert_int_equal(tail_head(&tail), 304);
	tail_reset(&tail, 1);
	free(tail.ring);
}

/* -- everything at random -- */

enum { PEERS = 12, ROUNDS = 3000 };

struct peer {
	struct client *client;
	uint64_t seen; /* last id that was received */
	char user[2];
};

static bool is_for(const struct peer *peer, uint64_t id)
{
	return id % 3 == 0 || (int)(id % 4) == peer->user[0] - '0';
}

static const char *users_of(uint64_t id)
{
	static const char *const users[] = {"0", "1", "2", "3"};

	return id % 3 == 0 ? "*" : users[id % 4];
}

static void collect(struct peer *peer)
{
	client_read(peer->client);
	for (size_t i = 0; i < peer->client->count; i++) {
		const json_t *id = json_object_get(message_data(peer->client, i), "id");
		uint64_t number;

		if (strcmp(json_string_value(json_object_get(peer->client->messages[i], "event")),
			    "changes") != 0)
			continue;
		number = strtoull(json_string_value(id), NULL, 10);
		for (uint64_t between = peer->seen + 1; between < number; between++)
			if (is_for(peer, between))
				fail_msg("lost %llu before %llu", (unsigned long long)between,
					(unsigned long long)number);
		assert_true(number > peer->seen);
		assert_true(is_for(peer, number));
		peer->seen = number;
	}
	client_forget(peer->client);
}

/* Answers a journal page as the source would. */
static void answer_reads(struct world *world)
{
	while (world->read_count) {
		struct read_job *job = world->reads[0];
		uint64_t last = job->after + 1 + (uint64_t)rand() % 20;

		memmove(world->reads, world->reads + 1,
			--world->read_count * sizeof(*world->reads));
		job->status = rand() % 5 ? STATUS_OK : STATUS_UNAVAILABLE;
		for (uint64_t id = job->after + 1;
			job->status == STATUS_OK && id <= last && id <= world->head; id++)
			event_batch_add(
				&job->batch, event_of(id, users_of(id), (struct event_parts){0}));
		job->done(job);
	}
	hub_turn(world->hub);
}

static void connect_peer(struct world *world, struct peer *peer)
{
	struct session_request request = {.token = span_of(peer->user)};
	enum close_reason reason;
	const char *message;
	char after[40];

	if (peer->client) {
		client_gone(peer->client);
		collect(peer);
		peer->client->session = (struct session){0};
	}
	snprintf(after, sizeof(after), JOURNAL ":%llu", (unsigned long long)peer->seen);
	request.after = span_of(after);
	if (peer->client)
		assert_true(session_open(&peer->client->session, world->hub, &fake_websocket,
			&request, &reason, &message));
	else
		peer->client = client_open_with(world, &fake_websocket, &request);
	lookup_answer(world, STATUS_OK, peer->user, false);
}

static void publish_some(struct world *world)
{
	struct event *events[8];
	size_t count = 1 + (size_t)rand() % 8;

	for (size_t i = 0; i < count; i++) {
		world->head++;
		events[i] = event_of(world->head, users_of(world->head), (struct event_parts){0});
	}
	assert_true(hub_deliver(world->hub, events, count));
	for (size_t i = 0; i < count; i++)
		event_unref(events[i]);
}

static void step(struct world *world, struct peer *peer)
{
	switch (rand() % 8) {
	case 0:
		peer->client->next = SEND_BEHIND;
		break;
	case 1:
	case 2:
		peer->client->next = rand() % 3 ? SEND_ALL : SEND_BEHIND;
		client_writable(peer->client);
		break;
	case 3:
		if (rand() % 10 == 0) {
			connect_peer(world, peer);
		}
		break;
	case 4:
		hub_turn(world->hub);
		break;
	case 5:
		answer_reads(world);
		break;
	case 6:
		client_say(peer->client, "{\"event\":\"unsubscribe\"}");
		break;
	default:
		publish_some(world);
		break;
	}
}

static bool all_live(const struct peer *peers)
{
	for (int i = 0; i < PEERS; i++)
		if (peers[i].client->session.state != SESSION_LIVE)
			return false;
	return true;
}

static void settle(struct world *world, struct peer *peers)
{
	for (int round = 0; round < 5000 && !all_live(peers); round++) {
		hub_tick(world->hub);
		answer_reads(world);
		for (int i = 0; i < PEERS; i++) {
			peers[i].client->next = SEND_ALL;
			client_writable(peers[i].client);
			collect(&peers[i]);
		}
	}
}

static void test_random(void **state)
{
	struct world *world = *state;
	struct peer peers[PEERS] = {{0}};

	world->config.tail_bytes = 20000;
	world->config.session_queue_bytes = 2000;
	srand(7);
	for (int i = 0; i < PEERS; i++) {
		peers[i].seen = 100;
		peers[i].user[0] = (char)('0' + i % 4);
		connect_peer(world, &peers[i]);
	}
	for (int round = 0; round < ROUNDS; round++) {
		struct peer *peer = &peers[rand() % PEERS];

		step(world, peer);
		assert_false(peer->client->closed);
		collect(peer);
	}
	settle(world, peers);
	assert_true(all_live(peers));
	for (int i = 0; i < PEERS; i++) {
		collect(&peers[i]);
		for (uint64_t id = peers[i].seen + 1; id <= world->head; id++)
			assert_false(is_for(&peers[i], id));
	}
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(test_deliver_waits_for_the_hub),
		IN_A_WORLD(test_deliver_ends_when_the_hub_stops),
		IN_A_WORLD(test_jobs_end_before_the_hub),
		cmocka_unit_test(test_tail),
		IN_A_WORLD(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
