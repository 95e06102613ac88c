/* Prevents: a cursor that moves over an event that a consumer wants and has not settled, or not over what is settled; marks
 * that only work in order; an acknowledgement that comes late and takes the cursor back, or runs ahead of the journal; a scan
 * that never ends, or reads the same for ever; a write for every poll of an idle consumer; a position that the journal does not
 * reach, taken as if nothing were missing; one that was acknowledged to a consumer which was deleted since, or in a journal that
 * there is no more, and settles what whoever has the name now was never told.
 *
 * On a journal and a table of consumers in memory, behind the real seam, and on a clock that stands still but for what is read:
 * how far a scan gets is then the same on a busy machine. Event i is of topic `even` or `odd`; every hundredth is of topic
 * `rare`, every 97th came from a client.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "base/mem.h"
#include "source/consumer.h"
#include "source/consumer_memory.h"

#define JOURNAL "0123456789abcdef"
#define ANOTHER "fedcba9876543210"
#define ROWS 1001
#define MARKS 4096

struct row {
	char name[65], topics[256], types[256];
	uint64_t cursor, generation;
	bool used, dropped;
};

struct memory {
	uint64_t floor, head;
	struct row rows[ROWS];
	struct consumer_mark marks[MARKS];
	size_t mark_count, reads, advances, event_bytes;
	int slow_ms; /* a page; no other time passes */
	enum status fails; /* of what writes */
	const char *journal;
	void (*before_writing)(void); /* what others do between the look at the consumer and the write */
	void (*meanwhile)(void); /* what others do between the look at the journal and that at the consumer */
};

static struct memory db;
static struct consumer_memory *remembered;

static struct row *row_of(const char *name)
{
	for (size_t i = 0; i < ROWS; i++)
		if (db.rows[i].used && strcmp(db.rows[i].name, name) == 0)
			return &db.rows[i];
	return NULL;
}

static enum status fake_range(void *lane, int64_t since, struct source_range *range, struct err *err)
{
	(void)lane;
	(void)since;
	(void)err;
	*range = (struct source_range){.floor = db.floor, .head = db.head, .start = db.floor};
	snprintf(range->journal, sizeof(range->journal), "%s", db.journal);
	return STATUS_OK;
}

static struct event *event_of(uint64_t id)
{
	char *data = mem_zero(db.event_bytes + 3, 1);
	struct event_parts parts = {.id = id, .key = id, .journal = span_of(JOURNAL), .data = {data, db.event_bytes + 2},
		.topic = span_of(id % 100 == 0 ? "rare" : id % 2 ? "odd" : "even"), .type = span_of("insert"),
		.source = span_of("test"), .source_type = span_of(id % 97 == 0 ? "websocket" : "database")};
	struct event *event;

	memset(data, ' ', db.event_bytes + 2);
	data[0] = '{';
	data[db.event_bytes + 1] = '}';
	event = event_create(&parts);
	free(data);
	return event;
}

static enum status fake_read(void *lane, struct span journal, uint64_t after, uint64_t key, size_t max, struct event_batch *batch,
	struct err *err)
{
	(void)lane;
	assert_true(span_is(journal, db.journal));
	assert_true(key == 0 || key >= after);
	db.reads++;
	if (after < db.floor)
		return err_set(err, STATUS_GONE, "gone");
	pause_ms(db.slow_ms);
	for (size_t i = 0; i < max && after + 1 + i <= db.head; i++)
		event_batch_add(batch, event_of(after + 1 + i));
	return STATUS_OK;
}

static enum status fake_consumers(void *lane, const char *name, struct consumer_list *list, struct err *err)
{
	(void)lane;
	if (db.meanwhile)
		db.meanwhile();
	for (size_t i = 0; i < ROWS; i++) {
		struct row *row = &db.rows[i];

		if (row->used && (!name || strcmp(row->name, name) == 0))
			consumer_list_add(list, &(struct consumer){.name = mem_text(row->name), .topics = mem_text(row->topics),
				.types = mem_text(row->types), .cursor = row->cursor, .dropped = row->dropped,
				.generation = row->generation});
	}
	return name && !list->count ? err_set(err, STATUS_NOT_FOUND, "no") : STATUS_OK;
}

