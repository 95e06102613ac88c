/* A client's `event` message: a published event that goes through the journal to the sender's own
 * sessions, and to nobody else whatever it says. Nothing is answered when it went well: the event
 * itself comes back. The data is passed on as the client wrote it, digits and all, less the
 * filtered columns of the table that it names.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "hub/internal.h"
#include "rules/ruleset.h"

struct republish {
	struct publish_job job; /* first: publish_job_free() frees the whole */
	struct task task;
	struct hub *hub;
	struct session *session; /* NULL: gone meanwhile */
	struct republish *next;
};

/* {code, type, key, message, originalBody}: what the client sent, less what must not be echoed. */
static void say_invalid(struct session *session, const char *key, json_t *data)
{
	AUTO_BUF struct buf json = buf_init(HELD_MAX);
	json_t *original = json_copy(data);
	char *text;

	json_object_del(original, "securityToken");
	json_object_del(original, "token");
	text = json_dumps(original, JSON_COMPACT);
	json_decref(original);
	buf_text(&json, "{\"code\":400,\"type\":\"ValidationError\",\"key\":");
	buf_json_string(&json, span_of(key));
	buf_text(&json, ",\"message\":\"Invalid parameters given\",\"originalBody\":");
	buf_text(&json, text ? text : "{}");
	buf_text(&json, "}");
	free(text);
	if (json.full)
		say_error(session, 400, "Invalid parameters given");
	else
		say(session, "error", buf_as_span(&json));
}

static bool allowed(struct session *session)
{
	if (!session_connected(session))
		say_error(session, 400, "Wait for `connected` before sending an event.");
	else if (!session->hub->config->allow_republishing)
		say_error(session, 403,
			"This server does not take events from clients (ALLOW_REPUBLISHING).");
	else if (session->kind == SESSION_TEST)
		say_error(session, 403, "A TEST session cannot send events.");
	else if (session->kind == SESSION_OPERATOR)
		say_error(session, 400,
			"The operator has no user to send an event to; use POST /publish.");
	else
		return true;
	return false;
}

static void republish_done(struct task *task)
{
	struct republish *republish =
		(struct republish *)(void *)((char *)task - offsetof(struct republish, task));
	struct hub *hub = republish->hub;
	struct session *session = republish->session;
	struct republish **at = &hub->republishing;

	while (*at != republish)
		at = &(*at)->next;
	*at = republish->next;
	if (session && session_usable(session) && republish->job.status != STATUS_OK)
		say_error(session, 503, "The event was not confirmed; it may have been stored.");
	publish_job_free(&republish->job);
}

static void on_lane(struct publish_job *job)
{
	struct republish *republish = (struct republish *)job;

	inbox_post(&republish->hub->inbox, &republish->task);
}

void republish_forget(struct session *session)
{
	for (struct republish *at = session->hub->republishing; at; at = at->next)
		if (at->session == session)
			at->session = NULL;
}

/* The data object as text: the client's own bytes where they can be found. */
static char *data_text(struct span text, const json_t *data)
{
	static const char *const path[] = {"data", "data", NULL};
	struct span raw;

	if (wire_raw_member(text, path, &raw))
		return mem_text_n(raw.p, raw.len);
	return json_dumps(data, JSON_COMPACT);
}

static bool filter(const struct hub *hub, const char *table, char **text)
{
	char *filtered;
	struct err err;

	if (!hub->config->rules)
		return true;
	if (ruleset_filter_data(hub->config->rules, table, span_of(*text), &filtered, &err) !=
		STATUS_OK)
		return false;
	free(*text);
	*text = filtered;
	return true;
}

static struct republish *prepare(
	struct session *session, const struct published *published, char *data)
{
	struct republish *republish = mem_zero(1, sizeof(*republish));
	const char *source =
		published->source ? published->source : session->hub->config->default_source;

	republish->job.done = on_lane;
	republish->job.owner = session->hub;
	republish->job.item = (struct publication){.topic = mem_text(published->table),
		.type = mem_text(published->type),
		.data = data,
		.source = mem_text(source ? source : "API"),
		.source_type = mem_text(session->ops->name),
		.user = mem_text_n(session->user->id.p, session->user->id.len),
		.timestamp = published->timestamp,
		.version = published->version};
	random_hex(republish->job.item.ref, sizeof(republish->job.item.ref) - 1);
	republish->task.run = republish_done;
	republish->hub = session->hub;
	republish->session = session;
	return republish;
}

static void hand_over(struct session *session, struct republish *republish)
{
	struct hub *hub = session->hub;
	const struct services *services = &hub->config->services;

	republish->next = hub->republishing;
	hub->republishing = republish;
	if (services->publish(services->context, &republish->job))
		return;
	hub->republishing = republish->next;
	publish_job_free(&republish->job);
	say_error(session, 503, "Too many events wait to be stored; try again later.");
}

void republish_message(struct session *session, struct span text, json_t *data)
{
	struct published published;
	const char *key = "";
	struct err err;
	char *owned;

	if (!allowed(session))
		return;
	if (wire_parse_published(data, false, &published, &key, &err) != STATUS_OK) {
		say_invalid(session, key, data);
		return;
	}
	owned = data_text(text, published.data);
	if (!owned || !filter(session->hub, published.table, &owned)) {
		free(owned);
		say_invalid(session, "data", data);
		return;
	}
	hand_over(session, prepare(session, &published, owned));
}
