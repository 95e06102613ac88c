/* What consumers are, in terms of what a driver keeps of them (struct source_ops) and of reading the journal; straight-line, on
 * a lane of their own. Any relay of a database answers for any consumer, so nothing that counts is kept here.
 *
 * At least once: a cursor moves only over what was acknowledged, what was marked and what is not wanted, and the move is in the
 * database before the answer is given. A poll changes nothing but that, so two pollers see the same events, and whoever was
 * killed before it acknowledged sees them again. Since ids are given after commit a cursor is all that is needed: what commits
 * late has a higher id.
 *
 * A poll writes when it acknowledges something, when it has come far over events that nobody wants (else a consumer of a rare
 * topic would hold the journal back, and read the same again), and now and then to say that it is there. An idle poll is two
 * small reads.
 *
 * A position that the journal does not reach, because it was discarded or because the journal is another one, is told as such
 * (STATUS_GONE) and never replaced by another one silently: events may be missing, and the service has to know. Registering
 * anew is what says that it does.
 *
 * Between the look at a consumer and the write others may delete it and register it anew, or a restored database may begin a
 * journal anew. So what writes names the registration and the journal that it read, and is asked why when it finds them gone. A
 * position that the asker gives may say whose it is; one of another journal settles nothing here.
 */
#include "source/consumer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "rules/wants.h"
#include "source/consumer_memory.h"
#include "source/consumer_scan.h"

#define TOUCH_MS 5000
#define SCAN_US 30000
#define LIST_US 100000      /* for all of a list together */
#define SKIP_MAX 1000       /* unwanted events that a cursor may lag behind between two notes */
#define MARKS_MAX 10000     /* of one event */
#define FIND_AGAIN 2

/* A job under way: the consumer as it was read, and where the journal stands. */
struct task_context {
	const struct source_ops *ops;
	void *lane;
	struct consumer_memory *memory;
	struct consumer_job *job;
	struct consumer_list rows;
	struct source_range range;
};

/* -- what most jobs begin with -- */

static enum status no_consumer(struct err *err)
{
	return err_set(err, STATUS_NOT_FOUND, "No consumer of this name is registered: PUT /consumers/NAME registers it.");
}

static enum status find_range(struct task_context *task)
{
	return task->ops->range(task->lane, INT64_MIN, &task->range, &task->job->err);
}

static enum status find_once(struct task_context *task)
{
	enum status status = find_range(task);

	consumer_list_finish(&task->rows);
	if (status == STATUS_OK)
		status = task->ops->consumers(task->lane, task->job->name, &task->rows, &task->job->err);
	if (status == STATUS_NOT_FOUND || (status == STATUS_OK && !task->rows.count))
		return no_consumer(&task->job->err);
	return status;
}

/* The range first, beyond which nothing is read: so no event that came after the patterns were replaced, by way of another
 * relay, is passed over by the old ones. The cursor may have been moved beyond it meanwhile; then once more. */
static enum status find(struct task_context *task)
{
	enum status status = find_once(task);

	for (int i = 0; i < FIND_AGAIN && status == STATUS_OK && task->rows.items->cursor > task->range.head; i++)
		status = find_once(task);
	return status;
}

static enum status lost(const struct task_context *task, const struct consumer *row, struct err *err)
{
	if (row->dropped)
		return err_set(err, STATUS_GONE,
			"The consumer was silent for longer than CONSUMER_MAX_SILENCE and was dropped; register it anew.");
	if (row->cursor > task->range.head)
		return err_set(err, STATUS_GONE, "The journal is another one than the consumer's; register it anew.");
	if (row->cursor < task->range.floor)
		return err_set(err, STATUS_GONE,
			"The journal no longer reaches back to the consumer's cursor, %" PRIu64 "; register it anew.", row->cursor);
	return STATUS_OK;
}

static enum status find_good(struct task_context *task, struct consumer **row)
{
	enum status status = find(task);

	if (status != STATUS_OK)
		return status;
	*row = task->rows.items;
	return lost(task, *row, &task->job->err);
}

static struct consumer_scan scan_of(
	const struct task_context *task, const struct consumer *row, struct wants *wants, uint64_t at, int64_t microseconds)
{
	return (struct consumer_scan){.ops = task->ops, .lane = task->lane, .name = row->name, .wants = wants,
		.journal = span_of(task->range.journal), .head = task->range.head, .at = at, .limit = SIZE_MAX,
		.until = clock_us() + microseconds};
}

/* The journal went on while it was read. */
static enum status scan_failure(enum status status, struct err *err)
{
	return status == STATUS_GONE ? err_set(err, STATUS_GONE,
		"The journal no longer reaches back to the consumer's cursor; register it anew.") : status;
}

