/* What is refused to strangers, and to clients that were configured wrongly, told in the log: a line for each reason, at most
 * one in ten seconds of each, with the number of those that came meanwhile. Refusals of sessions are told by their ends.
 */
#ifndef ESINK_REFUSALS_H
#define ESINK_REFUSALS_H

#include <stdatomic.h>
#include <stdint.h>

#define REFUSAL_QUIET_MS 10000

struct conn;

enum refusal {
	REFUSAL_PUBLISH,   /* no operator's token, or a wrong one */
	REFUSAL_CONSUMERS, /* likewise */
	REFUSAL_EVENTS,    /* nobody's token */
	REFUSAL_ORIGIN,
	REFUSAL_COUNT
};

/* Of all threads. */
struct refusals {
	struct {
		_Atomic int64_t said;  /* ms, monotonic; 0: never */
		_Atomic uint64_t more; /* since then */
	} reasons[REFUSAL_COUNT];
};

/* One more, of this connection's request, whose headers are still there. */
void refusals_note(struct conn *conn, enum refusal reason);
/* Tells the number of those that no line has told; now and then. */
void refusals_tick(struct refusals *refusals);

#endif
