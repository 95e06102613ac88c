/* Sessions that are not at the head: resuming after a reconnect, or behind their socket. Each has a
 * position, the id up to which every event was considered for it, and takes one step at a time:
 * from the tail while that reaches, else by a page of the journal, which a lane reads. A step sends
 * at most session_queue_bytes and then yields until the socket is writable again. At the head the
 * session is LIVE.
 *
 * Pages asked for are bounded per hub; others wait in order, and those whose page is under way for
 * another session wait for that one. A page is kept for a while (pages.c), so that many who resume
 * from about the same place cost one read, and a slow client never holds rows of its own. A session
 * that ends while its page is under way leaves it behind: the page finds no session.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "hub/internal.h"
#include "rules/topics.h"

struct reading {
	struct read_job job; /* first: read_job_free() frees the whole */
	struct task task;
	struct hub *hub;
	struct session *session; /* NULL: gone meanwhile */
	struct reading *next;
};

void leave_live(struct session *session, uint64_t position, uint64_t key)
{
	session->position = position;
	session->key = key;
	session_set_state(session, SESSION_REPLAY);
}

void leave_live_at_head(struct session *session)
{
	const struct tail *tail = &session->hub->tail;
	const struct event *newest = tail_event(tail, tail_head(tail));

	leave_live(session, tail_head(tail), newest ? newest->key : 0);
}

/* What was routed to it in this turn and not sent yet, it will read from the tail: not both, should it
 * be live again before the flush. */
void leave_live_unsent(struct session *session)
{
	if (session->state != SESSION_LIVE)
		return;
	if (session->dirty)
		leave_live(session, first_routed(session)->id - 1, 0);
	else
		leave_live_at_head(session);
	leave_dirty(session);
}

static bool visible(struct session *session, const struct event *event, enum event_class *class)
{
	if (session->kind == SESSION_OPERATOR)
		*class = CLASS_BOTH;
	else if (!session->user ||
		 !event_visible(event, session->user->hash, session->user->id, class))
		return false;
	return !session->subscription || subscription_wants(session->subscription, event->topic,
						 event_type_shown(event, *class));
}

/* One event considered: its frame goes into the pack if the session may see it. False: no room,
 * position stays. */
static bool consider(struct session *session, struct pack *pack, struct event *event)
{
	enum event_class class;

	if (visible(session, event, &class) &&
		!pack_add(session, pack, event, class))
		return false;
	session->position = event->id;
	session->key = event->key;
	return true;
}

static void send_and_go_on(struct session *session, const struct pack *pack)
{
	if (pack->frames && !pack_send(session, pack))
		return;
	if (session->behind)
		return;
	if (session->position >= tail_head(&session->hub->tail))
		session_set_state(session, SESSION_LIVE);
	else
		session->ops->want_writable(session);
}

void replay(struct session *session)
{
	const struct tail *tail = &session->hub->tail;
	struct pack pack = {0};
	struct event *event;

	if (session->kind == SESSION_TEST)
		session->position = tail_head(tail);
	if (session->position < tail_head(tail) && !tail_event(tail, session->position + 1)) {
		reading_start(session);
		return;
	}
	for (int scanned = 0; scanned < REPLAY_SCAN; scanned++) {
		event = tail_event(tail, session->position + 1);
		if (!event || !consider(session, &pack, event))
			break;
	}
	send_and_go_on(session, &pack);
}

/* The journal may be ahead of this hub: what lies beyond the head comes by itself, and would come
 * twice. */
void replay_page(struct session *session, const struct event_batch *page)
{
	uint64_t head = tail_head(&session->hub->tail);
	size_t first = (size_t)(session->position + 1 - page->events[0]->id);
	struct pack pack = {0};

	for (size_t i = first; i < page->count && page->events[i]->id <= head; i++)
		if (!consider(session, &pack, page->events[i]))
			break;
	send_and_go_on(session, &pack);
}

/* -- pages of the journal -- */

static bool page_fits(const struct session *session, const struct read_job *job)
{
	const struct event *first = job->batch.events[0];

	return first->id == job->after + 1 && strcmp(first->journal, session->hub->journal) == 0;
}

static void use_page(struct session *session, const struct event_batch *page)
{
	if (session->state == SESSION_WAITING)
		session_resume(session, page);
	else if (session->state == SESSION_REPLAY && !session->behind)
		replay_page(session, page);
}

/* A session that was live lost its place in the journal: it must not go on as if nothing was
 * missing. */
static void place_lost(struct session *session)
{
	if (session->state == SESSION_WAITING)
		session_resume(session, NULL);
	else if (session->state == SESSION_REPLAY)
		session_end(session, CLOSE_SLOW);
}

static void page_arrived(struct session *session, const struct read_job *job)
{
	if (job->status == STATUS_GONE)
		place_lost(session);
	else if (job->status != STATUS_OK || !job->batch.count)
		return; /* asked for again at the next tick */
	else if (page_fits(session, job))
		use_page(session, &job->batch);
	else
		place_lost(session);
}