/* Of the position that came with the question. */
static enum status check_journal(const struct task_context *task)
{
	const char *of = task->job->of_journal, *is = task->range.journal;

	return !of[0] || strcmp(of, is) == 0 ? STATUS_OK : err_set(&task->job->err, STATUS_CONFLICT,
		"This is a position in another journal, %s, than the one that there is, %s: %s.", of, is, task->job->verb == CONSUMER_PUT ?
		"give \"now\", \"start\" or a position in that" : "nothing was settled; poll without ack, or say ready, to go on in that");
}

static enum status registered_anew(struct err *err)
{
	return err_set(err, STATUS_NOT_FOUND, "The consumer was deleted meanwhile, and another one is registered under its name.");
}

/* What was read is not there any more. */
static enum status explain(struct task_context *task, const struct consumer *row)
{
	uint64_t generation = row->generation;
	enum status status = find_once(task); /* row is gone */

	if (status == STATUS_OK && task->rows.items->generation != generation)
		status = registered_anew(&task->job->err);
	if (status == STATUS_OK)
		status = lost(task, task->rows.items, &task->job->err);
	if (status == STATUS_OK)
		status = check_journal(task);
	return status == STATUS_OK ? err_set(&task->job->err, STATUS_UNAVAILABLE, "another journal has begun") : status;
}

/* Where it cannot be done the row is gone. */
static enum status advance(struct task_context *task, struct remembered *slot, const struct consumer *row, uint64_t cursor)
{
	enum status status = task->ops->consumer_advance(
		task->lane, row, span_of(task->range.journal), cursor, &task->job->err);

	if (status == STATUS_OK)
		slot->touched = clock_ms();
	return status == STATUS_NOT_FOUND ? explain(task, row) : status;
}

static bool touch_is_due(const struct remembered *slot)
{
	return !slot->touched || clock_ms() - slot->touched >= TOUCH_MS;
}

/* -- answers -- */

static void add_state(struct consumer_job *job, const struct consumer_state *state)
{
	struct consumer_state *copy = &job->states[job->state_count++];

	*copy = *state;
	copy->consumer.name = mem_text(state->consumer.name);
	copy->consumer.topics = mem_text(state->consumer.topics);
	copy->consumer.types = mem_text(state->consumer.types);
}

/* Where no time is left nothing is counted. */
static enum status tell(struct task_context *task, const struct consumer *row, int64_t microseconds)
{
	struct consumer_state state = {.consumer = *row};
	struct remembered *slot;
	enum status status = STATUS_OK;

	if (lost(task, row, NULL) == STATUS_OK) {
		state.lag = task->range.head - row->cursor;
		state.pending_more = state.lag > 0;
	}
	if (microseconds > 0)
		status = consumer_memory_recall(task->memory, row, &slot, &task->job->err);
	if (microseconds > 0 && status == STATUS_OK && lost(task, row, NULL) == STATUS_OK) {
		struct consumer_scan scan = scan_of(task, row, slot->wants, row->cursor, microseconds);

		status = consumer_scan_run(&scan, &task->job->err);
		state.consumer.cursor = scan.settled;
		state.pending = scan.pending;
		state.pending_more = !scan.ended;
		consumer_scan_finish(&scan);
		state.lag = task->range.head - state.consumer.cursor;
	}
	if (status == STATUS_OK)
		add_state(task->job, &state);
	return scan_failure(status, &task->job->err);
}

/* -- the verbs -- */

/* Where one that is not there yet begins. */
static enum status starting_point(const struct task_context *task, uint64_t *cursor)
{
	const struct consumer_job *job = task->job;
	const struct source_range *range = &task->range;

	*cursor = job->from == FROM_START ? range->floor : job->from == FROM_NOW ? range->head : job->id;
	if (check_journal(task) != STATUS_OK)
		return STATUS_CONFLICT;
	if (*cursor > range->head)
		return err_set(&task->job->err, STATUS_INVALID, "from lies beyond the newest event, %" PRIu64 ".", range->head);
	if (*cursor < range->floor)
		return err_set(&task->job->err, STATUS_INVALID,
			"from is no longer in the journal, which goes back to event %" PRIu64 ".", range->floor + 1);
	return STATUS_OK;
}

static uint64_t some_generation(void)
{
	uint64_t generation;

	random_bytes(&generation, sizeof(generation));
	return generation >> 1 | 1; /* 0 is that of a row which was made by hand */
}

/* A position that is lost is given up: to register anew is to say that one knows. */
static enum status put(struct task_context *task)
{
	struct consumer_job *job = task->job;
	struct consumer row = {.name = job->name, .topics = job->topics, .types = job->types, .generation = some_generation()};
	enum status status = find(task);
	bool there = status == STATUS_OK && lost(task, task->rows.items, NULL) == STATUS_OK;

