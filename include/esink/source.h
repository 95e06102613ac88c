/* The seam between a watched database and the rest. A driver is one const struct source_ops; source/pump.c runs the
 * capture half on its own thread, source/lanes.c runs look-ups, writes and reads on a thread and connection each, so that
 * a slow history scan never delays a login. Drivers are straight-line blocking code and know nothing of sessions.
 */
#ifndef ESINK_SOURCE_H
#define ESINK_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "esink/consumer.h"
#include "esink/event.h"
#include "esink/history.h"
#include "esink/span.h"
#include "esink/status.h"

struct ruleset; /* rules/ruleset.h */

/* TLS to a MySQL server. SOURCE_TLS_AUTO: where the server has it, without asking who it is, and not on the machine itself; with
 * authorities: SOURCE_TLS_IDENTITY. */
enum source_tls { SOURCE_TLS_AUTO, SOURCE_TLS_OFF, SOURCE_TLS_REQUIRED, SOURCE_TLS_CA, SOURCE_TLS_IDENTITY };

/* Everything a driver is told, borrowed for the life of the source. */
struct source_config {
	const char *url; /* PostgreSQL: any libpq connection string */
	const char *database, *host, *user, *password, *outbox; /* MySQL */
	int port;                                               /* MySQL */
	enum source_tls tls;                                    /* MySQL */
	const char *tls_ca;                                     /* MySQL: a file of authorities; NULL: the system's */
	const char *path;                                       /* SQLite */
	bool checkpoint;                                        /* SQLite: copies the log of a busy database for its writers */
	const struct ruleset *rules;
	const char *auth_table, *auth_column, *auth_user_column;
	bool auth_table_optional; /* a JWT key is configured */
	int poll_interval_ms;
	int64_t retention_ms;
	int64_t consumer_max_silence_ms; /* longer, and a consumer no longer holds the journal back */
	int max_consumers;
	int drain_max;         /* events per fetch, at most */
	int statement_timeout_ms; /* for look-ups, writes and reads */
	bool brief;            /* --check prints no statements */
	bool only_look;        /* --uninstall says what it would remove, and removes nothing */
	int stop_fd;           /* readable: give up whatever blocks and return STATUS_STOPPED */
};

/* Times in which changes of a watched table went by uncaptured, as far as this process knows. Who was told of the journal only up to an id
 * below has to fetch its state anew, although the journal goes on. */
struct source_holes {
	uint32_t count; /* only ever grows */
	uint64_t below; /* behind the newest id handed out when the last of them was over; 0: none in this journal */
};

/* Where capture stands. journal changes when the database is another one than before. */
struct source_position {
	char journal[JOURNAL_LEN + 1];
	uint64_t id; /* the newest id handed out; 0: none yet */
	struct source_holes holes;
};

struct event_batch {
	struct event **events; /* ascending contiguous ids; the batch owns one reference each */
	size_t count, room;
	struct source_holes holes; /* of fetch(): before these events */
};

/* What can be read again, and where a time lies in it. */
struct source_range {
	char journal[JOURNAL_LEN + 1];
	uint64_t floor; /* read() reaches back to the event after it; 0: to the first ever */
	uint64_t head;  /* the newest; floor when there is none */
	uint64_t start; /* floor <= start <= head: everything up to it had its id before `since` */
};

/* An authenticated user, as the token table or a JWT names it. */
struct source_user {
	char *id;     /* as text, UTF-8, malloc'ed */
	bool numeric; /* a 16 or 32 bit integer column: shown as a JSON number */
};

/* An event that is not a row change: POST /publish or a client's `event`. The strings are owned by the job. */
struct publication {
	char *topic, *type, *data; /* data: a JSON object as text, filters already applied */
	char *source, *source_type;
	char *user;     /* the one receiver; NULL: nobody, unless broadcast */
	bool broadcast;
	int64_t timestamp; /* ms; 0: now */
	int32_t version;
	char ref[33];      /* random, comes back as event->ref */
};

