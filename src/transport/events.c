/* The way of a question about the past: who asks (hub_inquire(), before anything else is judged), what is asked (wire/history.c),
 * then the history lane, which finds a page of events and, still on its own thread, makes the answer's text of it. What comes
 * home through the hub's inbox is sent piece by piece (http.c), so neither the making nor a slow reader costs the loop more than
 * a piece at a time.
 *
 * Memory: a page is at most HISTORY_BYTES_MAX and one event. So many questions of a thread are on the lane at once, and none is
 * handed over while the answers that are on their way out are too many (answers.c). The others wait their turn, but nobody longer
 * than live_timeout_ms: 503.
 *
 * A call belongs to its exchange, and as long as the lane has its job to that as well: the requester may go meanwhile.
 */
#include "transport/events.h"

#include <inttypes.h>
#include <stdlib.h>

#include "auth/auth.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "transport/exchange.h"
#include "transport/thread.h"
#include "wire/wire.h"

#define AT_ONCE 4
#define ENVELOPE_BYTES 512 /* beside an event's own bytes, about */

enum stage { ASKING_WHO, QUEUED, UNDER_WAY, ANSWERED };

struct events_call {
	struct task task; /* home from the lane */
	struct thread *thread;
	struct conn *conn; /* NULL: gone */
	struct events_list *list;
	struct events_call *next, *prev;
	enum stage stage;
	bool on_lane; /* the lane has the job */
	bool single, nowhere; /* one event by its id; no event has such a one */
	const char *key;      /* what is wrong with the question; NULL: nothing */
	struct err wrong;
	struct inquiry *inquiry;
	struct history_job *job;
	struct buf body; /* of the answer, made on the lane's thread */
	int64_t deadline; /* ms, monotonic */
	struct answer answer;
};

static void go_on(struct thread *thread);

/* -- lists -- */

static void unlist(struct events_call *call)
{
	struct events_list *list = call->list;

	if (!list)
		return;
	*(call->prev ? &call->prev->next : &list->first) = call->next;
	*(call->next ? &call->next->prev : &list->last) = call->prev;
	call->list = NULL;
}

static void enlist(struct events_call *call, struct events_list *list)
{
	unlist(call);
	call->list = list;
	call->next = NULL;
	call->prev = list->last;
	*(list->last ? &list->last->next : &list->first) = call;
	list->last = call;
}

/* -- the end of a call -- */

static void call_free(struct events_call *call)
{
	history_job_free(call->job);
	buf_finish(&call->body);
	free(call);
}

void events_detach(struct events_call *call)
{
	struct thread *thread;

	if (!call)
		return;
	thread = call->thread;
	inquiry_forget(call->inquiry);
	unlist(call);
	answers_remove(&call->answer);
	call->inquiry = NULL;
	call->conn = NULL;
	if (!call->on_lane)
		call_free(call);
	go_on(thread);
}

/* -- answers -- */

static void answer(struct events_call *call, int status, struct span body)
{
	struct conn *conn = call->conn;

	inquiry_forget(call->inquiry);
	call->inquiry = NULL;
	call->stage = ANSWERED;
	unlist(call);
	exchange_answer_later(conn, status, body);
	answers_add(&call->thread->answers, &call->answer, conn);
}

static void answer_error(struct events_call *call, int status, const char *message)
{
	AUTO_BUF struct buf body = buf_init(4096);

	reply_error_body(&body, status, message);
	answer(call, status, buf_as_span(&body));
}

static void answer_invalid(struct events_call *call, const char *key, const char *message)
{
	AUTO_BUF struct buf body = buf_init(4096);

	reply_invalid_body(&body, key, message);
	answer(call, 400, buf_as_span(&body));
}

/* What there is none of and what is somebody else's cannot be told apart. */
static void answer_nothing(struct events_call *call)
{
	if (call->single)
		answer_error(call, 404, "There is no such event for you");
	else
		answer(call, 200, span_of("{\"events\":[],\"next\":null}"));
}

static void answer_gone(struct events_call *call)
{
	AUTO_BUF struct buf body = buf_init(4096);

	buf_printf(&body, "{\"code\":410,\"message\":\"The journal no longer reaches back so far: the oldest event that can be read is %" PRIu64
		"\",\"first\":\"%" PRIu64 "\"}", call->job->first, call->job->first);
	answer(call, 410, buf_as_span(&body));
}

