/* Prevents: two threads at one session at the same time, and an event lost or sent twice because of it. Two hubs on threads
 * of their own, a third thread that hands events to both, and sessions that go to and fro meanwhile; what ThreadSanitizer is
 * to look at. The tails hold everything: no lane is needed.
 */
#include "world.h"

#include <pthread.h>

#include "hub/internal.h"

#define EVENTS 3000 /* a multiple of 3 */
#define TRAVELLERS 8

struct traveller {
	struct task task;
	struct client *client;
	struct passage *passage;
	struct traveller *next; /* of its thread's: those here, or those who wait to arrive */
	struct side *to;
};

struct side {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool wake, stop;
	struct hub *hub;
	struct side *other;
	struct traveller *here, *arriving; /* the thread's own */
	uint64_t random;
	size_t moves, early;
};

static unsigned pick(struct side *side, unsigned below)
{
	side->random ^= side->random << 13;
	side->random ^= side->random >> 7;
	side->random ^= side->random << 17;
	return (unsigned)((side->random >> 11) % below);
}

static void wake(void *context)
{
	struct side *side = context;

	pthread_mutex_lock(&side->lock);
	side->wake = true;
	pthread_cond_signal(&side->woken);
	pthread_mutex_unlock(&side->lock);
}

static void push(struct traveller **list, struct traveller *traveller)
{
	traveller->next = *list;
	*list = traveller;
}

static void has_come(struct task *task)
{
	struct traveller *traveller = (struct traveller *)task;

	push(&traveller->to->arriving, traveller);
}

static void arrive(struct side *side)
{
	struct traveller *all = side->arriving, *next;

	side->arriving = NULL;
	for (; all; all = next) {
		next = all->next;
		if (!session_arrive(&all->client->session, side->hub, all->passage)) {
			side->early++;
			push(&side->arriving, all);
			continue;
		}
		all->passage = NULL;
		client_writable(all->client);
		push(&side->here, all);
	}
}

static void leave(struct side *side)
{
	struct traveller *all = side->here, *next;

	side->here = NULL;
	for (; all; all = next) {
		next = all->next;
		all->client->next = pick(side, 4) ? SEND_ALL : SEND_BEHIND;
		if (pick(side, 3)) {
			client_writable(all->client);
			push(&side->here, all);
			continue;
		}
		all->passage = session_depart(&all->client->session);
		all->to = side->other;
		all->task.run = has_come;
		side->moves++;
		inbox_post(&side->other->hub->inbox, &all->task);
	}
}

static bool wait_for_work(struct side *side)
{
	bool go;

	pthread_mutex_lock(&side->lock);
	while (!side->wake && !side->stop)
		pthread_cond_wait(&side->woken, &side->lock);
	side->wake = false;
	go = !side->stop;
	pthread_mutex_unlock(&side->lock);
	return go;
}

static void *run(void *context)
{
	struct side *side = context;

	while (wait_for_work(side)) {
		hub_turn(side->hub);
		arrive(side);
		leave(side);
	}
	return NULL;
}

static void begin(struct world *world, struct side *sides, struct traveller *travellers)
{
	world->config.inbox_bytes = 4000;
	world->config.tail_bytes = world->config.session_queue_bytes = 64 << 20;
	for (int i = 0; i < 2; i++) {
		pthread_mutex_init(&sides[i].lock, NULL);
		pthread_cond_init(&sides[i].woken, NULL);
		sides[i].other = &sides[!i];
		sides[i].random = (uint64_t)i + 1;
		sides[i].hub = hub_create(&world->config, world->shared, wake, &sides[i]);
	}
	hub_destroy(world->hub);
	world->there = sides[1].hub;
	for (int i = 0; i < 2; i++) {
		world->hub = sides[i].hub;
		world_live(world, JOURNAL, 100);
	}
	world->hub = sides[0].hub;
	for (int i = 0; i < TRAVELLERS; i++) {
		travellers[i].client = client_of(world, "7");
		push(&sides[0].here, &travellers[i]);
	}
}

static void publish_all(struct side *sides)
{
	for (uint64_t id = 101; id <= 100 + EVENTS; id += 3) {
		struct event *events[3];

		for (int i = 0; i < 3; i++)
			events[i] = event_of(id + (uint64_t)i, "7", (struct event_parts){0});
		for (int i = 0; i < 2; i++) /* now this one first, now that one */
			assert_true(hub_deliver(sides[(id + (uint64_t)i) % 2].hub, events, 3));
		for (int i = 0; i < 3; i++)
			event_unref(events[i]);
	}
}

static void stop(struct side *side)
{
	pthread_mutex_lock(&side->lock);
	side->stop = true;
	pthread_cond_signal(&side->woken);
	pthread_mutex_unlock(&side->lock);
	pthread_join(side->thread, NULL);
}

static void test_on_two_threads(void **state)
{
	struct world *world = *state;
	struct traveller travellers[TRAVELLERS] = {0};
	struct side sides[2] = {0};

	begin(world, sides, travellers);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&sides[i].thread, NULL, run, &sides[i]), 0);
	publish_all(sides);
	for (int i = 0; i < 2; i++)
		stop(&sides[i]);
	print_message("  %zu moves, %zu too early\n", sides[0].moves + sides[1].moves, sides[0].early + sides[1].early);
	for (int i = 0; i < 2; i++) {
		hub_turn(sides[i].hub);
		arrive(&sides[i]);
		pthread_mutex_destroy(&sides[i].lock);
		pthread_cond_destroy(&sides[i].woken);
	}
	for (int i = 0; i < TRAVELLERS; i++) {
		travellers[i].client->next = SEND_ALL;
		assert_null(travellers[i].passage);
		client_writable(travellers[i].client);
		assert_ids(travellers[i].client, 101, 100 + EVENTS);
		assert_int_equal(travellers[i].client->session.state, SESSION_LIVE);
	}
	assert_in_range(sides[0].moves + sides[1].moves, 1, SIZE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_on_two_threads, world_setup, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