	if (status != STATUS_OK && status != STATUS_NOT_FOUND)
		return status;
	status = STATUS_OK;
	if (there)
		row.cursor = task->rows.items->cursor;
	else
		status = starting_point(task, &row.cursor);
	if (status == STATUS_OK)
		status = task->ops->consumer_put(
			task->lane, &row, there || !task->rows.count ? NULL : task->rows.items, &job->created, &job->err);
	if (status != STATUS_OK)
		return status;
	status = find(task);
	job->states = mem_zero(1, sizeof(*job->states));
	return status == STATUS_OK ? tell(task, task->rows.items, SCAN_US) : status;
}

static enum status get(struct task_context *task)
{
	struct consumer *row;
	enum status status = find_good(task, &row);

	task->job->states = mem_zero(1, sizeof(*task->job->states));
	return status == STATUS_OK ? tell(task, row, SCAN_US) : status;
}

static enum status list(struct task_context *task)
{
	struct consumer_job *job = task->job;
	int64_t until = clock_us() + LIST_US;
	enum status status = task->ops->consumers(task->lane, NULL, &task->rows, &job->err);

	if (status == STATUS_OK)
		status = find_range(task); /* behind them: nothing is moved here, and no cursor lies beyond it */
	if (status != STATUS_OK)
		return status;
	job->states = mem_zero(task->rows.count + 1, sizeof(*job->states));
	for (size_t i = 0; status == STATUS_OK && i < task->rows.count; i++)
		status = tell(task, &task->rows.items[i], (until - clock_us()) / (int64_t)(task->rows.count - i));
	return status;
}

static enum status delete(struct task_context *task)
{
	enum status status = task->ops->consumer_delete(task->lane, task->job->name, &task->job->err);

	return status == STATUS_NOT_FOUND ? no_consumer(&task->job->err) : status;
}

static bool is_worth_a_note(const struct consumer_scan *scan, const struct consumer *row, const struct remembered *slot)
{
	uint64_t over = scan->settled - row->cursor;

	return touch_is_due(slot) || over >= SKIP_MAX || (over && !scan->ended && !scan->pending);
}

static void hand_over(struct consumer_job *job, struct consumer_scan *scan, const struct consumer *row)
{
	job->events = scan->events.events;
	job->event_count = scan->events.count;
	scan->events = (struct event_batch){0};
	job->cursor = scan->settled;
	job->seen = scan->at;
	snprintf(job->journal, sizeof(job->journal), "%.*s", (int)scan->journal.len, scan->journal.p);
	job->states = mem_zero(1, sizeof(*job->states));
	add_state(job, &(struct consumer_state){.consumer = *row});
}

static enum status poll(struct task_context *task)
{
	struct consumer_job *job = task->job;
	struct remembered *slot;
	struct consumer *row;
	enum status status = find_good(task, &row);
	bool moves = status == STATUS_OK && job->has_ack && job->ack > row->cursor;
	struct consumer_scan scan;

	if (status == STATUS_OK && job->generation && job->generation != row->generation)
		return registered_anew(&job->err);
	if (status == STATUS_OK)
		status = check_journal(task);
	if (status == STATUS_OK && moves && job->ack > task->range.head)
		return err_set(&job->err, STATUS_INVALID, "ack lies beyond the newest event, %" PRIu64 ".", task->range.head);
	if (status == STATUS_OK)
		status = consumer_memory_recall(task->memory, row, &slot, &job->err);
	if (status != STATUS_OK)
		return status;
	scan = scan_of(task, row, slot->wants, moves ? job->ack : row->cursor, SCAN_US);
	scan.limit = job->limit;
	scan.keeps = true;
	status = consumer_scan_run(&scan, &job->err);
	if (status == STATUS_OK && (moves || is_worth_a_note(&scan, row, slot)))
		status = advance(task, slot, row, scan.settled);
	if (status == STATUS_OK)
		hand_over(job, &scan, row);
	consumer_scan_finish(&scan);
	return scan_failure(status, &job->err);
}

static enum status find_event(struct task_context *task)
{
	const struct source_range *range = &task->range;

	if (task->job->id > range->floor && task->job->id <= range->head)
		return STATUS_OK;
	task->job->no_event = true;
	return err_set(&task->job->err, STATUS_NOT_FOUND, "There is no event of this id in the journal.");
}

/* How far the cursor comes now: mostly nowhere, for the next event is still pending. */
static enum status settle(struct task_context *task, const struct consumer *row, struct remembered *slot)
{
	struct consumer_job *job = task->job;
	struct consumer_scan scan = scan_of(task, row, slot->wants, row->cursor, SCAN_US);
	enum status status;