static enum status fake_put(
	void *lane, const struct consumer *consumer, const struct consumer *lost, bool *created, struct err *err)
{
	struct row *row;

	(void)lane;
	(void)err;
	if (db.before_writing)
		db.before_writing();
	row = row_of(consumer->name);
	*created = !row || row->dropped || (lost && lost->generation == row->generation);
	for (size_t i = 0; !row && i < ROWS; i++)
		row = db.rows[i].used ? NULL : &db.rows[i];
	if (*created)
		*row = (struct row){.used = true, .cursor = consumer->cursor, .generation = consumer->generation};
	snprintf(row->name, sizeof(row->name), "%s", consumer->name);
	snprintf(row->topics, sizeof(row->topics), "%s", consumer->topics);
	snprintf(row->types, sizeof(row->types), "%s", consumer->types);
	return STATUS_OK;
}

static enum status fake_delete(void *lane, const char *name, struct err *err)
{
	struct row *row = row_of(name);

	(void)lane;
	if (!row)
		return err_set(err, STATUS_NOT_FOUND, "no");
	*row = (struct row){.used = false};
	return STATUS_OK;
}

/* As it was read, and in the same journal? */
static struct row *row_as(const struct consumer *consumer, struct span journal)
{
	struct row *row;

	if (db.before_writing)
		db.before_writing();
	row = row_of(consumer->name);
	return row && !row->dropped && row->generation == consumer->generation && span_is(journal, db.journal) ? row : NULL;
}

static enum status fake_advance(
	void *lane, const struct consumer *consumer, struct span journal, uint64_t cursor, struct err *err)
{
	struct row *row = row_as(consumer, journal);
	size_t kept = 0;

	(void)lane;
	db.advances++;
	if (db.fails)
		return db.fails;
	if (!row)
		return err_set(err, STATUS_NOT_FOUND, "no");
	if (cursor > row->cursor)
		row->cursor = cursor;
	for (size_t i = 0; i < db.mark_count; i++)
		if (strcmp(db.marks[i].consumer, row->name) != 0 || db.marks[i].id > row->cursor || db.marks[i].outcome == OUTCOME_SKIPPED)
			db.marks[kept++] = db.marks[i];
	db.mark_count = kept;
	return STATUS_OK;
}

static int by_id(const void *a, const void *b)
{
	const struct consumer_mark *one = a, *two = b;

	return one->id < two->id ? -1 : one->id > two->id;
}

static void add_mark(const char *name, uint64_t id, enum consumer_outcome outcome)
{
	for (size_t i = 0; i < db.mark_count; i++)
		if (strcmp(db.marks[i].consumer, name) == 0 && db.marks[i].id == id) {
			db.marks[i].outcome = outcome;
			return;
		}
	assert_true(db.mark_count < MARKS);
	db.marks[db.mark_count] = (struct consumer_mark){.id = id, .outcome = outcome};
	snprintf(db.marks[db.mark_count++].consumer, CONSUMER_NAME_MAX + 1, "%s", name);
	qsort(db.marks, db.mark_count, sizeof(*db.marks), by_id);
}

static enum status fake_mark(void *lane, const struct consumer *consumer, struct span journal, uint64_t id,
	enum consumer_outcome outcome, struct err *err)
{
	(void)lane;
	if (!row_as(consumer, journal))
		return err_set(err, STATUS_NOT_FOUND, "no");
	add_mark(consumer->name, id, outcome);
	return STATUS_OK;
}

static enum status fake_marks(void *lane, const char *name, uint64_t first, uint64_t last, size_t max,
	struct consumer_mark_list *list, struct err *err)
{
	(void)lane;
	(void)err;
	for (size_t i = 0; i < db.mark_count && list->count < max; i++)
		if (db.marks[i].id >= first && db.marks[i].id <= last && (!name || strcmp(name, db.marks[i].consumer) == 0))
			consumer_mark_list_add(list, &db.marks[i]);
	return STATUS_OK;
}

