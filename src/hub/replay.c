/* Sessions that are not at the head: resuming after a reconnect, or behind their socket. Each has a
 * position, the id up to which every event was considered for it, and takes one step at a time:
 * from the tail while that reaches, else by a page of the journal, which a lane reads. A step sends
 * at most session_queue_bytes and then yields until the socket is writable again. At the head the
 * session is LIVE.
 *
 * Pages asked for are bounded per hub; others wait in order. A session that ends while its page is
 * under way leaves it behind: the page finds no session and is freed. What of a page does not fit
 * is dropped and read again later, so that a slow client never holds rows in memory.
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
		!pack_add(session->hub, pack, wire_frame(event, session->ops->encoding, class)))
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
	struct pack pack = {0};

	for (size_t i = 0; i < page->count && page->events[i]->id <= head; i++)
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

/* A session that was live lost its place in the journal: it must not go on as if nothing was
 * missing. */
static void page_arrived(struct session *session, struct read_job *job)
{
	bool gone = job->status == STATUS_GONE ||
		    (job->status == STATUS_OK && job->batch.count && !page_fits(session, job));

	if (session->state == SESSION_WAITING) {
		if (gone)
			session_resume(session, NULL);
		else if (job->status == STATUS_OK && job->batch.count)
			session_resume(session, &job->batch);
	} else if (session->state == SESSION_REPLAY) {
		if (gone)
			session_end(session, CLOSE_SLOW);
		else if (job->status == STATUS_OK && job->batch.count && !session->behind)
			replay_page(session, &job->batch);
	}
}

static void reading_done(struct task *task)
{
	struct reading *reading =
		(struct reading *)(void *)((char *)task - offsetof(struct reading, task));
	struct hub *hub = reading->hub;
	struct session *session = reading->session;

	hub->reads_under_way--;
	if (session) {
		session->reading = NULL;
		page_arrived(session, &reading->job);
	}
	read_job_free(&reading->job);
	readings_go_on(hub);
}

static void on_lane(struct read_job *job)
{
	struct reading *reading = (struct reading *)job;

	inbox_post(&reading->hub->inbox, &reading->task);
}

void reading_start(struct session *session)
{
	struct hub *hub = session->hub;
	struct reading *reading;
	uint64_t after = session->state == SESSION_WAITING ? session->after : session->position;

	if (session->reading)
		return;
	reading = mem_zero(1, sizeof(*reading));
	reading->job =
		(struct read_job){.done = on_lane, .owner = hub, .after = after, .max = READ_PAGE};
	reading->job.key = session->state == SESSION_WAITING ? 0 : session->key;
	memcpy(reading->job.journal, hub->journal, sizeof(hub->journal));
	reading->task.run = reading_done;
	reading->hub = hub;
	reading->session = session;
	session->reading = &reading->job;
	*hub->reads_last = reading;
	hub->reads_last = &reading->next;
	readings_go_on(hub);
}

void reading_forget(struct session *session)
{
	if (session->reading)
		((struct reading *)session->reading)->session = NULL;
	session->reading = NULL;
}

static void pop(struct hub *hub)
{
	hub->reads = hub->reads->next;
	if (!hub->reads)
		hub->reads_last = &hub->reads;
}

/* Hands over what may be under way; a full queue at the lane means: at the next tick. */
void readings_go_on(struct hub *hub)
{
	const struct services *services = &hub->config->services;

	while (hub->reads && hub->reads_under_way < READS_AT_ONCE) {
		struct reading *reading = hub->reads;

		if (!reading->session) {
			pop(hub);
			read_job_free(&reading->job);
			continue;
		}
		pop(hub);
		reading->next = NULL;
		hub->reads_under_way++;
		if (services->read(services->context, &reading->job))
			continue;
		hub->reads_under_way--;
		reading->next = hub->reads;
		if (!hub->reads)
			hub->reads_last = &reading->next;
		hub->reads = reading;
		return;
	}
}
