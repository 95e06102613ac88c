/* The clocks of base/clock.h, as tests set them: time passes in pause_ms() alone, so that what happens after 45 ms is the same on
 * a machine that was busy with something else for a second. Where threads and sockets need it to pass by itself it does so
 * slowly: what is done in time then stays so. What work costs is measured as it is, or as on a quicker machine. Linked before the
 * real ones.
 */
#include "clock.h"

#include <pthread.h>
#include <time.h>

#include "base/clock.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t now_us = 1000000000; /* at `since`, of the real one */
static int64_t since;
static int share; /* of real time: one in so many */
static int work = 1; /* the same of work */

static int64_t read_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* With the lock held. */
static int64_t passed(void)
{
	return share ? now_us + (read_us(CLOCK_MONOTONIC) - since) / share : now_us;
}

int64_t clock_us(void)
{
	int64_t us;

	pthread_mutex_lock(&lock);
	us = passed();
	pthread_mutex_unlock(&lock);
	return us;
}

int64_t clock_ms(void)
{
	return clock_us() / 1000;
}

int64_t clock_wall_ms(void)
{
	return 1800000000000 + clock_ms();
}

int64_t clock_thread_us(void)
{
	int less;

	pthread_mutex_lock(&lock);
	less = work;
	pthread_mutex_unlock(&lock);
	return read_us(CLOCK_THREAD_CPUTIME_ID) / less;
}

void pause_ms(int ms)
{
	pthread_mutex_lock(&lock);
	now_us += (int64_t)ms * 1000;
	pthread_mutex_unlock(&lock);
}

void clock_passes(int slower)
{
	pthread_mutex_lock(&lock);
	now_us = passed();
	since = read_us(CLOCK_MONOTONIC);
	share = slower;
	pthread_mutex_unlock(&lock);
}

void clock_work_costs(int less)
{
	pthread_mutex_lock(&lock);
	work = less;
	pthread_mutex_unlock(&lock);
}
