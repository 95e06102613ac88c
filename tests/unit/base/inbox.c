/* Prevents: a hand-over that loses a task, runs it twice or out of its poster's order, or a wake-up
 * that is not given, after which a thread sleeps on work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/inbox.h"

#define POSTERS 4
#define TASKS 50000

struct numbered {
	struct task task;
	int poster, number;
};

static sem_t woken;
static atomic_int wakes;
static int next_number[POSTERS], ran;

static void wake(void *context)
{
	(void)context;
	atomic_fetch_add(&wakes, 1);
	sem_post(&woken);
}

static void count_task(struct task *task)
{
	struct numbered *numbered = (struct numbered *)task;

	if (numbered->number != next_number[numbered->poster]++)
		abort();
	ran++;
	free(numbered); /* owns it: the inbox must not look at it again */
}

static struct numbered *make(int poster, int number)
{
	struct numbered *numbered = calloc(1, sizeof(*numbered));

	numbered->task.run = count_task;
	numbered->poster = poster;
	numbered->number = number;
	return numbered;
}

struct poster {
	struct inbox *inbox;
	int number;
};

static void *post_all(void *context)
{
	const struct poster *poster = context;

	for (int i = 0; i < TASKS; i++)
		inbox_post(poster->inbox, &make(poster->number, i)->task);
	return NULL;
}

static void reset(void)
{
	ran = 0;
	atomic_store(&wakes, 0);
	for (int i = 0; i < POSTERS; i++)
		next_number[i] = 0;
}

/* The owner runs only when it was woken, so that a missing wake-up stops the test (meson ends it).
 */
static void test_threads(void **state)
{
	struct inbox inbox;
	pthread_t threads[POSTERS];
	struct poster posters[POSTERS];

	(void)state;
	reset();
	inbox_init(&inbox, wake, NULL);
	for (int i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){&inbox, i};
		assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
	}
	while (ran < POSTERS * TASKS) {
		sem_wait(&woken);
		inbox_run(&inbox);
	}
	for (int i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	assert_false(inbox_run(&inbox));
	inbox_finish(&inbox);
	while (sem_trywait(&woken) == 0)
		;
}

static void test_wakes_once(void **state)
{
	struct inbox inbox;

	(void)state;
	reset();
	inbox_init(&inbox, wake, NULL);
	assert_false(inbox_run(&inbox));
	for (int i = 0; i < 3; i++)
		inbox_post(&inbox, &make(0, i)->task);
	assert_int_equal(wakes, 1);
	assert_true(inbox_run(&inbox));
	assert_int_equal(ran, 3);
	inbox_post(&inbox, &make(0, 3)->task);
	assert_int_equal(wakes, 2);
	assert_true(inbox_run(&inbox));
	inbox_finish(&inbox);
}

static struct inbox *own;

static void post_again(struct task *task)
{
	free(task);
	inbox_post(own, &make(0, 0)->task);
}

/* A task that posts is not waited for in the same run: a loop turn must end. */
static void test_post_while_running(void **state)
{
	struct inbox inbox;
	struct task *task = calloc(1, sizeof(*task));

	(void)state;
	reset();
	own = &inbox;
	task->run = post_again;
	inbox_init(&inbox, NULL, NULL);
	inbox_post(&inbox, task);
	assert_true(inbox_run(&inbox));
	assert_int_equal(ran, 0);
	assert_true(inbox_run(&inbox));
	assert_int_equal(ran, 1);
	inbox_finish(&inbox);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_wakes_once),
		cmocka_unit_test(test_post_while_running),
	};

	sem_init(&woken, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