static const struct source_ops ops = {.range = fake_range, .read = fake_read, .consumers = fake_consumers, .consumer_put = fake_put,
	.consumer_delete = fake_delete, .consumer_advance = fake_advance, .consumer_mark = fake_mark, .consumer_marks = fake_marks};

static int begin(void **state)
{
	(void)state;
	db = (struct memory){.floor = 0, .head = 1000, .journal = JOURNAL};
	remembered = consumer_memory_create();
	return 0;
}

static int end(void **state)
{
	(void)state;
	consumer_memory_destroy(remembered);
	return 0;
}

/* -- asking -- */

static struct consumer_job *ask(enum consumer_verb verb, const char *name, struct consumer_job question)
{
	struct consumer_job *job = mem_zero(1, sizeof(*job));

	*job = question;
	job->verb = verb;
	job->name = mem_text(name);
	consumer_run(remembered, &ops, NULL, job);
	return job;
}

static void put(const char *name, const char *topics, const char *types, uint64_t from)
{
	struct consumer_job *job = ask(CONSUMER_PUT, name,
		(struct consumer_job){.topics = mem_text(topics), .types = mem_text(types), .from = FROM_ID, .id = from});

	assert_int_equal(job->status, STATUS_OK);
	consumer_job_free(job);
}

/* What a poll answers, as text: `status: ids, cursor`; long runs as first-last. */
static char *poll_text(const char *name, int64_t ack, size_t limit)
{
	struct consumer_job *job = ask(CONSUMER_POLL, name,
		(struct consumer_job){.has_ack = ack >= 0, .ack = ack < 0 ? 0 : (uint64_t)ack, .limit = limit});
	char *text = job->status == STATUS_OK ? mem_text("") : mem_text(status_text(job->status));

	for (size_t i = 0; i < job->event_count; i++) {
		size_t last = i;
		char *more;

		while (last + 1 < job->event_count && job->events[last + 1]->id == job->events[last]->id + 1)
			last++;
		more = last > i ? mem_format("%s%llu-%llu ", text, (unsigned long long)job->events[i]->id,
				 (unsigned long long)job->events[last]->id) :
				  mem_format("%s%llu ", text, (unsigned long long)job->events[i]->id);
		free(text);
		text = more;
		i = last;
	}
	if (job->status == STATUS_OK) {
		char *more = mem_format("%s@%llu", text, (unsigned long long)job->cursor);

		free(text);
		text = more;
		assert_true(job->seen >= job->cursor);
	}
	consumer_job_free(job);
	return text;
}

static void assert_poll(const char *name, int64_t ack, size_t limit, const char *wanted)
{
	char *text = poll_text(name, ack, limit);

	assert_string_equal(text, wanted);
	free(text);
}

static uint64_t mark(const char *name, uint64_t id, enum consumer_outcome outcome, enum status wanted)
{
	struct consumer_job *job = ask(CONSUMER_MARK, name, (struct consumer_job){.id = id, .outcome = outcome});
	uint64_t cursor = job->cursor;

	assert_int_equal(job->status, wanted);
	consumer_job_free(job);
	return cursor;
}

/* -- stories -- */

static void acknowledged_or_again(void **state)
{
	(void)state;
	put("a", "[]", "[]", 10);
	assert_poll("a", -1, 3, "11-13 @10");
	assert_poll("a", -1, 3, "11-13 @10");
	assert_poll("a", 12, 3, "13-15 @12");
	assert_poll("a", 11, 3, "13-15 @12"); /* late */
	assert_poll("a", 0, 1, "13 @12");
	assert_poll("a", 1001, 3, "invalid");
	assert_poll("a", -1, 1, "13 @12");
	assert_poll("a", 1000, 3, "@1000");
	assert_poll("a", -1, 3, "@1000");
	db.head = 1001;
	assert_poll("a", -1, 3, "1001 @1000");
	assert_poll("nobody", -1, 3, "not found");
}

