/* The answers of one thread that may be long and are on their way out: what they hold together has a bound. An answer to
 * Socket.IO's polls may be the frame of an event, which all who are sent it share: it counts once. */
#ifndef ESINK_TRANSPORT_ANSWERS_H
#define ESINK_TRANSPORT_ANSWERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esink/event.h"

struct answer;
struct conn;

/* One of each thread. Zeroed at first. */
struct answers {
	struct answer *first, *last; /* the oldest first */
	_Atomic size_t bytes;        /* other threads look at it */
	_Atomic(const struct event *) newest; /* that was shared last; to be compared only */
	atomic_bool wanted;          /* somebody waits for room */
};

/* Part of what answers, from then until its exchange ends. Zeroed at first. */
struct answer {
	struct answers *in; /* NULL: in none */
	struct answer *next, *prev;
	struct conn *conn;
	const struct event *event; /* whose frame it shares; NULL: none */
	size_t bytes;              /* 0: another one's are counted for the same event */
	int64_t began; /* ms, monotonic */
};

/* Once it has been handed to the exchange. */
void answers_add(struct answers *answers, struct answer *answer, struct conn *conn);
/* The same, of one that is an event's frame. */
void answers_add_event(struct answers *answers, struct answer *answer, struct conn *conn, const struct event *event, size_t bytes);
void answers_remove(struct answer *answer); /* in none is fine */
/* No other one is to be made. */
bool answers_full(const struct answers *answers);
/* Something waits for room: where there is none, the oldest one's connection ends if its reader had time enough, with all
 * that share its event and had it too. */
void answers_press(struct answers *answers);
/* Is there room for an event's frame? Where there is none, room is made before long. Any thread. */
bool answers_admit(struct answers *answers, const struct event *event);
void answers_tick(struct answers *answers);

#endif
