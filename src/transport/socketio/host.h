/* What a network thread keeps of the Engine.IO sessions whose home it is: their deadlines, and those that have something to do at the
 * end of the turn of the loop. Only that thread touches it. */
#ifndef ESINK_ENGINEIO_HOST_H
#define ESINK_ENGINEIO_HOST_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "transport/socketio/clock.h"

struct engineio;
struct thread;

struct engineio_host {
	struct engineio_timers pings, pongs, connects, last_words, goodbyes, probes, crowded;
	struct engineio *dirty, *turning; /* have something to do at the end of the turn, of this turn */
	uv_timer_t clock;
	int64_t clock_due;      /* when it is set for; 0: it is not */
	size_t count;
};

void engine_host_init(struct thread *thread);
/* The thread has ended: so do all that are left. In thread_settle(), after its inbox. */
void engine_host_finish(struct thread *thread);
void engine_turn(struct thread *thread); /* at the end of a turn of the loop, after the hub's */
void engine_drain(struct thread *thread); /* closes those that no session of the hub closes */

/* -- for the other files of this folder -- */
struct engineio_host *engine_host_of(const struct engineio *engine);
void engine_touch(struct engineio *engine); /* it has something to do at the end of the turn */
/* Off the lists of its thread, and onto those of another. */
void engine_unhost(struct engineio *engine);
void engine_host(struct engineio *engine);

#endif
