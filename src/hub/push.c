/* A consumer over a session: `ready` names it, `events` brings a chunk, `ack` settles the chunk and asks for the next. It is the
 * same poll as over HTTP, one at a time, waiting for as long as the session lives: so a chunk is acknowledged in the database
 * before the next one is read, and one that was not comes again to whoever is ready next.
 *
 * A chunk is sent only to a session that is not behind its socket, and no second one before the first is acknowledged: that,
 * and the bound of a poll's bytes, is what a client that does not read can cost.
 *
 * What is remembered is gone with the session, and goes along when the session moves to another thread; a poll under way then
 * stays behind and is asked again there. Its acknowledgement may then be made twice, which changes nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hub/consume.h"
#include "hub/internal.h"
#include "rules/wants.h"

#define DEFAULT_LIMIT 100

struct push {
	struct session *session;
	struct consume *consume;    /* the poll; NULL: none under way */
	struct consumer_job *chunk; /* has come and waits for the socket */
	bool in_flight;             /* a chunk was sent and not acknowledged */
	bool acknowledges;          /* the next poll is to say so */
	uint64_t seq;               /* of the chunk that is next, or in flight */
	uint64_t last;              /* its last event, or that of the one before; of that one too: */
	uint64_t generation;        /* the registration it was told to */
	char journal[JOURNAL_LEN + 1];
	size_t limit;
	char name[CONSUMER_NAME_MAX + 1];
};

/* -- the end of it -- */

void push_depart(struct session *session)
{
	struct push *push = session->push;

	if (!push)
		return;
	consume_forget(push->consume);
	push->consume = NULL;
}

void push_forget(struct session *session)
{
	struct push *push = session->push;

	if (!push)
		return;
	push_depart(session);
	consumer_job_free(push->chunk);
	free(push);
	session->push = NULL;
}

/* -- errors -- */

static void say_why(struct session *session, int code, const char *type, const char *message)
{
	AUTO_BUF struct buf json = buf_init(4096);

	buf_printf(&json, "{\"code\":%d,\"type\":\"%s\",\"message\":", code, type);
	buf_json_string(&json, span_of(message));
	buf_text(&json, "}");
	say(session, "error", buf_as_span(&json));
}

static void say_failure(struct session *session, const struct consumer_job *job)
{
	if (job->status == STATUS_NOT_FOUND)
		say_why(session, 404, "NotRegistered", job->err.text);
	else if (job->status == STATUS_GONE)
		say_why(session, 410, "Gone", job->err.text);
	else if (job->status == STATUS_CONFLICT)
		say_why(session, 409, "OtherJournal", job->err.text);
	else if (job->status == STATUS_TOO_MANY || job->status == STATUS_INVALID)
		say_error(session, job->status == STATUS_INVALID ? 400 : 429, job->err.text);
	else
		say_error(session, 503, "The database is not available.");
}

/* -- polls and chunks -- */

static void answered(void *owner, struct consumer_job *job)
{
	struct push *push = owner;
	struct session *session = push->session;

	push->consume = NULL;
	if (job && job->status == STATUS_OK) {
		push->acknowledges = false;
		push->chunk = job->event_count ? job : NULL;
		if (!push->chunk) /* we are shutting down */
			consumer_job_free(job);
		else
			push_go_on(session);
		return;
	}
	push_forget(session);
	if (job)
		say_failure(session, job);
	consumer_job_free(job);
}

static void poll(struct push *push)
{
	const struct consume_owner owner = {.owner = push, .answer = answered};
	struct consumer_job *job = mem_zero(1, sizeof(*job));

	job->verb = CONSUMER_POLL;
	job->name = mem_text(push->name);
	job->limit = push->limit;
	job->has_ack = push->acknowledges;
	job->ack = push->last;
	if (push->acknowledges) {
		job->generation = push->generation;
		memcpy(job->of_journal, push->journal, sizeof(job->of_journal));
	}
	push->consume = consume_begin(push->session->hub, job, CONSUME_FOREVER, &owner);
}

