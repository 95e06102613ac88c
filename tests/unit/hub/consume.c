/* Prevents: a poll that waits and is not woken by the event that it waits for, also by one that came by between the look at the
 * journal and the waiting; one that asks the database for every event that it does not want, or without end for one that is
 * not to be had; one that outlives its time, its client or the process.
 */
#include "world.h"

#include "hub/consume.h"

struct asker {
	struct consume *consume;
	size_t answers, asked_alive;
	bool nothing, dead;
	enum status status;
	size_t events;
};

static void answered(void *owner, struct consumer_job *job)
{
	struct asker *asker = owner;

	asker->consume = NULL;
	asker->answers++;
	asker->nothing = !job;
	asker->status = job ? job->status : STATUS_FAILED;
	asker->events = job ? job->event_count : 0;
	consumer_job_free(job);
}

static bool alive(void *owner)
{
	struct asker *asker = owner;

	asker->asked_alive++;
	return !asker->dead;
}

static void begin_poll(struct world *world, struct asker *asker, int64_t wait_ms)
{
	const struct consume_owner owner = {.owner = asker, .answer = answered, .alive = alive};
	struct consumer_job *job = calloc(1, sizeof(*job));

	job->verb = CONSUMER_POLL;
	job->name = strdup("a");
	job->limit = 10;
	job->has_ack = true;
	job->ack = 90;
	strcpy(job->of_journal, "0123456789abcdef");
	asker->consume = consume_begin(world->hub, job, wait_ms, &owner);
	if (!asker->consume)
		consumer_job_free(job);
}

static void assert_asked_again(const struct world *world)
{
	assert_int_equal(world->consume_count, 1);
	assert_string_equal(world->consumes[0]->name, "a");
	assert_int_equal(world->consumes[0]->limit, 10);
	assert_false(world->consumes[0]->has_ack); /* that is done, and whose it was does not matter any more */
	assert_string_equal(world->consumes[0]->of_journal, "");
}

static void of_topic(struct world *world, const char *topic)
{
	publish_parts(world, (struct event_parts){.topic = span_of(topic)});
}

static void woken_by_what_it_wants(void **state)
{
	struct world *world = *state;
	struct asker asker = {0};

	begin_poll(world, &asker, 20000);
	consume_answer(world, STATUS_OK, "[\"orders\"]", 1, 0, 100);
	of_topic(world, "notes");
	assert_int_equal(world->consume_count, 0);
	of_topic(world, "orders");
	assert_asked_again(world);
	of_topic(world, "orders"); /* while it is asked */
	assert_int_equal(world->consume_count, 1);
	consume_answer(world, STATUS_OK, "[\"orders\"]", 102, 103, 103);
	assert_int_equal(asker.answers, 1);
	assert_int_equal(asker.events, 2);
}

static void what_came_between_the_look_and_the_waiting(void **state)
{
	struct world *world = *state;
	struct asker asker = {0};

	begin_poll(world, &asker, 20000);
	of_topic(world, "notes");
	of_topic(world, "orders");
	consume_answer(world, STATUS_OK, "[\"orders\"]", 1, 0, 100); /* does not know of 102 */
	assert_asked_again(world);
	consume_answer(world, STATUS_OK, "[\"orders\"]", 1, 0, 102); /* is marked, perhaps */
	assert_int_equal(world->consume_count, 0);
	assert_int_equal(asker.answers, 0);
	of_topic(world, "orders");
	consume_answer(world, STATUS_OK, "[\"orders\"]", 103, 103, 103);
	assert_int_equal(asker.events, 1);
}

/* The lane cannot tell what the hub has seen: no loop without a pause. */
static void what_is_not_to_be_had(void **state)
{
	struct world *world = *state;
	struct asker asker = {0};

	begin_poll(world, &asker, 20000);
	of_topic(world, "orders");
	consume_answer(world, STATUS_OK, "[]", 1, 0, 100);
	consume_answer(world, STATUS_OK, "[]", 1, 0, 100);
	assert_int_equal(world->consume_count, 0);
	pause_ms(600);
	hub_tick(world->hub);
	assert_asked_again(world);
	consume_forget(asker.consume);
}

static void seen_in_the_journal_before_it_came_here(void **state)
{
	struct world *world = *state;
	struct asker asker = {0};

	begin_poll(world, &asker, 20000);
	consume_answer(world, STATUS_OK, "[]", 1, 0, 102);
	of_topic(world, "orders");
	of_topic(world, "orders");
	assert_int_equal(world->consume_count, 0);
	of_topic(world, "orders");
	assert_asked_again(world);
	consume_answer(world, STATUS_OK, "[]", 103, 103, 103);
}

static void time_is_over(void **state)
{
	struct world *world = *state;
	struct asker asker = {0}, none = {0};

	begin_poll(world, &none, 0);
	consume_answer(world, STATUS_OK, "[]", 1, 0, 100);
	assert_int_equal(none.answers, 1);
	begin_poll(world, &asker, 1500);
	consume_answer(world, STATUS_OK, "[]", 1, 0, 100);
	pause_ms(1400);
	hub_tick(world->hub);
	assert_int_equal(world->consume_count, 0);
	pause_ms(200);
	hub_tick(world->hub);
	assert_asked_again(world); /* for the last time */
	consume_answer(world, STATUS_OK, "[]", 1, 0, 100);
	assert_int_equal(asker.answers, 1);
	assert_int_equal(asker.status, STATUS_OK);
}

