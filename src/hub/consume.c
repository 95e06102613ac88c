/* A question goes to the consumers' lane and comes back through the inbox. A poll that has nothing to tell is parked: it is
 * asked again when an event comes by that its consumer wants, so that an idle consumer costs the database next to nothing and
 * hears of an event as soon as a session does.
 *
 * What wakes it is a guess, made with the patterns that the last answer brought along: the answer itself always comes from the
 * lane, which knows of marks, of other pollers, and of patterns that were replaced meanwhile. So it is asked again every few
 * seconds too, which also tells the database that somebody is there, and for the last time when its time is over. Between the
 * lane's look at the journal and the parking an event may have come by: the tail is looked at for it.
 *
 * A database that goes away while a poll waits does not end it: it is tried again until its time is over.
 *
 * Owners' callbacks may end sessions, and with them other questions: every walk begins anew after each.
 */
#include "hub/consume.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "hub/internal.h"
#include "rules/wants.h"

#define PARKED_MAX 1000     /* of one hub */
#define RECHECK_MS 2000
#define RECHECK_EACH_MS 20  /* later, for each that is parked: what they ask all together is bounded */
#define RETRY_AWAY_MS 1000
#define GRACE_MS 1000       /* a poll whose time is over waits no longer for the lane */
#define UNANSWERED_MS 5000  /* nor does any question, counted from when it might have been answered */
#define TAIL_SCAN 4096

struct consume {
	struct task task; /* first */
	struct hub *hub;
	struct consume *next, **at; /* all of the hub */
	struct consume_owner owner; /* answer NULL: nobody waits any more */
	struct consumer_job *home;  /* has just come back; while one is under way the lane's thread sets it */
	struct consumer_job *held;  /* a poll's last answer; NULL: none yet */
	struct wants *wants;        /* by it */
	char *topics, *types;       /* which wants was made of */
	bool polls, under_way, parked, due, last;
	int64_t deadline, ask_at; /* ms, monotonic */
};

/* -- life -- */

static void consume_free(struct consume *consume)
{
	*consume->at = consume->next;
	if (consume->next)
		consume->next->at = consume->at;
	consume->hub->parked -= consume->parked;
	consumer_job_free(consume->home);
	consumer_job_free(consume->held);
	wants_destroy(consume->wants);
	free(consume->topics);
	free(consume->types);
	free(consume);
}

static void link_in(struct hub *hub, struct consume *consume)
{
	consume->hub = hub;
	consume->next = hub->consumes;
	consume->at = &hub->consumes;
	if (consume->next)
		consume->next->at = &consume->next;
	hub->consumes = consume;
}

static void set_parked(struct consume *consume, bool parked)
{
	consume->hub->parked -= consume->parked;
	consume->hub->parked += parked;
	consume->parked = parked;
}

void consume_forget(struct consume *consume)
{
	if (!consume)
		return;
	consume->owner.answer = NULL;
	if (!consume->under_way)
		consume_free(consume);
}

/* The end of it, but for a job that is still under way. */
static void tell(struct consume *consume, struct consumer_job *job)
{
	struct consume_owner owner = consume->owner;

	if (job == consume->held)
		consume->held = NULL;
	if (!consume->under_way && job == consume->home) /* until then it is the lane's to set */
		consume->home = NULL;
	consume_forget(consume);
	owner.answer(owner.owner, job);
}

/* -- asking -- */

static void come_home(struct task *task);

static void on_lane(struct consumer_job *job)
{
	struct consume *consume = job->owner;

	consume->home = job;
	inbox_post(&consume->hub->inbox, &consume->task);
}

static bool ask(struct consume *consume, struct consumer_job *job)
{
	const struct services *services = &consume->hub->config->services;

	job->owner = consume;
	job->done = on_lane;
	consume->task.run = come_home;
	consume->under_way = true;
	if (services->consume(services->context, job))
		return true;
	consume->under_way = false;
	return false;
}

/* What was acknowledged is acknowledged, once it was answered. */
static struct consumer_job *the_same_again(const struct consumer_job *held)
{
	struct consumer_job *job = mem_zero(1, sizeof(*job));

	job->verb = held->verb;
	job->name = mem_text(held->name);
	job->limit = held->limit;
	job->has_ack = held->has_ack && held->status != STATUS_OK;
	job->ack = held->ack;
	if (job->has_ack) {
		job->generation = held->generation;
		snprintf(job->of_journal, sizeof(job->of_journal), "%s", held->of_journal);
	}
	return job;
}

static void ask_again(struct consume *consume)
{
	struct consumer_job *job = the_same_again(consume->held);
	int64_t now = consume->hub->now;

	consume->due = false;
	consume->last = now >= consume->deadline;
	set_parked(consume, false);
	if (ask(consume, job))
		return;
	consumer_job_free(job);
	set_parked(consume, true);
	consume->ask_at = now + RETRY_MS;
}

struct consume *consume_begin(
	struct hub *hub, struct consumer_job *job, int64_t wait_ms, const struct consume_owner *owner)
{
	struct consume *consume = mem_zero(1, sizeof(*consume));

	hub->now = clock_ms();
	link_in(hub, consume);
	consume->owner = *owner;
	consume->polls = job->verb == CONSUMER_POLL;
	consume->deadline = wait_ms == CONSUME_FOREVER ? INT64_MAX : hub->now + wait_ms;
	if (ask(consume, job))
		return consume;
	if (wait_ms != CONSUME_FOREVER) {
		consume_free(consume);
		return NULL;
	}
	job->status = STATUS_UNAVAILABLE;
	consume->held = job;
	consume->ask_at = hub->now + RETRY_MS;
	set_parked(consume, true);
	return consume;
}

