/* Consumers are the operator's: his token first, then the question, in the order of checks that POST /publish has. The rest is
 * the hub's (hub/consume.c), which also keeps a poll that waits; here a question becomes an answer's text.
 *
 * A poll that waits is no request under way: it does not hold up the end of the process, which answers it at once. Its client
 * may go meanwhile, and libwebsockets, which must not read its next request, does not see that; the kernel is asked now and
 * then.
 *
 * What a poll that waits will bring is not known before it comes: where the answers that are on their way out are too many (answers.c) it
 * is given up, 503, and its events come again. So they do where the operator's token was replaced meanwhile: 401.
 */
#include "transport/consumers.h"

#include <inttypes.h>
#include <stdlib.h>

#include "auth/auth.h"
#include "base/mem.h"
#include "hub/consume.h"
#include "rules/wants.h"
#include "transport/acknowledged.h"
#include "transport/consumer_question.h"
#include "transport/exchange.h"
#include "transport/thread.h"
#include "wire/wire.h"

struct consumer_call {
	struct conn *conn;
	struct consume *consume;
	struct answer answer;
};

bool consumers_take_body(const struct head *head)
{
	return (head->route == ROUTE_CONSUMER && head->method == METHOD_PUT) ||
		((head->route == ROUTE_POLL || head->route == ROUTE_MARK) && head->method == METHOD_POST);
}

bool consumers_asked(const struct head *head)
{
	bool reads = head->method == METHOD_GET || head->method == METHOD_HEAD;

	if (head->route == ROUTE_CONSUMERS || head->route == ROUTE_WATCH)
		return reads;
	if (head->route == ROUTE_CONSUMER && (reads || head->method == METHOD_DELETE))
		return true;
	return consumers_take_body(head);
}

void consumers_detach(struct consumer_call *call)
{
	if (!call)
		return;
	consume_forget(call->consume);
	answers_remove(&call->answer);
	free(call);
}

/* -- answers -- */

static void answer_error(struct conn *conn, int status, const char *type, const char *key, const char *message)
{
	AUTO_BUF struct buf body = buf_init(8192);

	buf_printf(&body, "{\"code\":%d", status);
	if (type)
		buf_printf(&body, ",\"type\":\"%s\"", type);
	if (key)
		buf_printf(&body, ",\"key\":\"%s\"", key);
	buf_text(&body, ",\"message\":");
	buf_json_string(&body, span_of(message));
	buf_text(&body, "}");
	exchange_answer_later(conn, status, buf_as_span(&body));
}

/* Which member of the question the lane did not like. */
static const char *key_of(const struct consumer_job *job)
{
	return job->verb == CONSUMER_PUT ? "from" : job->verb == CONSUMER_POLL ? "ack" : "id";
}

static void answer_failure(struct conn *conn, const struct consumer_job *job)
{
	const char *why = job->err.text;

	switch (job->status) {
	case STATUS_NOT_FOUND:
		answer_error(conn, 404, job->no_event ? NULL : "NotRegistered", NULL, why);
		return;
	case STATUS_GONE:
		answer_error(conn, 410, "Gone", NULL, why);
		return;
	case STATUS_CONFLICT:
		answer_error(conn, 409, "OtherJournal", key_of(job), why);
		return;
	case STATUS_INVALID:
		answer_error(conn, 400, "ValidationError", key_of(job), why);
		return;
	case STATUS_TOO_MANY:
		answer_error(conn, 429, NULL, NULL, why);
		return;
	default:
		answer_error(conn, 503, NULL, NULL, "The database is not available: try again");
	}
}

static void write_state(struct buf *body, const struct consumer_state *state)
{
	const struct consumer *consumer = &state->consumer;
	char *types, *source_types;

	wants_split(consumer->types, &types, &source_types);
	buf_printf(body, "{\"name\":\"%s\",\"topics\":%s,\"types\":%s", consumer->name,
		consumer->topics[0] ? consumer->topics : "[]", types);
	if (source_types)
		buf_printf(body, ",\"source_types\":%s", source_types);
	buf_printf(body, ",\"cursor\":\"%" PRIu64 "\",\"lag\":%" PRIu64 ",\"pending\":%" PRIu64, consumer->cursor, state->lag,
		state->pending);
	buf_text(body, state->pending_more ? ",\"pending_more\":true" : "");
	buf_text(body, consumer->dropped ? ",\"dropped\":true" : "");
	buf_printf(body, ",\"updated_at\":%" PRId64 "}", consumer->updated_at);
	free(types);
	free(source_types);
}

static void write_states(struct buf *body, const struct consumer_job *job)
{
	buf_text(body, "[");
	for (size_t i = 0; i < job->state_count; i++) {
		buf_text(body, i ? "," : "");
		write_state(body, &job->states[i]);
	}
	buf_text(body, "]");
}

static void write_events(struct buf *body, const struct consumer_job *job)
{
	buf_text(body, "{\"events\":[");
	for (size_t i = 0; i < job->event_count; i++) {
		buf_text(body, i ? "," : "");
		envelope_write(body, job->events[i], CLASS_BOTH);
	}
	buf_printf(body, "],\"cursor\":\"%" PRIu64 "\",\"journal\":\"%s\"}", job->cursor, job->journal);
}

