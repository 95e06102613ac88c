/* A lane is a thread, a bounded ring of jobs and a driver's connection. Five of them: look-ups,
 * writes, reads, history, consumers.
 *
 * A written publication then waits in receipts.c until capture has brought its event back with an
 * id and every hub has shown it. The write lane looks after their deadlines, since it is there
 * anyway. The look-up lane asks for itself whether look-ups work again while they fail:
 * /ready goes by it, and nobody may come meanwhile.
 *
 * What fails in a lane fails for whoever asks, as long as the database is away, and they ask again: the log gets one line a
 * reason, not one a job. The write lane has none: each publisher is told by its answer. What we stop ourselves neither failed nor worked.
 */
#include "source/lanes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/consumer.h"
#include "source/consumer_memory.h"
#include "source/failures.h"
#include "source/history.h"
#include "source/receipts.h"

#define SWEEP_MS 250
#define LEAST_MS 50
#define PROBE_MIN_MS 1000
#define PROBE_MAX_MS 5000

struct lane {
	struct lanes *lanes;
	const char *name;
	void (*run)(struct lane *lane, void **jobs, size_t count);
	void (*refuse)(void *job);
	bool (*sweep)(struct lane *lane); /* after jobs, and every SWEEP_MS for as long as it says true */
	const char *fails, *works;        /* how the log begins a line about it */
	struct failures failures;
	void *connection; /* the driver's */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t filled;
	void **ring;
	size_t first, count, room, group;
	bool running, stop, sweeps;
};

enum { LOOKUPS, WRITES, READS, HISTORY, CONSUMERS, LANE_COUNT };

struct lanes {
	const struct source_ops *ops;
	struct lanes_config config;
	struct lane lanes[LANE_COUNT];
	struct receipts *receipts;
	int64_t next_probe, probe_ms; /* when, monotonic, and how long behind the one before; the look-up lane's own */
	struct consumer_memory *consumers;
};

/* -- what each lane does with its jobs
 * ---------------------------------------------------------------------------------- */

static void note_worked(struct lane *lane)
{
	failures_worked(&lane->failures);
}

static void note_failed(struct lane *lane, const struct err *why)
{
	if (failures_add(&lane->failures, clock_ms(), why))
		log_warn("source", "%s: %s", lane->fails, why->text);
}

static bool sweep_failures(struct lane *lane)
{
	uint64_t failed = failures_settled(&lane->failures, clock_ms());

	if (failed)
		log_info("source", "%s again; %llu failed meanwhile", lane->works, (unsigned long long)failed);
	return failures_pending(&lane->failures);
}

/* The server's words may quote the token, as those of a function behind a view do; its code quotes nothing. */
static struct err without_words(const struct err *err)
{
	const char *code = strrchr(err->text, '(');
	struct err ret;

	if (!code || strncmp(code, "(SQLSTATE ", 10) != 0 || strlen(code) > 20)
		code = "";
	err_set(&ret, STATUS_FAILED, "AUTH_TABLE: the database fails on the query for a token %s", code);
	return ret;
}

static void note_lookup(struct lane *lane, enum status status, const struct err *err)
{
	struct err shown = status == STATUS_FAILED || status == STATUS_INVALID ? without_words(err) : *err;

	if (status == STATUS_OK || status == STATUS_UNAUTHORIZED)
		note_worked(lane);
	else if (status != STATUS_STOPPED)
		note_failed(lane, &shown);
	lane->lanes->next_probe = clock_ms() + lane->lanes->probe_ms;
}

static void run_lookups(struct lane *lane, void **jobs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct lookup_job *job = jobs[i];
		struct err err = {""};

		job->status = lane->lanes->ops->lookup(
			lane->connection, span_of(job->token), &job->user, &err);
		note_lookup(lane, job->status, &err);
		if (job->status == STATUS_UNAUTHORIZED)
			log_debug("source", "a token is refused: %s", err.text);
		job->done(job);
	}
}

/* Only where nobody asked for a while. Where the database hangs one with a token may wait behind it, as behind another's. */
static void probe(struct lane *lane)
{
	static const char nobodys[] = "may tokens be looked up?";
	struct source_user user = {.id = NULL};
	struct err err = {""};

	note_lookup(lane, lane->lanes->ops->lookup(lane->connection, span_of(nobodys), &user, &err), &err);
	free(user.id);
	lane->lanes->probe_ms = lane->lanes->probe_ms * 2 < PROBE_MAX_MS ? lane->lanes->probe_ms * 2 : PROBE_MAX_MS;
}