static void only_what_it_wants(void **state)
{
	(void)state;
	put("odd", "[\"odd\"]", "[]", 0);
	assert_poll("odd", -1, 3, "1 3 5 @0");
	assert_poll("odd", 5, 2, "7 9 @6"); /* the cursor passes 6, which nobody wants */
	put("sent", "[]", "{\"types\":[],\"source_types\":[\"websocket\"]}", 0);
	assert_poll("sent", -1, 3, "97 194 291 @96");
	put("all", "[]", "[]", 95);
	assert_poll("all", -1, 3, "96 98-99 @95"); /* 97 came from a client */
}

static void marks_in_any_order(void **state)
{
	(void)state;
	put("a", "[]", "[]", 10);
	assert_int_equal(mark("a", 13, OUTCOME_COMPLETED, STATUS_OK), 10);
	assert_int_equal(mark("a", 12, OUTCOME_SKIPPED, STATUS_OK), 10);
	assert_poll("a", -1, 3, "11 14-15 @10");
	assert_int_equal(mark("a", 11, OUTCOME_COMPLETED, STATUS_OK), 13);
	assert_int_equal(mark("a", 11, OUTCOME_COMPLETED, STATUS_OK), 13);
	assert_int_equal(db.mark_count, 1); /* the skipped one is kept, for whoever watches its event */
	assert_poll("a", 10, 2, "14-15 @13");
	assert_int_equal(mark("a", 16, OUTCOME_COMPLETED, STATUS_OK), 13);
	assert_poll("a", 15, 2, "17-18 @16");
	for (uint64_t id = 1000; id > 17; id--)
		assert_int_equal(mark("a", id, OUTCOME_COMPLETED, STATUS_OK), 16);
	assert_int_equal(mark("a", 17, OUTCOME_COMPLETED, STATUS_OK), 1000);
	assert_int_equal(db.mark_count, 1);
	mark("a", 1001, OUTCOME_COMPLETED, STATUS_NOT_FOUND);
	mark("a", 0, OUTCOME_COMPLETED, STATUS_NOT_FOUND);
	mark("nobody", 1, OUTCOME_COMPLETED, STATUS_NOT_FOUND);
}

/* More marks than are loaded at once. */
static void many_marks(void **state)
{
	(void)state;
	db.head = 4000;
	put("a", "[]", "[]", 0);
	for (uint64_t id = 2; id <= 3500; id++)
		if (id % 97)
			add_mark("a", id, OUTCOME_COMPLETED);
	assert_poll("a", -1, 2, "1 3501 @0");
	assert_poll("a", 1, 1, "3501 @3500");
}

static void a_rare_topic(void **state)
{
	(void)state;
	db.head = 100099;
	put("rare", "[\"nothing\"]", "[]", 0);
	db.slow_ms = 8;
	for (int i = 0; i < 40 && db.head - row_of("rare")->cursor >= 1000; i++) {
		size_t before = db.reads;

		free(poll_text("rare", -1, 10));
		assert_true(db.reads - before <= 4); /* 30 ms */
	}
	assert_true(db.head - row_of("rare")->cursor < 1000); /* the last step waits for the next note */
}

static void an_idle_poll_writes_nothing(void **state)
{
	size_t writes;

	(void)state;
	put("idle", "[\"nothing\"]", "[]", 1000);
	assert_poll("idle", -1, 10, "@1000"); /* says that it is there */
	writes = db.advances;
	for (int i = 0; i < 100; i++) {
		char wanted[32];

		db.head++;
		snprintf(wanted, sizeof(wanted), "@%llu", (unsigned long long)db.head);
		assert_poll("idle", -1, 10, wanted);
		assert_poll("idle", -1, 10, wanted);
	}
	assert_int_equal(db.advances, writes);
}

static void an_event_comes(void)
{
	db.head++;
}

/* Behind the look at the patterns they may have been replaced, and this event may be the first that they want. */
static void what_comes_meanwhile_is_not_passed(void **state)
{
	(void)state;
	put("a", "[\"nothing\"]", "[]", 990);
	db.meanwhile = an_event_comes;
	assert_poll("a", -1, 10, "@1000");
	assert_poll("a", -1, 10, "@1001");
	assert_int_equal(row_of("a")->cursor, 1000); /* as it was written by the first */
}

