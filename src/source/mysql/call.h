/* One call of the client library that has to wait. Its blocking calls cannot be interrupted, so its non-blocking ones are used: each is
 * started, waited for together with the source's stop_fd, and continued. It blocks the connection's thread until the deadline, or
 * until the source is stopped; then the call is given up, and the connection with it. */
#ifndef ESINK_MYSQL_CALL_H
#define ESINK_MYSQL_CALL_H

#include "source/mysql/db.h"

struct my_call {
	struct my_db *db; /* borrowed; open until my_call_given_up() */
	int64_t deadline; /* 0: none */
	int64_t probe;    /* when to ask whether the connection still is one; 0: never */
	enum status given_up; /* STATUS_OK: it was not */
};

/* timeout_ms 0: none. Several of the library's calls may follow each other in one of ours. */
struct my_call my_call_begin(struct my_db *db, int timeout_ms);
/* Waits for what the library wants (MYSQL_WAIT_*); what has come of it, to continue the call with; 0: nothing yet, ask again. */
int my_call_await(struct my_call *call, int want);
/* After the last call of the library's of one that was given up, and what it gave was freed: closes the connection and says why. */
enum status my_call_given_up(struct my_call *call, struct err *err);

/* From a _start() that gave want to the end: cont is its _cont(), with got_ for what has come. Then look at given_up. */
#define MY_CALL_FINISH(call, want, cont)                                                   \
	while (want) {                                                                     \
		int got_ = my_call_await(call, want);                                      \
		if (got_)                                                                  \
			want = (cont); /* NOLINT(bugprone-macro-parentheses): it is assigned to */ \
	}

#endif