static void write_chunk(struct buf *json, const struct push *push)
{
	const struct consumer_job *chunk = push->chunk;

	buf_printf(json, "{\"seq\":%" PRIu64 ",\"journal\":\"%s\",\"events\":[", push->seq, chunk->journal);
	for (size_t i = 0; i < chunk->event_count; i++) {
		buf_text(json, i ? "," : "");
		envelope_write(json, chunk->events[i], CLASS_BOTH);
	}
	buf_text(json, "]}");
}

static void send_chunk(struct session *session, struct push *push)
{
	AUTO_BUF struct buf json = buf_init(BUF_NO_MAX), message = buf_init(BUF_NO_MAX); /* by CONSUMER_BYTES_MAX */

	write_chunk(&json, push);
	wire_message(&message, session->ops->encoding, "events", buf_as_span(&json), (struct span){NULL, 0});
	push->last = push->chunk->events[push->chunk->event_count - 1]->id;
	push->generation = push->chunk->states[0].consumer.generation;
	memcpy(push->journal, push->chunk->journal, sizeof(push->journal));
	push->in_flight = true;
	consumer_job_free(push->chunk);
	push->chunk = NULL;
	session_tell(session, message.bytes, message.len);
}

void push_go_on(struct session *session)
{
	struct push *push = session->push;

	if (!push || !session_usable(session) || session->behind || push->in_flight || push->consume)
		return;
	if (push->chunk)
		send_chunk(session, push);
	else
		poll(push);
}

/* -- what clients say -- */

static bool may(struct session *session)
{
	if (!session_connected(session))
		say_error(session, 400, "Wait for `connected` before asking for a consumer's events.");
	else if (session->kind != SESSION_OPERATOR)
		say_error(session, 403, "Consumers are the operator's; connect with SECURITY_TOKEN.");
	else
		return true;
	return false;
}

static bool read_limit(const json_t *value, size_t *limit)
{
	json_int_t number = json_integer_value(value);

	*limit = DEFAULT_LIMIT;
	if (!value || json_is_null(value))
		return true;
	if (!json_is_integer(value) || number < 1 || number > CONSUMER_LIMIT_MAX)
		return false;
	*limit = (size_t)number;
	return true;
}

void push_ready(struct session *session, const json_t *data)
{
	const json_t *consumer = json_object_get(data, "consumer");
	struct span name = {json_string_value(consumer), json_string_length(consumer)};
	struct push *push;
	size_t limit;

	if (!may(session))
		return;
	if (name.p && wants_live(name)) {
		say_why(session, 400, "LiveNotAllowed", "LIVE is no consumer; what happens now is on this session already.");
		return;
	}
	if (!name.p || !wants_name_good(name)) {
		say_error(session, 400, "consumer must be a name of 1 to 64 of A-Z a-z 0-9 _ -.");
		return;
	}
	if (!read_limit(json_object_get(data, "limit"), &limit)) {
		say_error(session, 400, "limit must be a whole number from 1 to 1000.");
		return;
	}
	push_forget(session);
	push = session->push = mem_zero(1, sizeof(*push));
	push->session = session;
	push->limit = limit;
	snprintf(push->name, sizeof(push->name), "%.*s", (int)name.len, name.p);
	poll(push);
}

void push_ack(struct session *session, const json_t *data)
{
	const json_t *seq = json_object_get(data, "seq");
	struct push *push = session->push;
	AUTO_BUF struct buf why = buf_init(256);

	if (!may(session))
		return;
	if (push && push->in_flight && json_is_integer(seq) && json_integer_value(seq) >= 0 &&
		(uint64_t)json_integer_value(seq) == push->seq) {
		push->in_flight = false;
		push->acknowledges = true;
		push->seq++;
		session->messages--; /* one for each chunk of ours: no flood, and MAX_MESSAGES_PER_SECOND is not for it */
		poll(push);
		return;
	}
	if (push && push->in_flight)
		buf_printf(&why, "seq is not that of the chunk in flight, %" PRIu64 ".", push->seq);
	else
		buf_text(&why, push ? "No chunk is in flight." : "No consumer is ready on this session.");
	say_error(session, 400, why.bytes);
}
