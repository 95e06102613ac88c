/* The clocks of base/clock.h, as the tests of the hub set them: time passes in pause_ms() alone, so that what happens after
 * 45 ms is the same on a machine that was busy with something else for a second. Linked before the real ones.
 */
#include <stdatomic.h>

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

void pause_ms(int ms)
{
	atomic_fetch_add(&now_us, (int64_t)ms * 1000);
}
