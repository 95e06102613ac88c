/* The source's own state, shared by the files of this folder. */
#ifndef ESINK_PG_POSTGRES_H
#define ESINK_PG_POSTGRES_H

#include <pthread.h>

#include "esink/source.h"
#include "source/holes.h"
#include "source/postgres/catalog.h"
#include "source/postgres/claim.h"
#include "source/postgres/connection.h"
#include "source/postgres/reader.h"
#include "source/postgres/wakeup.h"

struct postgres {
	const struct source_config *config;
	struct pg pg; /* capture's connection */
	struct claim claim;
	struct pg_reader reader;
	struct wakeup wakeup;
	struct pg_fingerprint fingerprint; /* of the catalogue that the triggers were made from */
	bool fingerprint_known;
	char journal[JOURNAL_LEN + 1];
	uint64_t position; /* the last event returned */
	uint64_t key;      /* its seq */
	uint64_t head;     /* the newest event that a tick has */
	struct hole_watch hole_watch;
	bool started;   /* opened once: from now on the configuration's faults are complaints, not
			   ends */
	bool lost;      /* the journal no longer reaches our position: begin anew at its head */
	bool streaming; /* a read is under way: rows are still coming */
	uint64_t read_from; /* the position where it began */
	PGresult *tick;     /* what drain() said last; NULL: nothing that is still to be read */
	int64_t next_claim, next_drift, next_rotation, next_hold, next_marks; /* ms, monotonic */
	int busy_retry_ms; /* after a drift check that found a table busy */
	int64_t held_back_since;           /* rotation; 0: not */
	pthread_mutex_t lock;              /* complaint */
	struct err complaint;
};

/* source->head as the ticks have it now. */
enum status postgres_read_head(struct postgres *source, struct err *err);

/* lane.c */
void *postgres_lane_create(void *source);
void postgres_lane_destroy(void *lane);
enum status postgres_lookup(
	void *lane, struct span token, struct source_user *user, struct err *err);
enum status postgres_publish(
	void *lane, struct publication *const *items, size_t count, int timeout_ms, struct err *err);
enum status postgres_read(void *lane, struct span journal, uint64_t after, uint64_t key, size_t max,
	struct event_batch *batch, struct err *err);
enum status postgres_range(void *lane, int64_t since, struct source_range *range, struct err *err);

/* consumers.c */
enum status postgres_consumers(void *lane, const char *name, struct consumer_list *list, struct err *err);
enum status postgres_consumer_put(void *lane, const struct consumer *consumer, const struct consumer *lost, bool *created,
	struct err *err);
enum status postgres_consumer_delete(void *lane, const char *name, struct err *err);
enum status postgres_consumer_advance(void *lane, const struct consumer *consumer, struct span journal, uint64_t cursor,
	struct err *err);
enum status postgres_consumer_mark(void *lane, const struct consumer *consumer, struct span journal, uint64_t id,
	enum consumer_outcome outcome, struct err *err);
enum status postgres_consumer_marks(void *lane, const char *name, uint64_t first, uint64_t last, size_t max,
	struct consumer_mark_list *list, struct err *err);

/* check.c */
enum status postgres_check(void *source, struct err *err);
/* Of rules that name no watched table, or miss theirs by the case of a letter. */
void postgres_warn_unrouted(const struct pg_catalog *catalog, const struct ruleset *rules);
/* Of columns that are sent and may hold tokens. There is a token table. */
void postgres_warn_tokens(const struct pg_catalog *catalog, const struct source_config *config);
enum status postgres_count_relays(struct pg *pg, long long *count, struct err *err); /* their connections */
/* uninstall.c */
enum status postgres_uninstall(void *source, struct err *err);

/* upkeep.c: what is done beside fetching, on capture's connection: watching for drift, rotating. */
/* Triggers as they should be: strict at the first start, not at a reconnect. A table that is busy keeps nothing away: it is done later, as by
 * the drift check, and is a complaint until then. */
enum status upkeep_open(struct postgres *source, struct err *err) MUST_CHECK;
enum status upkeep_run(struct postgres *source, struct err *err) MUST_CHECK;

#endif
