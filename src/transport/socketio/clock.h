/* Deadlines of a thread's Engine.IO sessions. Each list is in order of time by itself, and the lists of a host have one clock. All on
 * the sessions' home thread. */
#ifndef ESINK_ENGINEIO_CLOCK_H
#define ESINK_ENGINEIO_CLOCK_H

#include <stdint.h>

struct engineio;
struct thread;

/* A deadline. Those of a list all last equally long, so that the oldest is always the first to be due. */
struct engineio_timer {
	struct engineio_timer *next, *prev;
	struct engineio_timers *list; /* NULL: not set */
	struct engineio *engine;
	int64_t due; /* ms, monotonic */
};

struct engineio_timers {
	struct engineio_timer *first, *last;
	int64_t after_ms;
	void (*due)(struct engineio *engine);
};

/* Anew, if it is set already. The timer's engine must be at home on the list's thread. */
void engine_timer_set(struct engineio_timers *list, struct engineio_timer *timer);
void engine_timer_stop(struct engineio_timer *timer); /* not set is fine */
void engine_clock_init(struct thread *thread);

#endif
