/* Consumers: named, durable readers of the journal that acknowledge what they have processed, at least once. What is kept of
 * them is in the watched database (struct source_ops: consumers ..), so that every relay serves every consumer and positions
 * survive all of them; what it means is source/consumer.c's, on the lane that history is read on.
 *
 * A consumer's cursor is the highest id such that no event at or below it that it wants is pending. Marks are what was settled
 * above it, out of order; below it only skipped ones are kept, as long as their event is, for GET /events/{id}/watch.
 * Retention keeps what lies above the cursor of every consumer that was heard of within CONSUMER_MAX_SILENCE; a consumer that
 * was silent for longer is dropped: its row stays, marked so, to tell it 410 when it comes back, until it registers anew.
 */
#ifndef ESINK_CONSUMER_H
#define ESINK_CONSUMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esink/event.h"
#include "esink/status.h"

#define CONSUMER_NAME_MAX 64 /* of A-Z a-z 0-9 _ - */
#define CONSUMER_LIMIT_MAX 1000
#define CONSUMER_WAIT_MAX 30 /* seconds */
#define CONSUMER_BYTES_MAX 4194304 /* of the events of one poll, but one event at least */

enum consumer_outcome { OUTCOME_COMPLETED, OUTCOME_SKIPPED };

/* As the database keeps it. Strings malloc'ed. */
struct consumer {
	char *name;
	char *topics, *types; /* JSON texts, see rules/wants.h; [] is everything */
	uint64_t cursor;
	uint64_t generation;  /* of this registration: random, below 2^63, so that whoever had the name before is told from it */
	int64_t updated_at;   /* ms since 1970: when it was last heard of */
	bool dropped;
};

struct consumer_list {
	struct consumer *items;
	size_t count, room;
};

struct consumer_mark {
	char consumer[CONSUMER_NAME_MAX + 1];
	uint64_t id;
	enum consumer_outcome outcome;
};

struct consumer_mark_list {
	struct consumer_mark *items;
	size_t count, room;
};

enum consumer_verb { CONSUMER_PUT, CONSUMER_GET, CONSUMER_LIST, CONSUMER_DELETE, CONSUMER_POLL, CONSUMER_MARK, CONSUMER_WATCH };

/* What a consumer is told of itself. */
struct consumer_state {
	struct consumer consumer;
	uint64_t lag;     /* events of the journal above its cursor, wanted or not */
	uint64_t pending; /* of them those it wants and has not settled, as far as they were counted */
	bool pending_more; /* there may be more than that */
};

/* The asker allocates it, services.consume() takes it, done() is called once, on the lane's thread, and must not block. */
struct consumer_job {
	void (*done)(struct consumer_job *job);
	void *owner;
	enum consumer_verb verb;
	char *name;           /* malloc'ed; LIST, WATCH: NULL */
	char *topics, *types; /* PUT: as in struct consumer, checked by the asker */
	enum { FROM_NOW, FROM_START, FROM_ID } from; /* PUT */
	uint64_t id;          /* PUT FROM_ID: goes on after it; MARK, WATCH: the event */
	bool has_ack;         /* POLL */
	uint64_t ack;
	uint64_t generation;  /* POLL: the registration that was told what is acknowledged; 0: whichever there is */
	char of_journal[JOURNAL_LEN + 1]; /* PUT FROM_ID, POLL, MARK: whose position it is; "": that of the journal that there is */
	size_t limit;         /* POLL */
	enum consumer_outcome outcome; /* MARK */
	/* The answer. STATUS_OK; NOT_FOUND (no such consumer, or for WATCH and MARK no such event: no_event says which); GONE (dropped
	 * after a long silence, or its position is no longer in the journal); INVALID (err: an ack beyond the newest event, ..);
	 * CONFLICT (of_journal is not the journal that there is); TOO_MANY; UNAVAILABLE, TIMEOUT. */
	enum status status;
	bool no_event;
	bool created;                                  /* PUT */
	struct consumer_state *states;                 /* GET, LIST, PUT; POLL: one, of which only consumer is filled in */
	size_t state_count;
	struct event **events;                         /* POLL: one reference each */
	size_t event_count;
	char journal[JOURNAL_LEN + 1];                 /* POLL: which its events and cursor are of */
	uint64_t cursor;                               /* POLL, MARK: after it */
	uint64_t seen;                                 /* POLL: everything up to this id was looked at */
	char **subscribers, **completers, **skippers;  /* WATCH: names; NULL-terminated */
	struct err err;
};

void consumer_job_free(struct consumer_job *job); /* NULL is fine */
enum status consumer_too_many(int max, struct err *err) MUST_CHECK; /* a driver's consumer_put(): the sentence */
void consumer_list_add(struct consumer_list *list, const struct consumer *consumer); /* takes its strings */
void consumer_list_finish(struct consumer_list *list);
void consumer_mark_list_add(struct consumer_mark_list *list, const struct consumer_mark *mark);
void consumer_mark_list_finish(struct consumer_mark_list *list);

#endif