static bool sweep_lookups(struct lane *lane)
{
	bool go_on = failures_go_on(&lane->failures);

	if (!go_on)
		lane->lanes->probe_ms = PROBE_MIN_MS;
	else if (lane->lanes->config.table_only && clock_ms() >= lane->lanes->next_probe)
		probe(lane);
	return sweep_failures(lane) || failures_go_on(&lane->failures);
}

static void refuse_lookup(void *opaque)
{
	struct lookup_job *job = opaque;

	job->status = STATUS_UNAVAILABLE;
	job->done(job);
}

/* At least a little: what was not tried has no answer. */
static int time_left(const struct publish_job *job)
{
	int64_t left = job->deadline - clock_ms();

	return left > LEAST_MS ? (int)left : LEAST_MS;
}

static void refuse_write(void *opaque)
{
	struct publish_job *job = opaque;

	job->status = STATUS_UNAVAILABLE;
	job->done(job);
}

/* Those whose clients need not wait any more go; they were not written. */
static size_t refuse_late(void **jobs, size_t count)
{
	int64_t now = clock_ms();
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct publish_job *job = jobs[i];

		if (job->deadline > now)
			jobs[kept++] = job;
		else
			refuse_write(job);
	}
	return kept;
}

static void write_one(struct lane *lane, struct publish_job *job)
{
	struct publication *item = &job->item;
	struct err err = {""};
	enum status status = lane->lanes->ops->publish(
		lane->connection, &item, 1, time_left(job), &err);

	receipts_written(lane->lanes->receipts, job, status, &err);
}

static void run_writes(struct lane *lane, void **jobs, size_t count)
{
	struct receipts *receipts = lane->lanes->receipts;
	struct publication **items = mem_zero(count, sizeof(*items));
	struct err err = {""};
	enum status status;

	count = refuse_late(jobs, count);
	for (size_t i = 0; i < count; i++) {
		struct publish_job *job = jobs[i];

		items[i] = &job->item;
		receipts_expect(receipts, job, job->deadline);
	}
	if (count == 0) {
		free(items);
		return;
	}
	/* The first has waited longest. */
	status = lane->lanes->ops->publish(
		lane->connection, items, count, time_left(jobs[0]), &err);
	/* An unclear outcome is not tried again: it may have been stored. */
	if (status == STATUS_OK || count == 1 || status == STATUS_UNAVAILABLE ||
		status == STATUS_TIMEOUT) {
		for (size_t i = 0; i < count; i++)
			receipts_written(receipts, jobs[i], status, &err);
	} else {
		for (size_t i = 0; i < count; i++)
			write_one(lane, jobs[i]);
	}
	free(items);
}

static bool sweep_writes(struct lane *lane)
{
	return receipts_sweep(lane->lanes->receipts, clock_ms());
}

static void run_reads(struct lane *lane, void **jobs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct read_job *job = jobs[i];
		struct err err = {""};

		job->status = lane->lanes->ops->read(lane->connection, span_of(job->journal),
			job->after, job->key, job->max, &job->batch, &err);
		if (job->status == STATUS_OK || job->status == STATUS_GONE)
			note_worked(lane);
		else if (job->status != STATUS_STOPPED)
			note_failed(lane, &err);
		job->done(job);
	}
}

static void refuse_read(void *opaque)
{
	struct read_job *job = opaque;

	job->status = STATUS_UNAVAILABLE;
	job->done(job);
}

static void run_history(struct lane *lane, void **jobs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct history_job *job = jobs[i];

		if (job->deadline && clock_ms() >= job->deadline)
			job->status = err_set(&job->err, STATUS_TIMEOUT, "a question waited too long");
		else
			history_run(lane->lanes->ops, lane->connection, job);
		if (job->status == STATUS_UNAVAILABLE || job->status == STATUS_TIMEOUT)
			note_failed(lane, &job->err);
		else if (job->status != STATUS_STOPPED)
			note_worked(lane);
		if (job->status == STATUS_STOPPED)
			job->status = STATUS_UNAVAILABLE; /* to whoever asks */
		job->done(job);
	}
}

static void refuse_history(void *opaque)
{
	struct history_job *job = opaque;

	job->status = STATUS_UNAVAILABLE;
	job->done(job);
}