/* Its patterns may be other ones, it may be deleted, its client may have gone. */
static void looked_after_now_and_then(void **state)
{
	struct world *world = *state;
	struct asker asker = {0};

	begin_poll(world, &asker, 20000);
	consume_answer(world, STATUS_OK, "[\"orders\"]", 1, 0, 100);
	pause_ms(3000);
	hub_tick(world->hub);
	assert_int_equal(asker.asked_alive, 1);
	assert_asked_again(world);
	consume_answer(world, STATUS_OK, "[\"notes\"]", 1, 0, 100);
	of_topic(world, "orders");
	assert_int_equal(world->consume_count, 0);
	of_topic(world, "notes");
	consume_answer(world, STATUS_OK, "[\"notes\"]", 1, 0, 102);
	asker.dead = true;
	pause_ms(3000);
	hub_tick(world->hub);
	assert_int_equal(world->consume_count, 0);
	asker.dead = false;
	pause_ms(3000);
	hub_tick(world->hub);
	consume_answer(world, STATUS_NOT_FOUND, "[]", 1, 0, 0);
	assert_int_equal(asker.status, STATUS_NOT_FOUND);
}

static void the_database_is_away(void **state)
{
	struct world *world = *state;
	struct asker at_first = {0}, later = {0}, silent = {0};

	begin_poll(world, &at_first, 20000);
	consume_answer(world, STATUS_UNAVAILABLE, "[]", 1, 0, 0);
	assert_int_equal(at_first.status, STATUS_UNAVAILABLE);
	begin_poll(world, &later, 20000);
	consume_answer(world, STATUS_OK, "[]", 1, 0, 100);
	of_topic(world, "orders");
	consume_answer(world, STATUS_UNAVAILABLE, "[]", 1, 0, 0);
	of_topic(world, "orders");
	assert_int_equal(world->consume_count, 0);
	assert_int_equal(later.answers, 0);
	pause_ms(1100);
	hub_tick(world->hub);
	assert_asked_again(world);
	consume_answer(world, STATUS_OK, "[]", 101, 102, 102);
	assert_int_equal(later.events, 2);
	begin_poll(world, &silent, 0); /* the lane hangs */
	pause_ms(4000);
	hub_tick(world->hub);
	assert_int_equal(silent.answers, 0);
	pause_ms(2000);
	hub_tick(world->hub);
	assert_true(silent.answers == 1 && silent.nothing);
	consume_answer(world, STATUS_OK, "[]", 101, 102, 102);
	assert_int_equal(silent.answers, 1);
}

static void a_lane_that_hangs_when_time_is_over(void **state)
{
	struct world *world = *state;
	struct asker asker = {0};

	begin_poll(world, &asker, 1000);
	consume_answer(world, STATUS_OK, "[]", 1, 0, 100);
	pause_ms(1100);
	hub_tick(world->hub);
	assert_int_equal(world->consume_count, 1);
	pause_ms(1100);
	hub_tick(world->hub);
	assert_true(asker.answers == 1 && asker.status == STATUS_OK && !asker.events);
}

static void forgotten(void **state)
{
	struct world *world = *state;
	struct asker under_way = {0}, parked = {0};

	begin_poll(world, &parked, 20000);
	consume_answer(world, STATUS_OK, "[]", 1, 0, 100);
	begin_poll(world, &under_way, 20000);
	consume_forget(under_way.consume);
	consume_forget(parked.consume);
	consume_forget(NULL);
	of_topic(world, "orders");
	consume_answer(world, STATUS_OK, "[]", 101, 101, 101);
	assert_int_equal(under_way.answers + parked.answers, 0);
	assert_int_equal(world->consume_count, 0);
}

static void the_end(void **state)
{
	struct world *world = *state;
	struct asker parked[3] = {{0}}, under_way = {0}, late = {0};

	for (size_t i = 0; i < 3; i++) {
		begin_poll(world, &parked[i], 20000);
		consume_answer(world, STATUS_OK, "[]", 1, 0, 100);
	}
	begin_poll(world, &under_way, 20000);
	hub_drain(world->hub, 0);
	for (size_t i = 0; i < 3; i++)
		assert_true(parked[i].answers == 1 && parked[i].status == STATUS_OK);
	consume_answer(world, STATUS_OK, "[]", 1, 0, 100);
	assert_int_equal(under_way.answers, 1);
	begin_poll(world, &late, 20000);
	consume_answer(world, STATUS_OK, "[]", 1, 0, 100);
	assert_int_equal(late.answers, 1);
}

static void bounds(void **state)
{
	struct world *world = *state;
	static struct asker askers[1001];

	for (size_t i = 0; i < 1001; i++) {
		begin_poll(world, &askers[i], 20000);
		consume_answer(world, STATUS_OK, "[]", 1, 0, 100);
		assert_int_equal(askers[i].answers, i == 1000);
	}
	assert_int_equal(askers[1000].status, STATUS_TOO_MANY);
	world->full = true;
	begin_poll(world, &askers[1000], 0);
	assert_null(askers[1000].consume);
	of_topic(world, "orders"); /* nobody can be asked: later */
	world->full = false;
	pause_ms(600);
	hub_tick(world->hub);
	assert_int_equal(world->consume_count, 256);
	for (size_t i = 0; i < 1000; i++)
		consume_forget(askers[i].consume);
}

int main(void)
{
#define STORY(story) cmocka_unit_test_setup_teardown(story, world_setup, world_teardown)
	const struct CMUnitTest stories[] = {
		STORY(woken_by_what_it_wants),
		STORY(what_came_between_the_look_and_the_waiting),
		STORY(what_is_not_to_be_had),
		STORY(seen_in_the_journal_before_it_came_here),
		STORY(time_is_over),
		STORY(looked_after_now_and_then),
		STORY(the_database_is_away),
		STORY(a_lane_that_hangs_when_time_is_over),
		STORY(forgotten),
		STORY(the_end),
		STORY(bounds),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