static void answer_beyond(struct events_call *call)
{
	struct err sentence;

	err_set(&sentence, STATUS_INVALID, "after lies beyond the newest event, %" PRIu64 ": where the database was restored, ids began anew. Fetch "
		"your state anew, and go on from ids of this journal", call->job->newest);
	answer_invalid(call, "after", sentence.text);
}

static void answer_job(struct events_call *call)
{
	const struct history_job *job = call->job;

	if (call->single && (job->status == STATUS_GONE || job->status == STATUS_CONFLICT || job->status == STATUS_INVALID))
		answer_nothing(call);
	else if (job->status == STATUS_INVALID)
		answer_beyond(call);
	else if (job->status == STATUS_GONE)
		answer_gone(call);
	else if (job->status == STATUS_CONFLICT)
		answer_invalid(call, "after", "It is a position in another journal than the one that there is: fetch your state anew, and go on from ids of this one");
	else if (job->status != STATUS_OK)
		answer_error(call, 503, "The database is not available: try again");
	else if (!call->body.len)
		answer_nothing(call);
	else
		answer(call, 200, buf_as_span(&call->body));
	buf_finish(&call->body);
}

/* -- the lane -- */

static void write_page(struct buf *body, const struct history_job *job)
{
	buf_text(body, "{\"events\":[");
	for (size_t i = 0; i < job->count; i++) {
		if (i)
			buf_text(body, ",");
		envelope_write(body, job->entries[i].event, job->entries[i].class);
	}
	if (job->more)
		buf_printf(body, "],\"next\":\"%" PRIu64 "\"}", job->next);
	else
		buf_text(body, "],\"next\":null}");
}

static void write_body(struct events_call *call)
{
	struct history_job *job = call->job;
	size_t room = ENVELOPE_BYTES;

	for (size_t i = 0; i < job->count; i++)
		room += job->entries[i].event->size + ENVELOPE_BYTES / 2;
	buf_reserve(&call->body, room);
	if (!call->single)
		write_page(&call->body, job);
	else if (job->count)
		envelope_write(&call->body, job->entries[0].event, job->entries[0].class);
	while (job->count)
		event_unref(job->entries[--job->count].event);
}

/* On the hub's thread. */
static void come_home(struct task *task)
{
	struct events_call *call = (struct events_call *)task;
	struct thread *thread = call->thread;

	call->on_lane = false;
	thread->events.under_way--;
	if (!call->conn)
		call_free(call);
	else if (call->stage == UNDER_WAY)
		answer_job(call);
	go_on(thread);
}

/* On any thread. */
static void job_done(struct history_job *job)
{
	struct events_call *call = job->owner;

	if (job->status == STATUS_OK)
		write_body(call);
	inbox_post(hub_inbox(call->thread->hub), &call->task);
}

static void submit(struct events_call *call)
{
	const struct services *services = &hub_config(call->thread->hub)->services;

	call->stage = UNDER_WAY;
	call->on_lane = true;
	call->thread->events.under_way++;
	if (services->history(services->context, call->job))
		return;
	call->on_lane = false;
	call->thread->events.under_way--;
	answer_error(call, 503, "Too many questions are waiting: try again");
}

static struct events_call *first_queued(const struct events_desk *desk)
{
	struct events_call *call = desk->waiting.first;

	while (call && call->stage != QUEUED)
		call = call->next;
	return call;
}

/* Hands over what may be under way. */
static void go_on(struct thread *thread)
{
	struct events_desk *desk = &thread->events;
	struct events_call *call;

	while (desk->under_way < AT_ONCE && !answers_full(&thread->answers) && (call = first_queued(desk)))
		submit(call);
}

/* -- who and what -- */