static void run_consumers(struct lane *lane, void **jobs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct consumer_job *job = jobs[i];

		consumer_run(lane->lanes->consumers, lane->lanes->ops, lane->connection, job);
		if (job->status == STATUS_UNAVAILABLE || job->status == STATUS_TIMEOUT || job->status == STATUS_FAILED ||
			job->status == STATUS_DENIED)
			note_failed(lane, &job->err);
		else if (job->status != STATUS_STOPPED)
			note_worked(lane);
		job->done(job);
	}
}

static void refuse_consumer(void *opaque)
{
	struct consumer_job *job = opaque;

	job->status = STATUS_UNAVAILABLE;
	job->done(job);
}

/* -- the threads
 * ------------------------------------------------------------------------------------------------------------
 */

static void wait_filled(struct lane *lane)
{
	struct timespec until;

	if (!lane->sweeps) {
		pthread_cond_wait(&lane->filled, &lane->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += SWEEP_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_cond_timedwait(&lane->filled, &lane->lock, &until);
}

static size_t take_jobs(struct lane *lane, void **jobs)
{
	size_t n = lane->count < lane->group ? lane->count : lane->group;

	for (size_t i = 0; i < n; i++)
		jobs[i] = lane->ring[(lane->first + i) % lane->room];
	lane->first = (lane->first + n) % lane->room;
	lane->count -= n;
	return n;
}

static void *run_lane(void *opaque)
{
	struct lane *lane = opaque;
	void **jobs = mem_zero(lane->group, sizeof(*jobs));

	pthread_mutex_lock(&lane->lock);
	while (!lane->stop) {
		size_t n = take_jobs(lane, jobs);
		bool sweeps;

		if (n == 0 && !lane->sweeps) {
			wait_filled(lane);
			continue;
		}
		pthread_mutex_unlock(&lane->lock);
		if (n)
			lane->run(lane, jobs, n);
		sweeps = lane->sweep(lane);
		pthread_mutex_lock(&lane->lock);
		lane->sweeps = sweeps;
		if (lane->count == 0 && !lane->stop && sweeps)
			wait_filled(lane);
	}
	pthread_mutex_unlock(&lane->lock);
	free(jobs);
	return NULL;
}

static void lane_init(
	struct lane *lane, struct lanes *lanes, const char *name, size_t room, size_t group)
{
	pthread_condattr_t monotonic;

	lane->lanes = lanes;
	lane->name = name;
	lane->room = room ? room : 1;
	lane->group = group ? group : 1;
	lane->ring = mem_zero(lane->room, sizeof(*lane->ring));
	lane->sweep = sweep_failures;
	failures_init(&lane->failures);
	pthread_mutex_init(&lane->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&lane->filled, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static void lane_stop(struct lane *lane)
{
	void *job;

	pthread_mutex_lock(&lane->lock);
	lane->stop = true;
	pthread_cond_signal(&lane->filled);
	pthread_mutex_unlock(&lane->lock);
	if (lane->running)
		pthread_join(lane->thread, NULL);
	lane->running = false;
	while (lane->count) {
		job = lane->ring[lane->first];
		lane->first = (lane->first + 1) % lane->room;
		lane->count--;
		lane->refuse(job);
	}
}

static bool lane_put(struct lane *lane, void *job)
{
	bool taken = false;

	pthread_mutex_lock(&lane->lock);
	if (lane->count < lane->room && !lane->stop) {
		lane->ring[(lane->first + lane->count++) % lane->room] = job;
		taken = true;
		pthread_cond_signal(&lane->filled);
	}
	pthread_mutex_unlock(&lane->lock);
	return taken;
}

/* -- all of them
 * ---------------------------------------------------------------------------------------------------------
 */

struct lanes *lanes_create(
	const struct source_ops *ops, void *source, const struct lanes_config *config)
{
	struct lanes *lanes = mem_zero(1, sizeof(*lanes));

	lanes->ops = ops;
	lanes->config = *config;
	lanes->receipts = receipts_create(config->hub_count);
	lanes->consumers = consumer_memory_create();
	lanes->probe_ms = PROBE_MIN_MS;
	lane_init(&lanes->lanes[LOOKUPS], lanes, "look-up", config->max_lookups, 1);
	lane_init(&lanes->lanes[WRITES], lanes, "write", config->max_writes, config->max_group);
	lane_init(&lanes->lanes[READS], lanes, "read", config->max_reads, 1);
	lane_init(&lanes->lanes[HISTORY], lanes, "history", config->max_reads, 1);
	lane_init(&lanes->lanes[CONSUMERS], lanes, "consumer", config->max_reads, 1);
	lanes->lanes[LOOKUPS].fails = "token look-up";
	lanes->lanes[LOOKUPS].works = "token look-ups work";
	lanes->lanes[LOOKUPS].run = run_lookups;
	lanes->lanes[LOOKUPS].refuse = refuse_lookup;
	lanes->lanes[LOOKUPS].sweep = sweep_lookups;
	lanes->lanes[WRITES].run = run_writes;
	lanes->lanes[WRITES].refuse = refuse_write;
	lanes->lanes[WRITES].sweep = sweep_writes;
	lanes->lanes[READS].fails = "journal read";
	lanes->lanes[READS].works = "journal reads work";
	lanes->lanes[READS].run = run_reads;
	lanes->lanes[READS].refuse = refuse_read;
	lanes->lanes[HISTORY].fails = "history";
	lanes->lanes[HISTORY].works = "history works";
	lanes->lanes[HISTORY].run = run_history;
	lanes->lanes[HISTORY].refuse = refuse_history;
	lanes->lanes[CONSUMERS].fails = "consumers";
	lanes->lanes[CONSUMERS].works = "consumers are served";
	lanes->lanes[CONSUMERS].run = run_consumers;
	lanes->lanes[CONSUMERS].refuse = refuse_consumer;
	for (int i = 0; i < LANE_COUNT; i++)
		lanes->lanes[i].connection = ops->lane_create(source);
	return lanes;
}

void lanes_start(struct lanes *lanes)
{
	for (int i = 0; i < LANE_COUNT; i++) {
		struct lane *lane = &lanes->lanes[i];

		lane->running = pthread_create(&lane->thread, NULL, run_lane, lane) == 0;
		if (!lane->running)
			log_error("source", "no thread for the %s lane", lane->name);
	}
}

void lanes_stop(struct lanes *lanes)
{
	if (!lanes)
		return;
	for (int i = 0; i < LANE_COUNT; i++)
		lane_stop(&lanes->lanes[i]);
	receipts_sweep(lanes->receipts, INT64_MAX);
}

void lanes_destroy(struct lanes *lanes)
{
	if (!lanes)
		return;
	lanes_stop(lanes);
	for (int i = 0; i < LANE_COUNT; i++) {
		struct lane *lane = &lanes->lanes[i];

		lanes->ops->lane_destroy(lane->connection);
		failures_finish(&lane->failures);
		pthread_mutex_destroy(&lane->lock);
		pthread_cond_destroy(&lane->filled);
		free(lane->ring);
	}
	receipts_destroy(lanes->receipts);
	consumer_memory_destroy(lanes->consumers);
	free(lanes);
}

bool lanes_lookup(void *lanes, struct lookup_job *job)
{
	return lane_put(&((struct lanes *)lanes)->lanes[LOOKUPS], job);
}

bool lanes_publish(void *opaque, struct publish_job *job)
{
	struct lanes *lanes = opaque;

	job->deadline = clock_ms() + lanes->config.confirm_ms;
	return lane_put(&lanes->lanes[WRITES], job);
}

bool lanes_read(void *lanes, struct read_job *job)
{
	return lane_put(&((struct lanes *)lanes)->lanes[READS], job);
}

bool lanes_history(void *lanes, struct history_job *job)
{
	return lane_put(&((struct lanes *)lanes)->lanes[HISTORY], job);
}

bool lanes_consume(void *lanes, struct consumer_job *job)
{
	return lane_put(&((struct lanes *)lanes)->lanes[CONSUMERS], job);
}

void lanes_complaint(void *opaque, struct err *complaint)
{
	struct lanes *lanes = opaque;
	struct err why = {""};

	complaint->text[0] = 0;
	if (lanes->config.table_only)
		failures_complaint(&lanes->lanes[LOOKUPS].failures, clock_ms(), &why);
	if (!strncmp(why.text, "AUTH_TABLE", 10)) /* says by itself what it is about */
		*complaint = why;
	else if (why.text[0])
		err_set(complaint, STATUS_UNAVAILABLE, "%s: %.480s", lanes->lanes[LOOKUPS].fails, why.text);
}

void lanes_shown(void *lanes, const struct event *event, char *const *session_ids, size_t count)
{
	receipts_shown(((struct lanes *)lanes)->receipts, event, session_ids, count);
}
