/* Three clocks: monotonic for every deadline, wall for what people and tokens say, a thread's own for what a piece of work may cost. */
#ifndef ESINK_CLOCK_H
#define ESINK_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void);      /* monotonic */
int64_t clock_us(void);      /* monotonic */
int64_t clock_wall_ms(void); /* since 1970, UTC */
int64_t clock_thread_us(void); /* of the processor, spent by the calling thread */

#endif