struct source_ops {
	const char *name; /* `postgres` */

	/* Says of a value that can never work what is wrong with it, connecting to nothing; NULL: there is nothing to say. */
	enum status (*validate)(const struct source_config *config, struct err *err) MUST_CHECK;
	/* Allocates, connects to nothing. */
	void *(*create)(const struct source_config *config);
	void (*destroy)(void *source); /* NULL is fine */

	/* -- capture: one thread, the pump's; open .. fetch* .. close, again and again ------------------------------- */

	/* Connects, verifies, installs what is missing, and tells the head. STATUS_UNAVAILABLE: the database is away, try
	 * again later; STATUS_INVALID, NOT_FOUND, DENIED: the configuration does not fit this database: at start the
	 * process ends with exit status 3. After a reconnect fetch() goes on behind the last event it returned. */
	enum status (*open)(void *source, struct source_position *head, struct err *err) MUST_CHECK;
	/* Waits up to timeout_ms for committed events, and returns those that are durable, in order, without a gap;
	 * an empty batch is normal. Never returns an event twice. STATUS_GONE: the journal is another one, or no longer
	 * reaches back: the caller closes, opens and starts from the new head. Any other failure: close, back off, open. */
	enum status (*fetch)(void *source, int timeout_ms, struct event_batch *batch, struct err *err) MUST_CHECK;
	/* Leaves the database so that no writer pays for our absence. */
	/* Also on one that is not open: at the end, when the stop came while capture was away, it leaves as it does otherwise. */
	void (*close)(void *source);
	/* What is wrong although capture runs ("" when nothing is): /ready answers 503 with it. Any thread. */
	void (*complaint)(void *source, struct err *err);

	/* -- on demand ------------------------------------------------------------------------------------------------- */

	/* --check: prints the plan, changes nothing. --uninstall: prints what there is of ours, then removes it; STATUS_CONFLICT, and all
	 * of it is there still: a relay is at work. */
	enum status (*check)(void *source, struct err *err) MUST_CHECK;
	enum status (*uninstall)(void *source, struct err *err) MUST_CHECK;

	/* -- lanes: a connection each, used by one thread at a time ----------------------------------------------------- */
	void *(*lane_create)(void *source); /* allocates, connects on first use and again after a failure */
	void (*lane_destroy)(void *lane);
	/* Exactly one row whose token equals byte for byte and whose user is not null; else STATUS_UNAUTHORIZED. */
	enum status (*lookup)(void *lane, struct span token, struct source_user *user, struct err *err) MUST_CHECK;
	/* All in one transaction or none, within timeout_ms as a whole. STATUS_UNAVAILABLE, TIMEOUT: or it is not known which. */
	enum status (*publish)(void *lane, struct publication *const *items, size_t count, int timeout_ms,
		struct err *err) MUST_CHECK;
	/* Up to max events with id > after, ascending, without a gap; key: the event's own key of the last one read, or 0.
	 * STATUS_GONE: the journal does not reach back to after + 1, or is not `journal`. */
	enum status (*read)(void *lane, struct span journal, uint64_t after, uint64_t key, size_t max,
		struct event_batch *batch, struct err *err) MUST_CHECK;
	/* Where the journal stands, and where in it a time is; see struct source_range. INT64_MIN: no time, start is floor. */
	enum status (*range)(void *lane, int64_t since, struct source_range *range, struct err *err) MUST_CHECK;

