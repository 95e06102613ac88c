/* The answers of one thread that may be long and are on their way out: what they hold together has a bound. */
#ifndef ESINK_TRANSPORT_ANSWERS_H
#define ESINK_TRANSPORT_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct answer;
struct conn;

/* One of each thread. Zeroed at first. */
struct answers {
	struct answer *first, *last; /* the oldest first */
	size_t bytes;
};

/* Part of what answers, from then until its exchange ends. Zeroed at first. */
struct answer {
	struct answers *in; /* NULL: in none */
	struct answer *next, *prev;
	struct conn *conn;
	size_t bytes;
	int64_t began; /* ms, monotonic */
};

/* Once it has been handed to the exchange. */
void answers_add(struct answers *answers, struct answer *answer, struct conn *conn);
void answers_remove(struct answer *answer); /* in none is fine */
/* No other one is to be made. */
bool answers_full(const struct answers *answers);
/* Something waits for room: where there is none, the oldest one's connection ends if its reader had time enough. */
void answers_press(struct answers *answers);

#endif
