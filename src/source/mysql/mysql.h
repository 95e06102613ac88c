/* The source's own state, shared by the files of this folder. */
#ifndef ESINK_MYSQL_MYSQL_H
#define ESINK_MYSQL_MYSQL_H

#include <pthread.h>

#include "esink/source.h"
#include "source/holes.h"
#include "source/mysql/catalog.h"
#include "source/mysql/claim.h"
#include "source/mysql/db.h"
#include "source/mysql/guard.h"
#include "source/mysql/reader.h"
#include "source/mysql/rights.h"

struct mysql {
	const struct source_config *config;
	struct my_db db; /* capture's connection */
	struct my_reader reader;
	char journal[JOURNAL_LEN + 1];
	char words[MY_SLICES_MAX][17]; /* of the catalogue that the triggers were made from, slice by slice */
	size_t slice;       /* the next one to look at */
	uint64_t position;  /* the last event returned */
	uint64_t head;      /* the newest one that we know of */
	struct hole_watch hole_watch;
	bool started;       /* opened once: from now on the configuration's faults are complaints, not ends */
	bool lost;          /* the journal no longer reaches our position: begin anew at its head */
	struct my_guard guard;
	struct my_moved moved; /* the rows of the last move */
	bool mover;         /* we move: others read only */
	bool full;          /* the last move or read was as large as it may be: there is more */
	int64_t next_claim, next_look, next_prune, next_hold, next_sweep, next_rights; /* ms, monotonic */
	int64_t next_word, word_pause; /* ms, monotonic: when the next slice of the tables is looked at; and from one to the next */
	int64_t busy_retry_ms;   /* after a look at the triggers that found a table busy */
	int64_t heard;           /* ms, monotonic: when the server was asked last */
	int64_t last_event, last_look; /* ms, monotonic */
	int64_t move_max;        /* rows of one move */
	int64_t walk;            /* ms of the last move before its rows: see pace() */
	int64_t packet;          /* bytes that a statement may have */
	int64_t prune_max;       /* chunks of one batch */
	uint64_t seen, floor[2]; /* ids of the outbox: the greatest that was moved, now, and some time ago: see move.c */
	int64_t next_floor;
	int64_t window, in_window, rate; /* events a second: see pace() */
	struct my_rights_watch rights;
	pthread_mutex_t lock; /* what follows */
	struct err complaint, lost_rights;
};

/* 0. In every statement on the outbox, for the sake of sessions that lock tables: triggers/mysql/schema.sql says why. */
#define MY_PRELOCK "IF(TRUE, 0, esink_prelock())"

/* lane.c */
void *mysql_lane_create(void *source);
void mysql_lane_destroy(void *lane);
enum status mysql_lookup(void *lane, struct span token, struct source_user *user, struct err *err);
enum status mysql_publish(void *lane, struct publication *const *items, size_t count, int timeout_ms, struct err *err);
enum status mysql_read(void *lane, struct span journal, uint64_t after, uint64_t key, size_t max, struct event_batch *batch,
	struct err *err);
enum status mysql_range(void *lane, int64_t since, struct source_range *range, struct err *err);

/* consumers.c */
enum status mysql_consumers(void *lane, const char *name, struct consumer_list *list, struct err *err);
enum status mysql_consumer_put(void *lane, const struct consumer *consumer, const struct consumer *lost, bool *created,
	struct err *err);
enum status mysql_consumer_delete(void *lane, const char *name, struct err *err);
enum status mysql_consumer_advance(void *lane, const struct consumer *consumer, struct span journal, uint64_t cursor,
	struct err *err);
enum status mysql_consumer_mark(void *lane, const struct consumer *consumer, struct span journal, uint64_t id,
	enum consumer_outcome outcome, struct err *err);
enum status mysql_consumer_marks(void *lane, const char *name, uint64_t first, uint64_t last, size_t max,
	struct consumer_mark_list *list, struct err *err);

/* check.c */
enum status mysql_check(void *source, struct err *err);
enum status mysql_uninstall(void *source, struct err *err);

/* move.c: gives committed rows the ids behind source->head, which goes on with them. */
enum status my_move(struct mysql *source, struct my_moved *moved, struct err *err) MUST_CHECK;
/* How many rows the next move may have, after one of so many that took so many ms. A walk costs the same for few as for many. */
void my_move_adapt(struct mysql *source, size_t count, int64_t took, bool cut);
/* Bytes of a row from which on it does not fit into statements. packet: the server's max_allowed_packet. */
size_t my_move_big(int64_t packet);
/* Whether there is anything to move. */
enum status my_move_wanted(struct mysql *source, bool *wanted, struct err *err) MUST_CHECK;

/* upkeep.c: what is done beside fetching, on capture's connection. */
enum status my_upkeep_tables(struct mysql *source, struct err *err) MUST_CHECK;
enum status my_upkeep_install(struct mysql *source, bool strict, struct err *err) MUST_CHECK;
/* What was lost is what the first look found: one before capture is live. */
enum status my_upkeep_rights(struct mysql *source, struct err *err) MUST_CHECK;
enum status my_upkeep_run(struct mysql *source, struct err *err) MUST_CHECK;

#endif