	/* Consumers as they are kept in the database; what they mean is source/consumer.c's. Each call is one short transaction. */
	/* All, by name; or the one of that name, else STATUS_NOT_FOUND. */
	enum status (*consumers)(void *lane, const char *name, struct consumer_list *list, struct err *err) MUST_CHECK;
	/* Makes it, with its cursor and generation; one that is there keeps both and takes the patterns, unless it is dropped or is
	 * `lost` (NULL: none) as it was read: that one is replaced. STATUS_TOO_MANY: there are max_consumers others. */
	enum status (*consumer_put)(void *lane, const struct consumer *consumer, const struct consumer *lost, bool *created,
		struct err *err) MUST_CHECK;
	/* With its marks; STATUS_NOT_FOUND. */
	enum status (*consumer_delete)(void *lane, const char *name, struct err *err) MUST_CHECK;
	/* It was heard of now; its cursor goes up to `cursor`, never back, and completed marks at or below it go, some of them later.
	 * The consumer is named by its name and generation. STATUS_NOT_FOUND: not there or dropped, another one under its name, or
	 * the journal is not `journal`; nothing has changed then. */
	enum status (*consumer_advance)(void *lane, const struct consumer *consumer, struct span journal, uint64_t cursor,
		struct err *err) MUST_CHECK;
	/* The last mark of an event counts; STATUS_OK without one where it is completed and at or below the cursor. STATUS_NOT_FOUND as
	 * above; TOO_MANY: so many marks above the cursor wait for an event that is not settled (mark_budget.h). */
	enum status (*consumer_mark)(void *lane, const struct consumer *consumer, struct span journal, uint64_t id,
		enum consumer_outcome outcome, struct err *err) MUST_CHECK;
	/* Ascending by id, those of one consumer, or (NULL) of all, with first <= id <= last; at most max. */
	enum status (*consumer_marks)(void *lane, const char *name, uint64_t first, uint64_t last, size_t max,
		struct consumer_mark_list *list, struct err *err) MUST_CHECK;
};

extern const struct source_ops mysql_source, postgres_source, sqlite_source;

/* -- jobs for the lanes --------------------------------------------------------------------------------------------
 * The asker allocates a job and hands it over with a services function; done() is called exactly once, on a lane's
 * thread (or, for a publication, on whichever thread confirmed it), and owns the job from then on. done() must not block:
 * it posts to an inbox. */
struct lookup_job {
	void (*done)(struct lookup_job *job);
	void *owner;
	char *token; /* malloc'ed; wiped by lookup_job_free() */
	/* result */
	enum status status; /* OK, UNAUTHORIZED, UNAVAILABLE, TIMEOUT */
	struct source_user user;
};

struct publish_job {
	void (*done)(struct publish_job *job);
	void *owner;
	struct publication item;
	int64_t deadline; /* ms, monotonic: done by then; set by lanes_publish() */
	/* result: OK once the event is in the journal and every hub has taken it */
	enum status status; /* OK, UNAVAILABLE, TIMEOUT, INVALID */
	uint64_t id;
	char **sent_to; /* session ids of this relay that it was shown to */
	size_t sent_to_count;
	struct err err;
};

struct read_job {
	void (*done)(struct read_job *job);
	void *owner;
	char journal[JOURNAL_LEN + 1];
	uint64_t after, key;
	size_t max;
	/* result */
	enum status status; /* OK, GONE, UNAVAILABLE, TIMEOUT */
	struct event_batch batch;
};

/* What network threads may ask for; app.c fills it in. Each returns false, job untouched and still the caller's, when its
 * queue is full. Any thread. */
struct services {
	void *context;
	bool (*lookup)(void *context, struct lookup_job *job);
	bool (*publish)(void *context, struct publish_job *job);
	bool (*read)(void *context, struct read_job *job);
	bool (*history)(void *context, struct history_job *job);
	bool (*consume)(void *context, struct consumer_job *job);
};

void lookup_job_free(struct lookup_job *job);
void publish_job_free(struct publish_job *job);
void read_job_free(struct read_job *job);
void event_batch_add(struct event_batch *batch, struct event *event); /* takes the reference */
void event_batch_clear(struct event_batch *batch);                    /* unrefs what is left, keeps room */
void event_batch_finish(struct event_batch *batch);

#endif
