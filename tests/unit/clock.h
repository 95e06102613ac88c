/* The clocks of base/clock.h, as a test sets them: what is linked with clock.c. */
#ifndef ESINK_TEST_CLOCK_H
#define ESINK_TEST_CLOCK_H

void pause_ms(int ms); /* lets time pass */
/* From now on time passes by itself too, so many times slower than it does. 0: not. */
void clock_passes(int slower);
/* What work costs of a processor is shown as so many times less. 1 at first. */
void clock_work_costs(int less);

#endif