static void write_names(struct buf *body, const char *key, char **names)
{
	buf_printf(body, "\"%s\":[", key);
	for (size_t i = 0; names[i]; i++)
		buf_printf(body, "%s\"%s\"", i ? "," : "", names[i]);
	buf_text(body, "]");
}

static void write_answer(struct buf *body, const struct consumer_job *job)
{
	switch (job->verb) {
	case CONSUMER_PUT:
	case CONSUMER_GET:
		write_state(body, job->states);
		return;
	case CONSUMER_LIST:
		write_states(body, job);
		return;
	case CONSUMER_POLL:
		write_events(body, job);
		return;
	case CONSUMER_MARK:
		buf_printf(body, "{\"code\":200,\"cursor\":\"%" PRIu64 "\"}", job->cursor);
		return;
	case CONSUMER_WATCH:
		buf_text(body, "{");
		write_names(body, "subscribers", job->subscribers);
		buf_text(body, ",");
		write_names(body, "completers", job->completers);
		buf_text(body, ",");
		write_names(body, "skippers", job->skippers);
		buf_text(body, "}");
		return;
	case CONSUMER_DELETE:
		return;
	}
}

static bool no_room(struct conn *conn)
{
	struct answers *answers = &conn->thread->answers;

	if (!answers_full(answers))
		return false;
	answers_press(answers);
	answer_error(conn, 503, NULL, NULL, "Too many answers are on their way to others: try again");
	return true;
}

static bool is_operator(struct conn *conn)
{
	const char *bearer = conn->exchange->bearer;

	return bearer && auth_is_operator(hub_config(conn_hub(conn))->auth, span_of(bearer));
}

static void answered(void *owner, struct consumer_job *job)
{
	AUTO_BUF struct buf body = buf_init(BUF_NO_MAX); /* by CONSUMER_BYTES_MAX, or by the consumers there are */
	struct consumer_call *call = owner;
	struct conn *conn = call->conn;

	call->consume = NULL;
	if (!job) {
		answer_error(conn, 503, NULL, NULL, "The database did not answer in time: try again");
	} else if (job->verb == CONSUMER_POLL && !is_operator(conn)) {
		answer_error(conn, 401, NULL, NULL, "Unauthorized"); /* no more: it may have waited long */
	} else if (job->status != STATUS_OK) {
		answer_failure(conn, job);
	} else if (!job->event_count || !no_room(conn)) {
		write_answer(&body, job);
		exchange_answer_later(conn, job->verb == CONSUMER_DELETE ? 204 : job->verb == CONSUMER_PUT && job->created ? 201 : 200,
			buf_as_span(&body));
		answers_add(&conn->thread->answers, &call->answer, conn);
	}
	consumer_job_free(job);
}

static bool alive(void *owner)
{
	struct consumer_call *call = owner;
	bool closed = false;

	acknowledged(call->conn->fd, &closed);
	if (closed)
		conn_kill(call->conn);
	return !closed;
}

/* -- questions -- */

static void submit(struct conn *conn, struct question *question)
{
	struct consumer_call *call;
	struct consume_owner owner = {.answer = answered, .alive = alive};

	if (question->job->verb == CONSUMER_POLL && no_room(conn))
		return;
	call = mem_zero(1, sizeof(*call));
	call->conn = conn;
	conn->exchange->consumer = call;
	if (question->wait_ms)
		exchange_idles(conn);
	owner.owner = call;
	call->consume = consume_begin(conn_hub(conn), question->job, question->wait_ms, &owner);
	if (call->consume)
		question->job = NULL;
	else
		answer_error(conn, 503, NULL, NULL, "Too many questions of consumers are waiting: try again");
}

/* Nothing of the next request is read before this one is answered. Headers that a body came with are kept: while libwebsockets
 * takes a connection to be in a body it attaches new ones to it as soon as more bytes are there, and then believes that
 * there is no request yet that could be answered: it would turn round and round, and answer nobody. */
static void hold(struct conn *conn)
{
	if (!consumers_take_body(&conn->exchange->head))
		lws_http_headers_detach(conn->wsi);
	lws_set_timeout(conn->wsi, NO_PENDING_TIMEOUT, 0);
	lws_rx_flow_control(conn->wsi, 0);
	conn_watch(conn, 0);
}

static void answer_unauthorized(struct conn *conn)
{
	refusals_note(conn, REFUSAL_CONSUMERS);
	answer_error(conn, 401, NULL, NULL, "Unauthorized");
}

void consumers_begin(struct conn *conn)
{
	const struct hub_config *config = hub_config(conn_hub(conn));
	struct exchange *exchange = conn->exchange;
	struct question question = {0};
	struct err err = {""};

	if (!exchange->bearer)
		exchange->bearer = request_bearer(conn->wsi);
	hold(conn);
	if (!is_operator(conn))
		answer_unauthorized(conn);
	else if (question_read(&question, &exchange->head, buf_as_span(&exchange->body), config, &err))
		submit(conn, &question);
	else
		answer_error(conn, question.code, question.type, question.key, err.text);
	consumer_job_free(question.job);
}