static void another_relay_acknowledges(void)
{
	db.head += 10;
	row_of("a")->cursor = db.head;
	db.meanwhile = NULL;
}

static void acknowledged_through_another_relay_meanwhile(void **state)
{
	(void)state;
	put("a", "[]", "[]", 990);
	db.meanwhile = another_relay_acknowledges;
	assert_poll("a", 995, 10, "@1010");
}

static void bounded_by_bytes(void **state)
{
	(void)state;
	db.event_bytes = 1 << 20;
	db.head = 20;
	put("a", "[]", "[]", 0);
	assert_poll("a", -1, 100, "1-3 @0");
	db.event_bytes = 5 << 20;
	assert_poll("a", 3, 100, "4 @3");
}

static void the_acknowledgement_is_stored_or_nothing_is_answered(void **state)
{
	(void)state;
	put("a", "[]", "[]", 0);
	db.fails = STATUS_UNAVAILABLE;
	assert_poll("a", 5, 1, "unavailable");
	db.fails = STATUS_OK;
	assert_poll("a", -1, 1, "1 @0");
}

static void a_position_that_is_lost(void **state)
{
	struct consumer_job *job;

	(void)state;
	put("a", "[]", "[]", 10);
	put("b", "[]", "[]", 1000);
	put("c", "[]", "[]", 500);
	db.floor = 20;
	db.head = 999;
	row_of("c")->dropped = true;
	assert_poll("a", -1, 1, "gone");
	assert_poll("b", -1, 1, "gone"); /* another journal */
	assert_poll("c", -1, 1, "gone");
	mark("a", 30, OUTCOME_COMPLETED, STATUS_GONE);
	job = ask(CONSUMER_PUT, "c", (struct consumer_job){.topics = mem_text("[]"), .types = mem_text("[]"), .from = FROM_ID, .id = 5000});
	assert_int_equal(job->status, STATUS_INVALID);
	consumer_job_free(job);
	assert_true(row_of("c")->dropped); /* as it was */
	for (const char *name = "a"; *name <= 'c'; name = *name == 'a' ? "b" : *name == 'b' ? "c" : "d") {
		put(name, "[]", "[]", 30);
		assert_poll(name, -1, 1, "31 @30");
	}
}

static void where_one_begins(void **state)
{
	static const struct {
		int from;
		uint64_t id, cursor;
		enum status status;
	} cases[] = {{FROM_NOW, 0, 1000, STATUS_OK}, {FROM_START, 0, 100, STATUS_OK}, {FROM_ID, 100, 100, STATUS_OK},
		{FROM_ID, 1000, 1000, STATUS_OK}, {FROM_ID, 99, 0, STATUS_INVALID}, {FROM_ID, 1001, 0, STATUS_INVALID},
		{FROM_ID, UINT64_MAX, 0, STATUS_INVALID}};

	(void)state;
	db.floor = 100;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct consumer_job *job = ask(CONSUMER_PUT, "a", (struct consumer_job){.topics = mem_text("[]"),
			.types = mem_text("[]"), .from = (unsigned)cases[i].from, .id = cases[i].id});

		assert_int_equal(job->status, cases[i].status);
		assert_int_equal(row_of("a") ? row_of("a")->cursor : 0, cases[i].cursor);
		assert_int_equal(job->created, cases[i].status == STATUS_OK);
		if (row_of("a"))
			fake_delete(NULL, "a", NULL);
		consumer_job_free(job);
	}
	put("a", "[]", "[]", 200);
	put("a", "[\"odd\"]", "[]", UINT64_MAX); /* is there: where it would begin does not matter */
	assert_poll("a", -1, 1, "201 @200");
}

