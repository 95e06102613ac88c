/* The order of checks is the contract's: no SECURITY_TOKEN configured (http.c), a token missing, a token wrong, then the
 * fields. The answer never repeats anything of the body.
 *
 * The job belongs to the lanes while it is under way, and comes back on whichever thread confirmed it; a task in the hub's
 * inbox brings it home. The connection may have gone by then: it detaches itself from the call.
 */
#include "transport/publish.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/random.h"
#include "rules/ruleset.h"
#include "transport/exchange.h"
#include "transport/thread.h"
#include "wire/wire.h"

struct publish_call {
	struct task task;
	struct hub *hub;
	struct conn *conn; /* NULL: detached */
	struct publish_job *job;
};

bool publish_enabled(const struct conn *conn)
{
	return auth_has_operator(hub_config(conn_hub(conn))->auth);
}

void publish_detach(struct publish_call *call)
{
	if (call)
		call->conn = NULL;
}

static void answer_error(struct conn *conn, int status, const char *message)
{
	AUTO_BUF struct buf body = buf_init(4096);

	reply_error_body(&body, status, message);
	exchange_answer_later(conn, status, buf_as_span(&body));
}

static void answer_unauthorized(struct conn *conn)
{
	refusals_note(conn, REFUSAL_PUBLISH);
	answer_error(conn, 401, "Unauthorized");
}

static void answer_invalid(struct conn *conn, const char *key, const char *message)
{
	AUTO_BUF struct buf body = buf_init(4096);

	reply_invalid_body(&body, key, message);
	exchange_answer_later(conn, 400, buf_as_span(&body));
}

static void answer_published(struct conn *conn, const struct publish_job *job)
{
	AUTO_BUF struct buf body = buf_init(BUF_NO_MAX); /* by the sessions of this relay */

	buf_printf(&body, "{\"code\":200,\"id\":\"%" PRIu64 "\",\"sentTo\":[", job->id);
	for (size_t i = 0; i < job->sent_to_count; i++) {
		buf_text(&body, i ? "," : "");
		buf_json_string(&body, span_of(job->sent_to[i]));
	}
	buf_text(&body, "],\"message\":\"Message queued for publishing\"}");
	exchange_answer_later(conn, 200, buf_as_span(&body));
}

static void answer_job(struct conn *conn, const struct publish_job *job)
{
	switch (job->status) {
	case STATUS_OK:
		answer_published(conn, job);
		return;
	case STATUS_INVALID:
		answer_invalid(conn, "data", job->err.text[0] ? job->err.text : "The database refuses it");
		return;
	case STATUS_TIMEOUT:
		answer_error(conn, 503, "Not confirmed in time: it may have been stored");
		return;
	default:
		answer_error(conn, 503, "The database is not available: it may have been stored");
	}
}

/* On the hub's thread. */
static void come_home(struct task *task)
{
	struct publish_call *call = (struct publish_call *)task;

	if (call->conn) {
		call->conn->exchange->call = NULL;
		answer_job(call->conn, call->job);
	}
	publish_job_free(call->job);
	free(call);
}

/* On any thread. */
static void job_done(struct publish_job *job)
{
	struct publish_call *call = job->owner;

	call->job = job;
	inbox_post(hub_inbox(call->hub), &call->task);
}

static struct publish_job *job_create(const struct published *published, char *data, const char *default_source)
{
	struct publish_job *job = mem_zero(1, sizeof(*job));
	struct publication *item = &job->item;

	item->topic = mem_text(published->table);
	item->type = mem_text(published->type);
	item->data = data;
	item->source = mem_text(published->source ? published->source : default_source);
	item->source_type = mem_text("api");
	item->broadcast = published->broadcast;
	item->user = published->has_user ? mem_text(published->user) : NULL;
	item->timestamp = published->timestamp;
	item->version = published->version;
	random_hex(item->ref, sizeof(item->ref) - 1);
	return job;
}

static void submit(struct conn *conn, struct publish_job *job)
{
	const struct services *services = &hub_config(conn_hub(conn))->services;
	struct publish_call *call = mem_zero(1, sizeof(*call));

	call->task.run = come_home;
	call->hub = conn_hub(conn);
	call->conn = conn;
	job->owner = call;
	job->done = job_done;
	conn->exchange->call = call;
	if (services->publish(services->context, job))
		return;
	conn->exchange->call = NULL;
	publish_job_free(job);
	free(call);
	answer_error(conn, 503, "Too many publications are waiting: try again");
}

/* The bearer's rights: STATUS_OK, STATUS_INVALID (no token at all), STATUS_UNAUTHORIZED. */
static enum status check_token(const struct conn *conn, const json_t *body)
{
	const struct auth *auth = hub_config(conn_hub(conn))->auth;
	const json_t *given = json_object_get(body, "securityToken");
	const char *bearer = conn->exchange->bearer;

	if (bearer && auth_is_operator(auth, span_of(bearer)))
		return STATUS_OK;
	if (json_is_string(given) && json_string_length(given)) {
		struct span token = {json_string_value(given), json_string_length(given)};

		return auth_is_operator(auth, token) ? STATUS_OK : STATUS_UNAUTHORIZED;
	}
	if (!bearer && (!given || json_is_null(given) || json_is_string(given)))
		return STATUS_INVALID;
	return STATUS_UNAUTHORIZED;
}

/* The data as it was written, digit for digit, without the filtered columns. */
static enum status filtered(const struct conn *conn, const struct published *published, char **data, struct err *err)
{
	static const char *const path[] = {"data", NULL};
	AUTO_FREE char *dumped = NULL;
	struct span raw;

	if (!wire_raw_member(buf_as_span(&conn->exchange->body), path, &raw)) { /* its name was written with escapes */
		dumped = json_dumps(published->data, JSON_COMPACT);
		raw = span_of(dumped);
	}
	return ruleset_filter_data(conn->thread->shared->config.rules, published->table, raw, data, err);
}

static void publish_fields(struct conn *conn, const json_t *body)
{
	struct published published;
	struct err err = {""};
	const char *key = "body";
	char *data = NULL;

	if (wire_parse_published(body, true, &published, &key, &err) != STATUS_OK) {
		answer_invalid(conn, key, err.text);
		return;
	}
	if (filtered(conn, &published, &data, &err) != STATUS_OK) {
		answer_invalid(conn, "data", err.text);
		return;
	}
	submit(conn, job_create(&published, data, hub_config(conn_hub(conn))->default_source));
}

/* With what the headers hold alone: a wrong one is told so before the body is looked at. */
static bool bearer_is_wrong(const struct conn *conn)
{
	const char *bearer = conn->exchange->bearer;

	return bearer && !auth_is_operator(hub_config(conn_hub(conn))->auth, span_of(bearer));
}

void publish_begin(struct conn *conn)
{
	struct err err = {""};
	json_t *body = wire_load(buf_as_span(&conn->exchange->body), &err);
	enum status status = json_is_object(body) ? check_token(conn, body) : STATUS_FAILED;

	if (status == STATUS_OK)
		publish_fields(conn, body);
	else if (status == STATUS_UNAUTHORIZED || (status == STATUS_FAILED && bearer_is_wrong(conn)))
		answer_unauthorized(conn);
	else if (status == STATUS_INVALID)
		answer_invalid(conn, "securityToken", "securityToken is missing");
	else
		answer_invalid(conn, "body", body ? "The body is not a JSON object" : conn->exchange->body.len ? err.text :
			"The body is empty: it must be a JSON object");
	json_decref(body);
}