/* A page ends before its last event where its events are large: fewer are asked for next time. */
static void adapt(struct hub *hub, const struct read_job *job)
{
	size_t bytes = 0;

	for (size_t i = 0; i < job->batch.count; i++)
		bytes += job->batch.events[i]->size;
	if (bytes >= PAGE_LARGE && job->batch.count < hub->read_max)
		hub->read_max = job->batch.count;
	else if (bytes < PAGE_LARGE)
		hub->read_max = hub->read_max * 2 < READ_PAGE ? hub->read_max * 2 : READ_PAGE;
}

static void reading_done(struct task *task)
{
	struct reading *reading =
		(struct reading *)(void *)((char *)task - offsetof(struct reading, task));
	struct hub *hub = reading->hub;
	struct session *session = reading->session;
	struct read_job *job = &reading->job;
	struct reading **at = &hub->reads_out;

	while (*at != reading)
		at = &(*at)->next;
	*at = reading->next;
	hub->reads_under_way--;
	if (session) {
		session->reading = NULL;
		page_arrived(session, job);
	}
	if (job->status == STATUS_OK && job->batch.count && strcmp(job->batch.events[0]->journal, hub->journal) == 0) {
		adapt(hub, job);
		pages_keep(hub, &job->batch);
	}
	read_job_free(job);
	readings_go_on(hub);
}

static void on_lane(struct read_job *job)
{
	struct reading *reading = (struct reading *)job;

	inbox_post(&reading->hub->inbox, &reading->task);
}

/* Will a page that is under way hold what follows? Perhaps not, when it is cut short: then one is asked for. */
static bool on_its_way(const struct hub *hub, uint64_t after)
{
	for (const struct reading *out = hub->reads_out; out; out = out->next)
		if (after - out->job.after < out->job.max)
			return true;
	return false;
}

static struct reading *reading_create(struct session *session, uint64_t after)
{
	struct reading *reading = mem_zero(1, sizeof(*reading));
	struct hub *hub = session->hub;

	reading->job = (struct read_job){.done = on_lane, .owner = hub, .after = after, .max = hub->read_max};
	reading->job.key = session->state == SESSION_WAITING ? 0 : session->key;
	memcpy(reading->job.journal, hub->journal, sizeof(hub->journal));
	reading->task.run = reading_done;
	reading->hub = hub;
	reading->session = session;
	return reading;
}

void reading_start(struct session *session)
{
	struct hub *hub = session->hub;
	uint64_t after = session->state == SESSION_WAITING ? session->after : session->position;
	const struct event_batch *page;
	struct reading *reading;

	if (session->reading)
		return;
	page = pages_find(hub, after);
	if (page) {
		use_page(session, page);
		return;
	}
	reading = reading_create(session, after);
	session->reading = &reading->job;
	*hub->reads_last = reading;
	hub->reads_last = &reading->next;
	if (hub->reads_under_way < READS_AT_ONCE && !on_its_way(hub, after))
		readings_go_on(hub);
}

void reading_forget(struct session *session)
{
	if (session->reading)
		((struct reading *)session->reading)->session = NULL;
	session->reading = NULL;
}

static void unlink_at(struct hub *hub, struct reading **at)
{
	struct reading *reading = *at;

	*at = reading->next;
	if (!*at)
		hub->reads_last = at;
	reading->next = NULL;
}

/* Its page is here: it goes on in a later turn of the loop, one session after the other. */
static bool served(struct hub *hub, struct reading *reading)
{
	struct session *session = reading->session;

	if (session && !pages_find(hub, reading->job.after))
		return false;
	if (session) {
		session->reading = NULL;
		session->ops->want_writable(session);
	}
	return true;
}

/* False: the queue at the lane is full; at the next tick. */
static bool hand_over(struct hub *hub, struct reading **at)
{
	const struct services *services = &hub->config->services;
	struct reading *reading = *at, *next = reading->next;

	unlink_at(hub, at);
	reading->next = hub->reads_out;
	hub->reads_out = reading;
	hub->reads_under_way++;
	if (services->read(services->context, &reading->job))
		return true;
	hub->reads_under_way--;
	hub->reads_out = reading->next;
	reading->next = next;
	*at = reading;
	if (!next)
		hub->reads_last = &reading->next;
	return false;
}

/* Hands over what may be under way. */
void readings_go_on(struct hub *hub)
{
	struct reading **at = &hub->reads;

	while (*at) {
		struct reading *reading = *at;

		if (served(hub, reading)) {
			unlink_at(hub, at);
			read_job_free(&reading->job);
		} else if (hub->reads_under_way >= READS_AT_ONCE || on_its_way(hub, reading->job.after)) {
			at = &reading->next;
		} else if (!hand_over(hub, at)) {
			return;
		}
	}
}