static void its_state(void **state)
{
	struct consumer_job *job;

	(void)state;
	put("a", "[\"rare\"]", "[]", 0);
	add_mark("a", 200, OUTCOME_SKIPPED);
	job = ask(CONSUMER_GET, "a", (struct consumer_job){0});
	assert_int_equal(job->states[0].consumer.cursor, 99);
	assert_int_equal(job->states[0].lag, 901);
	assert_int_equal(job->states[0].pending, 9);
	assert_false(job->states[0].pending_more);
	consumer_job_free(job);
	db.head = 1000000;
	db.slow_ms = 5;
	job = ask(CONSUMER_LIST, NULL, (struct consumer_job){0});
	assert_int_equal(job->state_count, 1);
	assert_true(job->states[0].pending_more && job->states[0].pending > 9);
	consumer_job_free(job);
}

/* What is counted of a long list is bounded as a whole. */
static void a_long_list_holds_nobody_up(void **state)
{
	struct consumer_job *job;
	char name[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		put(name, "[]", "[]", 0);
	}
	db.slow_ms = 30;
	db.reads = 0;
	job = ask(CONSUMER_LIST, NULL, (struct consumer_job){0});
	assert_true(job->state_count == 1000 && db.reads <= 4);
	assert_true(job->states[999].lag == 1000 && job->states[999].pending_more);
	consumer_job_free(job);
}

static char *names(char **list)
{
	char *text = mem_text("");

	for (size_t i = 0; list[i]; i++) {
		char *more = mem_format("%s%s ", text, list[i]);

		free(text);
		text = more;
	}
	return text;
}

static void assert_watch(uint64_t id, const char *subscribers, const char *completers, const char *skippers)
{
	struct consumer_job *job = ask(CONSUMER_WATCH, NULL, (struct consumer_job){.id = id});
	char *texts[3] = {names(job->subscribers), names(job->completers), names(job->skippers)};

	assert_int_equal(job->status, STATUS_OK);
	assert_string_equal(texts[0], subscribers);
	assert_string_equal(texts[1], completers);
	assert_string_equal(texts[2], skippers);
	for (size_t i = 0; i < 3; i++)
		free(texts[i]);
	consumer_job_free(job);
}

static void who_has_seen_an_event(void **state)
{
	struct consumer_job *job;

	(void)state;
	put("a", "[\"odd\"]", "[]", 10);
	put("b", "[]", "[]", 20);
	put("c", "[]", "[]", 0);
	mark("c", 15, OUTCOME_SKIPPED, STATUS_OK);
	mark("a", 15, OUTCOME_COMPLETED, STATUS_OK);
	assert_watch(15, "a b c ", "a b ", "c ");
	assert_watch(16, "b c ", "b ", "");
	assert_watch(21, "a b c ", "", "");
	job = ask(CONSUMER_WATCH, NULL, (struct consumer_job){.id = 1001});
	assert_int_equal(job->status, STATUS_NOT_FOUND);
	assert_true(job->no_event);
	consumer_job_free(job);
}

static void registered_anew_meanwhile(void)
{
	db.before_writing = NULL;
	fake_delete(NULL, "a", NULL);
	put("a", "[]", "[]", 10);
}

static void registered_anew_at_500(void)
{
	db.before_writing = NULL;
	fake_delete(NULL, "a", NULL);
	put("a", "[]", "[]", 500);
}

/* Through another relay, while this one is about to write. */
static void another_one_of_the_same_name(void **state)
{
	(void)state;
	put("a", "[]", "[]", 10);
	db.before_writing = registered_anew_meanwhile;
	assert_poll("a", 500, 1, "not found");
	assert_poll("a", -1, 1, "11 @10");
	db.before_writing = registered_anew_meanwhile;
	mark("a", 11, OUTCOME_COMPLETED, STATUS_NOT_FOUND);
	assert_poll("a", -1, 1, "11 @10");
	/* Lost, and registered anew by two at once: the second keeps what the first has made. */
	db.floor = 400;
	db.before_writing = registered_anew_at_500;
	put("a", "[]", "[]", 600);
	assert_poll("a", -1, 1, "501 @500");
}

static enum status poll_of(const char *journal, uint64_t generation, int64_t ack)
{
	struct consumer_job question = {.has_ack = ack >= 0, .ack = (uint64_t)(ack < 0 ? 0 : ack), .limit = 1, .generation = generation};
	struct consumer_job *job;
	enum status status;

