/* The clocks of base/clock.h, as the tests of the hub set them: time passes in pause_ms() alone, so that what happens after
 * 45 ms is the same on a machine that was busy with something else for a second. Linked before the real ones. What work costs
 * is measured as it is.
 */
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "world.h"

static _Atomic int64_t now_us = 1000000000;

int64_t clock_us(void)
{
	return atomic_load(&now_us);
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
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void pause_ms(int ms)
{
	atomic_fetch_add(&now_us, (int64_t)ms * 1000);
}
