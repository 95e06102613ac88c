/* Prevents: a source that keeps its contract and a hub that keeps its own, and between them an event that is lost, told twice
 * or told under another id: the hub's sessions on the fake source, through the real pump and the real lanes.
 *
 * The other tests of this folder answer the hub's jobs by hand (world.h), which decides what comes before what; here threads do.
 */
#include "world.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>

#include "../source/fake.h"
#include "base/clock.h"
#include "base/mem.h"
#include "source/lanes.h"
#include "source/pump.h"

/* The test's thread is the hub's: it turns it while it waits. */
#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		int64_t end = clock_ms() + 60000;                                                  \
		while (turn(world), !(condition)) {                                                \
			assert_true(clock_ms() < end);                                             \
			nanosleep(&(struct timespec){0, 1000000}, NULL);                           \
		}                                                                                  \
	} while (0)

static struct fake fake;
static struct pump *pump;
static struct lanes *lanes;
static int stop_fd;

static void turn(struct world *world)
{
	hub_turn(world->hub);
	hub_tick(world->hub);
	for (size_t i = 0; i < world->client_count; i++) {
		struct client *client = world->clients[i];

		if (client->wanted && !client->closed) {
			client->wanted = 0;
			client_writable(client);
		}
	}
}

static void on_live(void *context, const struct source_position *head)
{
	hub_live(((struct world *)context)->hub, head);
}

static void on_away(void *context, const char *reason)
{
	(void)reason;
	hub_away(((struct world *)context)->hub);
}

static bool on_events(void *context, struct event *const *events, size_t count)
{
	return hub_deliver(((struct world *)context)->hub, events, count);
}

static void on_fatal(void *context, enum status status, const char *reason)
{
	(void)context, (void)status, (void)reason;
}

static int set_up(void **state)
{
	const struct lanes_config config = {
		.max_lookups = 10, .max_writes = 10, .max_reads = 10, .max_group = 10, .confirm_ms = 10000, .hub_count = 1};
	struct pump_callbacks callbacks = {.live = on_live, .away = on_away, .events = on_events, .fatal = on_fatal};
	struct world *world;

	if (world_setup(state) != 0)
		return -1;
	world = *state;
	fake = (struct fake){.head = 100, .position = 100};
	pthread_mutex_init(&fake.lock, NULL);
	lanes = lanes_create(&fake_source, &fake, &config);
	world->config.services = (struct services){lanes, lanes_lookup, lanes_publish, lanes_read, lanes_history, lanes_consume};
	hub_on_shown(world->hub, lanes_shown, lanes);
	callbacks.context = world;
	stop_fd = eventfd(0, EFD_CLOEXEC);
	pump = pump_create(&fake_source, &fake, &callbacks, stop_fd, 10);
	lanes_start(lanes);
	pump_start(pump);
	return 0;
}

static int tear_down(void **state)
{
	pump_destroy(pump);
	lanes_destroy(lanes);
	close(stop_fd);
	pthread_mutex_destroy(&fake.lock);
	return world_teardown(state);
}

static void commit(uint64_t count)
{
	pthread_mutex_lock(&fake.lock);
	fake.head += count;
	pthread_mutex_unlock(&fake.lock);
}

static bool has(struct client *client, size_t count)
{
	client_read(client);
	return client->count >= count;
}

static struct client *connect_at(struct world *world, const char *after, const char *welcome)
{
	struct client *client = client_open(world, "good", after);

	UNTIL(has(client, 1));
	assert_string_equal(json_string_value(json_object_get(client->messages[0], "event")), welcome);
	return client;
}

static bool recovered(struct client *client)
{
	return json_is_true(json_object_get(message_data(client, 0), "recovered"));
}

static void test_what_is_committed_is_told_once_over_failures(void **state)
{
	struct world *world = *state;
	struct client *client = connect_at(world, NULL, "connected");

	assert_string_equal(json_string_value(json_object_get(message_data(client, 0), "journal")), FAKE_JOURNAL);
	assert_int_equal(json_integer_value(json_object_get(message_data(client, 0), "userId")), 7);
	client_forget(client);
	for (int round = 0; round < 3; round++) {
		int opens = atomic_load(&fake.opens);

		pthread_mutex_lock(&fake.lock);
		fake.fetch_status = STATUS_UNAVAILABLE;
		fake.head += 250;
		pthread_mutex_unlock(&fake.lock);
		UNTIL(atomic_load(&fake.opens) > opens && has(client, 250));
		assert_ids(client, 101 + 250 * (uint64_t)round, 350 + 250 * (uint64_t)round);
	}
}