	snprintf(question.of_journal, sizeof(question.of_journal), "%s", journal);
	job = ask(CONSUMER_POLL, "a", question);
	status = job->status;
	if (status == STATUS_OK)
		assert_string_equal(job->journal, db.journal);
	consumer_job_free(job);
	return status;
}

/* What a session acknowledges by number was told to one registration. */
static void told_to_another_one(void **state)
{
	uint64_t before;

	(void)state;
	put("a", "[]", "[]", 10);
	before = row_of("a")->generation;
	assert_int_equal(poll_of(JOURNAL, before, 20), STATUS_OK);
	fake_delete(NULL, "a", NULL);
	put("a", "[]", "[]", 10);
	assert_int_not_equal(row_of("a")->generation, before);
	assert_int_equal(poll_of(JOURNAL, before, 20), STATUS_NOT_FOUND);
	assert_int_equal(row_of("a")->cursor, 10);
	assert_int_equal(poll_of(JOURNAL, row_of("a")->generation, 20), STATUS_OK);
	assert_int_equal(row_of("a")->cursor, 20);
}

static void a_journal_begins(void)
{
	db.before_writing = NULL;
	db.journal = ANOTHER;
	row_of("a")->cursor = 0;
}

static void of_another_journal(void **state)
{
	struct consumer_job question = {.id = 5, .outcome = OUTCOME_COMPLETED}, *job;

	(void)state;
	put("a", "[]", "[]", 10);
	assert_int_equal(poll_of(JOURNAL, 0, 20), STATUS_OK);
	assert_int_equal(poll_of(ANOTHER, 0, 30), STATUS_CONFLICT);
	assert_int_equal(poll_of(ANOTHER, 0, 5), STATUS_CONFLICT); /* not taken for one that is late */
	assert_int_equal(row_of("a")->cursor, 20);
	/* It begins between the look and the write. */
	db.before_writing = a_journal_begins;
	assert_int_equal(poll_of(JOURNAL, 0, 30), STATUS_CONFLICT);
	assert_int_equal(row_of("a")->cursor, 0);
	db.journal = JOURNAL;
	db.before_writing = a_journal_begins;
	assert_int_equal(poll_of("", 0, 30), STATUS_UNAVAILABLE); /* again, please */
	assert_int_equal(row_of("a")->cursor, 0);
	snprintf(question.of_journal, sizeof(question.of_journal), JOURNAL);
	job = ask(CONSUMER_MARK, "a", question);
	assert_int_equal(job->status, STATUS_CONFLICT);
	assert_int_equal(db.mark_count, 0);
	consumer_job_free(job);
	question = (struct consumer_job){.from = FROM_ID, .id = 5, .topics = mem_text("[]"), .types = mem_text("[]")};
	snprintf(question.of_journal, sizeof(question.of_journal), JOURNAL);
	job = ask(CONSUMER_PUT, "b", question);
	assert_int_equal(job->status, STATUS_CONFLICT);
	assert_null(row_of("b"));
	consumer_job_free(job);
}

int main(void)
{
#define STORY(story) cmocka_unit_test_setup_teardown(story, begin, end)
	const struct CMUnitTest stories[] = {
		STORY(acknowledged_or_again),
		STORY(only_what_it_wants),
		STORY(marks_in_any_order),
		STORY(many_marks),
		STORY(a_rare_topic),
		STORY(an_idle_poll_writes_nothing),
		STORY(what_comes_meanwhile_is_not_passed),
		STORY(acknowledged_through_another_relay_meanwhile),
		STORY(bounded_by_bytes),
		STORY(the_acknowledgement_is_stored_or_nothing_is_answered),
		STORY(a_position_that_is_lost),
		STORY(where_one_begins),
		STORY(its_state),
		STORY(a_long_list_holds_nobody_up),
		STORY(who_has_seen_an_event),
		STORY(another_one_of_the_same_name),
		STORY(told_to_another_one),
		STORY(of_another_journal),
	};

	return cmocka_run_group_tests(stories, NULL, NULL);
}
