/* A question about the past, for GET /events: which events of the journal, seen by whom. It is answered on a lane of its own
 * (source/history.c), page by page, each page within a bound of time and bytes, so that no question holds the database or
 * the next one up: a page may be short, or empty, and still have a next one.
 */
#ifndef ESINK_HISTORY_H
#define ESINK_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esink/event.h"
#include "esink/status.h"

#define HISTORY_LIMIT_MAX 1000
#define HISTORY_BYTES_MAX 4194304 /* of the events of one page, but one event at least */
#define HISTORY_SCAN_MS 30        /* after which a page ends where it is */

struct history_entry {
	struct event *event; /* one reference, the job's */
	enum event_class class;
};

/* The asker allocates it, services.history() takes it, done() is called once, on the lane's thread, and must not block. */
struct history_job {
	void (*done)(struct history_job *job);
	void *owner;
	int64_t deadline; /* ms, monotonic: nobody waits for it any more; 0: none */
	/* What is asked; strings malloc'ed, NULL: any. */
	char journal[JOURNAL_LEN + 1]; /* whose ids after and before are; "": of the one that there is */
	bool has_after;
	uint64_t after, before; /* exclusive; before 0: none. has_after with 0: from the oldest there is */
	int64_t since, until;   /* ms since 1970, inclusive; INT64_MIN, INT64_MAX: none */
	char *table, *type, *transaction_id;
	size_t limit;           /* 1 to HISTORY_LIMIT_MAX */
	bool operator;          /* sees all, as CLASS_BOTH */
	char *user;             /* who else asks */
	/* The answer. STATUS_OK, STATUS_GONE (after is no longer in the journal: first is its oldest id), CONFLICT (the journal is
	 * another one), INVALID (after is beyond the newest event: newest), UNAVAILABLE, TIMEOUT. */
	enum status status;
	struct history_entry *entries; /* ascending by id */
	size_t count;
	bool more;
	uint64_t next; /* with more: `after` of the next page */
	uint64_t first, newest; /* the oldest id that can be read, and the newest that the database has; newest < first: there is none */
	struct err err;
};

void history_job_free(struct history_job *job); /* NULL is fine */

#endif