/* -- parking -- */

static bool is_away(const struct consumer_job *job)
{
	return job->status == STATUS_UNAVAILABLE || job->status == STATUS_TIMEOUT || job->status == STATUS_FAILED;
}

static bool waits(const struct consume *consume, const struct consumer_job *job)
{
	if (!consume->polls || consume->last || consume->hub->draining || consume->hub->now >= consume->deadline)
		return false;
	if (is_away(job))
		return consume->held || consume->deadline == INT64_MAX;
	return job->status == STATUS_OK && job->event_count == 0;
}

static bool learn(struct consume *consume, const struct consumer_job *job)
{
	const struct consumer *row = &job->states[0].consumer;
	struct wants *wants;

	if (consume->wants && strcmp(row->topics, consume->topics) == 0 && strcmp(row->types, consume->types) == 0)
		return true;
	if (wants_create(row->topics, row->types, SIZE_MAX, SIZE_MAX, &wants, NULL) != STATUS_OK)
		return false;
	wants_destroy(consume->wants);
	free(consume->topics);
	free(consume->types);
	consume->wants = wants;
	consume->topics = mem_text(row->topics);
	consume->types = mem_text(row->types);
	return true;
}

/* Has something come by that the lane did not look at yet? */
static bool missed(const struct consume *consume, uint64_t seen)
{
	const struct tail *tail = &consume->hub->tail;
	uint64_t head = tail_head(tail);

	if (head > seen + TAIL_SCAN)
		return true;
	for (uint64_t id = seen + 1; id <= head; id++) {
		const struct event *event = tail_event(tail, id);

		if (!event || wants_event(consume->wants, event))
			return true;
	}
	return false;
}

/* One that gets nowhere is not asked again at once: this hub and the lane may not agree for a moment on which journal it is. */
static void set_alarm(struct consume *consume, const struct consumer_job *job, const struct consumer_job *before)
{
	int64_t now = consume->hub->now;

	if (is_away(job))
		consume->ask_at = now + RETRY_AWAY_MS;
	else if (!missed(consume, job->seen))
		consume->ask_at = now + RECHECK_MS + RECHECK_EACH_MS * (int64_t)consume->hub->parked;
	else
		consume->ask_at = before && before->status == STATUS_OK && before->seen == job->seen ? now + RETRY_MS : now;
	if (consume->ask_at > consume->deadline)
		consume->ask_at = consume->deadline;
}

static void park(struct consume *consume, struct consumer_job *job)
{
	struct hub *hub = consume->hub;
	struct consumer_job *before = consume->held;

	if (hub->parked >= PARKED_MAX) {
		job->status = err_set(&job->err, STATUS_TOO_MANY, "Too many polls are waiting; try again later.");
		tell(consume, job);
		return;
	}
	if (job->status == STATUS_OK && !learn(consume, job)) {
		tell(consume, job);
		return;
	}
	set_alarm(consume, job, before);
	consume->held = job;
	consume->home = NULL;
	consumer_job_free(before);
	set_parked(consume, true);
	if (consume->ask_at <= hub->now)
		ask_again(consume);
}

static void come_home(struct task *task)
{
	struct consume *consume = (struct consume *)task;

	consume->under_way = false;
	if (!consume->owner.answer)
		consume_free(consume);
	else if (waits(consume, consume->home))
		park(consume, consume->home);
	else
		tell(consume, consume->home);
}

/* -- what the hub calls -- */

void consumes_offer(struct hub *hub, const struct event *event)
{
	for (struct consume *consume = hub->consumes; consume; consume = consume->next) {
		if (!consume->parked || consume->due || consume->held->status != STATUS_OK)
			continue;
		if (event->id > consume->held->seen && wants_event(consume->wants, event))
			consume->due = hub->consumes_due = true;
	}
}

static struct consume *next_due(struct hub *hub)
{
	struct consume *consume = hub->consumes;

	while (consume && !consume->due)
		consume = consume->next;
	return consume;
}

void consumes_go_on(struct hub *hub)
{
	struct consume *consume;

	if (!hub->consumes_due)
		return;
	hub->consumes_due = false;
	while ((consume = next_due(hub)))
		ask_again(consume);
}

/* The lane does not answer: it waits for the database. */
static bool overdue(const struct consume *consume)
{
	int64_t grace = consume->held ? GRACE_MS : UNANSWERED_MS;

	return consume->under_way && consume->owner.answer && consume->deadline < INT64_MAX &&
		consume->hub->now >= consume->deadline + grace;
}

static void tick_one(struct consume *consume)
{
	consume->due = false;
	if (consume->under_way)
		tell(consume, consume->held);
	else if (!consume->owner.alive || consume->owner.alive(consume->owner.owner))
		ask_again(consume);
	else
		consume->ask_at = consume->hub->now + RECHECK_MS;
}

void consumes_tick(struct hub *hub)
{
	struct consume *consume;

	for (consume = hub->consumes; consume; consume = consume->next)
		consume->due = (consume->parked && hub->now >= consume->ask_at) || overdue(consume);
	hub->consumes_due = false;
	while ((consume = next_due(hub)))
		tick_one(consume);
}

/* Those that wait are answered as they are: the journal has it all for whoever comes back. */
void consumes_drain(struct hub *hub)
{
	struct consume *consume;

	for (consume = hub->consumes; consume; consume = consume->next)
		consume->due = consume->parked;
	while ((consume = next_due(hub))) {
		consume->due = false;
		tell(consume, consume->held);
	}
}