static void test_a_session_comes_back_from_the_journal(void **state)
{
	struct world *world = *state;
	struct client *first = connect_at(world, NULL, "connected"), *again;
	size_t tail = world->config.tail_bytes;

	commit(300);
	UNTIL(has(first, 301));
	world->config.tail_bytes = 0; /* memory does not reach back */
	hub_turn(world->hub);
	world->config.tail_bytes = tail;
	again = connect_at(world, FAKE_JOURNAL ":50", "connected");
	assert_true(recovered(again));
	commit(1);
	UNTIL(has(again, 352));
	assert_true(atomic_load(&fake.reads) > 0);
	for (size_t i = 1; i < 352; i++) {
		char id[24];

		snprintf(id, sizeof(id), "%zu", 50 + i);
		assert_string_equal(json_string_value(json_object_get(message_data(again, i), "id")), id);
	}
}

static void test_a_position_that_is_gone_is_told(void **state)
{
	struct world *world = *state;

	pthread_mutex_lock(&fake.lock);
	fake.floor = 60;
	pthread_mutex_unlock(&fake.lock);
	assert_false(recovered(connect_at(world, FAKE_JOURNAL ":50", "connected")));
	assert_false(recovered(connect_at(world, OTHER_JOURNAL ":90", "connected")));
	assert_true(recovered(connect_at(world, FAKE_JOURNAL ":60", "connected")));
}

static atomic_uint_fast64_t published_id;
static atomic_size_t published_to;

static void on_published(struct publish_job *job)
{
	assert_int_equal(job->status, STATUS_OK);
	atomic_store(&published_to, job->sent_to_count);
	atomic_store(&published_id, job->id);
	publish_job_free(job);
}

static void test_what_is_published_comes_back_with_its_id_and_receivers(void **state)
{
	struct world *world = *state;
	struct client *client = connect_at(world, NULL, "connected");
	struct publish_job *job = mem_zero(1, sizeof(*job));

	client_forget(client);
	commit(4);
	UNTIL(has(client, 4));
	job->done = on_published;
	job->item.topic = mem_text("t");
	job->item.type = mem_text("x");
	job->item.data = mem_text("{}");
	snprintf(job->item.ref, sizeof(job->item.ref), "the-reference");
	assert_true(world->config.services.publish(world->config.services.context, job));
	UNTIL(atomic_load(&published_id) != 0);
	assert_int_equal(atomic_load(&published_id), 105);
	assert_int_equal(atomic_load(&published_to), 1);
	UNTIL(has(client, 5));
	assert_ids(client, 101, 105);
}

static void test_another_journal_ends_sessions(void **state)
{
	struct world *world = *state;
	struct client *client = connect_at(world, NULL, "connected");

	pthread_mutex_lock(&fake.lock);
	fake.journal = OTHER_JOURNAL;
	fake.fetch_status = STATUS_GONE;
	pthread_mutex_unlock(&fake.lock);
	UNTIL(client->closed);
	assert_int_equal(client->reason, CLOSE_JOURNAL);
}

static void test_a_wrong_token_is_refused(void **state)
{
	struct world *world = *state;
	struct client *client = client_open(world, "bad", NULL);

	UNTIL(client->closed);
	assert_int_equal(client->reason, CLOSE_UNAUTHORIZED);
}

static void test_a_token_is_looked_up_again_when_the_source_is_back(void **state)
{
	struct world *world = *state;
	struct client *client;

	pthread_mutex_lock(&fake.lock);
	fake.lookup_status = STATUS_UNAVAILABLE;
	pthread_mutex_unlock(&fake.lock);
	client = client_open(world, "good", NULL);
	UNTIL(atomic_load(&fake.lookups) > 0);
	assert_false(client->closed);
	pthread_mutex_lock(&fake.lock);
	fake.lookup_status = STATUS_OK;
	pthread_mutex_unlock(&fake.lock);
	UNTIL(has(client, 1));
	assert_sent(client, "connected");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(what_is_committed_is_told_once_over_failures),
		TEST(a_session_comes_back_from_the_journal), TEST(a_position_that_is_gone_is_told),
		TEST(what_is_published_comes_back_with_its_id_and_receivers), TEST(another_journal_ends_sessions),
		TEST(a_wrong_token_is_refused),
		TEST(a_token_is_looked_up_again_when_the_source_is_back)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