static void on_identity(void *context, enum status status, struct identity *identity)
{
	struct events_call *call = context;
	struct history_job *job = call->job;

	call->inquiry = NULL;
	if (status == STATUS_OK) {
		job->operator = identity->kind == IDENTITY_OPERATOR;
		job->user = identity->user;
	}
	if (status == STATUS_UNAUTHORIZED) {
		refusals_note(call->conn, REFUSAL_EVENTS);
		answer_error(call, 401, "Unauthorized");
	} else if (status != STATUS_OK) {
		answer_error(call, 503, "The database is not available: try again");
	} else if (call->key) {
		answer_invalid(call, call->key, call->wrong.text);
	} else if (identity->kind == IDENTITY_TEST || call->nowhere) {
		answer_nothing(call);
	} else {
		call->stage = QUEUED;
		go_on(call->thread);
	}
}

struct reading {
	struct events_call *call;
	struct wire_history asked;
	char *token;
};

static void take_part(void *context, const char *part, size_t len)
{
	struct reading *reading = context;
	struct events_call *call = reading->call;
	const char *equals = memchr(part, '=', len), *key = NULL;
	struct span name = {part, equals ? (size_t)(equals - part) : len};
	struct span value = {equals ? equals + 1 : part + len, equals ? (size_t)(part + len - equals - 1) : 0};
	struct err err = {""};
	bool token = span_is(name, "token");

	if (token && !reading->token)
		reading->token = mem_text_n(value.p, value.len);
	if (call->key)
		return;
	if (call->single && !token) {
		call->key = "query";
		err_set(&call->wrong, STATUS_INVALID, "A single event is asked for with no parameter but token");
	} else if (wire_history_part(&reading->asked, name, value, &key, &err) != STATUS_OK) {
		call->key = key;
		call->wrong = err;
	}
}

static void read_event_id(struct events_call *call, const char *text)
{
	struct history_job *job = call->job;
	uint64_t id;

	call->nowhere = !wire_parse_position(span_of(text), job->journal, &id) || id == 0 || id == UINT64_MAX;
	if (call->nowhere)
		return;
	job->has_after = true;
	job->after = id - 1;
	job->before = id + 1;
	job->limit = 1;
}

/* The token that it comes with, malloc'ed; NULL: none. The operator's is not taken from a query (begin.c). */
static char *read_question(struct events_call *call, struct conn *conn)
{
	size_t max = conn->thread->shared->config.max_history_page;
	struct reading reading = {.call = call, .asked = {.job = call->job, .limit_max = max ? max : HISTORY_LIMIT_MAX}};
	char *bearer = request_bearer(conn->wsi);

	wire_history_begin(&reading.asked);
	query_each(conn->wsi, take_part, &reading);
	if (call->single)
		read_event_id(call, conn->exchange->head.event);
	if (!bearer && reading.token && !auth_is_operator(hub_config(conn_hub(conn))->auth, span_of(reading.token)))
		return reading.token;
	mem_wipe_free(reading.token);
	return bearer;
}

void events_begin(struct conn *conn)
{
	struct events_call *call = mem_zero(1, sizeof(*call));
	char *token;

	call->task.run = come_home;
	call->thread = conn->thread;
	call->conn = conn;
	call->single = conn->exchange->head.route == ROUTE_EVENT;
	call->body = buf_init(BUF_NO_MAX); /* by HISTORY_BYTES_MAX */
	call->deadline = clock_ms() + hub_config(conn_hub(conn))->live_timeout_ms;
	call->job = mem_zero(1, sizeof(*call->job));
	call->job->done = job_done;
	call->job->owner = call;
	call->job->deadline = call->deadline;
	token = read_question(call, conn);
	conn->exchange->events = call;
	lws_http_headers_detach(conn->wsi);
	lws_set_timeout(conn->wsi, NO_PENDING_TIMEOUT, 0);
	lws_rx_flow_control(conn->wsi, 0); /* the next request has to wait */
	conn_watch(conn, 0);
	enlist(call, &conn->thread->events.waiting);
	call->inquiry = hub_inquire(conn_hub(conn), span_of(token), on_identity, call);
	mem_wipe_free(token);
}

/* -- time -- */

void events_tick(struct thread *thread)
{
	struct events_desk *desk = &thread->events;
	int64_t now = clock_ms();

	while (desk->waiting.first && desk->waiting.first->deadline <= now)
		answer_error(desk->waiting.first, 503, "The database is not available: try again");
	if (first_queued(desk))
		answers_press(&thread->answers);
	go_on(thread);
}
