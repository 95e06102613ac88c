/* GET /events and GET /events/ID: from a question to an answer, by way of the token table and the history lane. */
#ifndef ESINK_TRANSPORT_EVENTS_H
#define ESINK_TRANSPORT_EVENTS_H

#include <stddef.h>

struct conn;
struct events_call;
struct thread;

struct events_list {
	struct events_call *first, *last;
};

/* One of each thread. Zeroed at first. */
struct events_desk {
	struct events_list waiting; /* for who it is, for its turn, for the lane: in order of their coming */
	size_t under_way;           /* on the lane, or coming back */
};

/* While the request's headers are there. Answers by exchange_reply_later(). */
void events_begin(struct conn *conn);
/* The exchange ends: it was answered, or the requester has gone. NULL is fine. */
void events_detach(struct events_call *call);
/* Those that have waited too long are told so. */
void events_tick(struct thread *thread);

#endif