	scan.limit = 1;
	status = consumer_scan_run(&scan, &job->err);
	job->cursor = scan.settled;
	/* What is settled below the cursor leaves its mark only until the next advance. */
	if (status == STATUS_OK && (scan.settled > row->cursor || job->id <= row->cursor || touch_is_due(slot)))
		status = advance(task, slot, row, scan.settled);
	consumer_scan_finish(&scan);
	return scan_failure(status, &job->err);
}

static enum status mark(struct task_context *task)
{
	struct consumer_job *job = task->job;
	struct remembered *slot;
	struct consumer *row;
	enum status status = find_good(task, &row);

	if (status == STATUS_OK)
		status = check_journal(task);
	if (status == STATUS_OK)
		status = find_event(task);
	if (status == STATUS_OK)
		status = consumer_memory_recall(task->memory, row, &slot, &job->err);
	if (status != STATUS_OK)
		return status;
	status = task->ops->consumer_mark(
		task->lane, row, span_of(task->range.journal), job->id, job->outcome, &job->err);
	if (status == STATUS_NOT_FOUND)
		return explain(task, row);
	return status == STATUS_OK ? settle(task, row, slot) : status;
}

/* -- who has seen an event -- */

static const struct consumer_mark *mark_of(const struct consumer_mark_list *marks, const char *name)
{
	for (size_t i = 0; i < marks->count; i++)
		if (strcmp(marks->items[i].consumer, name) == 0)
			return &marks->items[i];
	return NULL;
}

static void add_name(char **names, const char *name)
{
	while (*names)
		names++;
	*names = mem_text(name);
}

/* What lies at or below a cursor is settled: acknowledged, unless it was skipped. */
static enum status sort(struct task_context *task, const struct event *event, const struct consumer_mark_list *marks)
{
	struct consumer_job *job = task->job;

	for (size_t i = 0; i < task->rows.count; i++) {
		const struct consumer *row = &task->rows.items[i];
		const struct consumer_mark *found = mark_of(marks, row->name);
		struct remembered *slot;
		enum status status = consumer_memory_recall(task->memory, row, &slot, &job->err);

		if (status != STATUS_OK)
			return status;
		if (row->dropped || !(found || wants_event(slot->wants, event)))
			continue;
		add_name(job->subscribers, row->name);
		if (found && found->outcome == OUTCOME_SKIPPED)
			add_name(job->skippers, row->name);
		else if (found || event->id <= row->cursor)
			add_name(job->completers, row->name);
	}
	return STATUS_OK;
}

static enum status read_one(struct task_context *task, struct event_batch *batch)
{
	struct consumer_job *job = task->job;
	enum status status = find_range(task);

	if (status == STATUS_OK)
		status = find_event(task);
	if (status == STATUS_OK)
		status = task->ops->read(
			task->lane, span_of(task->range.journal), job->id - 1, 0, 1, batch, &job->err);
	if (status != STATUS_GONE && (status != STATUS_OK || batch->count))
		return status;
	job->no_event = true; /* discarded meanwhile */
	return err_set(&job->err, STATUS_NOT_FOUND, "There is no event of this id in the journal.");
}

static enum status watch(struct task_context *task)
{
	struct consumer_job *job = task->job;
	struct consumer_mark_list marks = {0};
	struct event_batch batch = {0};
	enum status status = read_one(task, &batch);

	if (status == STATUS_OK)
		status = task->ops->consumers(task->lane, NULL, &task->rows, &job->err);
	if (status == STATUS_OK)
		status = task->ops->consumer_marks(task->lane, NULL, job->id, job->id, MARKS_MAX, &marks, &job->err);
	job->subscribers = mem_zero(task->rows.count + 1, sizeof(char *));
	job->completers = mem_zero(task->rows.count + 1, sizeof(char *));
	job->skippers = mem_zero(task->rows.count + 1, sizeof(char *));
	if (status == STATUS_OK)
		status = sort(task, batch.events[0], &marks);
	event_batch_finish(&batch);
	consumer_mark_list_finish(&marks);
	return status;
}

void consumer_run(struct consumer_memory *memory, const struct source_ops *ops, void *lane, struct consumer_job *job)
{
	static enum status (*const verbs[])(struct task_context *) = {
		[CONSUMER_PUT] = put,
		[CONSUMER_GET] = get,
		[CONSUMER_LIST] = list,
		[CONSUMER_DELETE] = delete,
		[CONSUMER_POLL] = poll,
		[CONSUMER_MARK] = mark,
		[CONSUMER_WATCH] = watch,
	};
	struct task_context task = {.ops = ops, .lane = lane, .memory = memory, .job = job};

	job->status = verbs[job->verb](&task);
	consumer_list_finish(&task.rows);
}
