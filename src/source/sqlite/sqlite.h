/* The source's own state, shared by the files of this folder. */
#ifndef ESINK_SQLITE_SQLITE_H
#define ESINK_SQLITE_SQLITE_H

#include <pthread.h>

#include "esink/source.h"
#include "source/holes.h"
#include "source/sqlite/checkpoint.h"
#include "source/sqlite/db.h"
#include "source/sqlite/note.h"
#include "source/sqlite/reader.h"
#include "source/sqlite/wakeup.h"

struct sqlite {
	const struct source_config *config;
	struct db db; /* capture's connection */
	struct reader reader;
	struct wakeup wakeup;
	struct note note;
	struct checkpoint checkpoint;
	sqlite3_stmt *schema_stmt, *read_stmt;
	char journal[JOURNAL_LEN + 1];
	uint64_t position; /* the last event returned */
	double at;         /* its time */
	struct hole_watch hole_watch;
	int64_t schema_version;
	struct db_mark mark; /* of the last look */
	int reprepared;      /* how often read_stmt was compiled again: the schema has changed */
	bool started; /* opened once: from now on the configuration's faults are complaints, not ends */
	bool lost;    /* the journal no longer reaches our position: begin anew at its head */
	bool broken;  /* and is not the one that was told: it needs a new name */
	bool more;    /* the last read did not come to the end */
	int64_t window, in_window, rate, fetched; /* us, monotonic; commits, in the window and a second: see keep_pace() */
	bool look_at_schema, look_at_file;
	int64_t next_look, next_prune, next_hold; /* ms, monotonic */
	int64_t prune_count;           /* rows of the next batch */
	int64_t log_bytes;             /* size of the log after the last checkpoint of ours */
	pthread_mutex_t lock;          /* complaint */
	struct err complaint;
};

/* lane.c */
void *sqlite_lane_create(void *source);
void sqlite_lane_destroy(void *lane);
enum status sqlite_lookup(void *lane, struct span token, struct source_user *user, struct err *err);
enum status sqlite_publish(void *lane, struct publication *const *items, size_t count, int timeout_ms, struct err *err);
enum status sqlite_read(void *lane, struct span journal, uint64_t after, uint64_t key, size_t max, struct event_batch *batch,
	struct err *err);
enum status sqlite_range(void *lane, int64_t since, struct source_range *range, struct err *err);

/* consumers.c */
enum status sqlite_consumers(void *lane, const char *name, struct consumer_list *list, struct err *err);
enum status sqlite_consumer_put(void *lane, const struct consumer *consumer, const struct consumer *lost, bool *created,
	struct err *err);
enum status sqlite_consumer_delete(void *lane, const char *name, struct err *err);
enum status sqlite_consumer_advance(void *lane, const struct consumer *consumer, struct span journal, uint64_t cursor,
	struct err *err);
enum status sqlite_consumer_mark(void *lane, const struct consumer *consumer, struct span journal, uint64_t id,
	enum consumer_outcome outcome, struct err *err);
enum status sqlite_consumer_marks(void *lane, const char *name, uint64_t first, uint64_t last, size_t max,
	struct consumer_mark_list *list, struct err *err);

/* check.c */
enum status sqlite_check(void *source, struct err *err);
enum status sqlite_uninstall(void *source, struct err *err);

/* upkeep.c: what is done beside fetching, on capture's connection. */
enum status lite_upkeep_install(struct sqlite *source, bool strict, bool *made_schema, struct err *err) MUST_CHECK;
enum status lite_upkeep_run(struct sqlite *source, struct err *err) MUST_CHECK;
int lite_upkeep_due_ms(const struct sqlite *source); /* until there is something to do */

#endif
