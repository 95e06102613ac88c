/* What is asked is checked whole before anything is handed over, and a member that nobody knows is refused: `topic` for
 * `topics` would subscribe to everything, `aks` for `ack` would never acknowledge.
 */
#include "transport/consumer_question.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "hub/hub.h"
#include "rules/wants.h"
#include "transport/request.h"
#include "wire/wire.h"

#define LIMIT_DEFAULT 100
#define MEMBER_SHOWN 64 /* bytes of a name that is not known */

static bool refuse(struct question *question, int code, const char *type, const char *key, struct err *err, const char *sentence)
{
	question->code = code;
	question->type = type;
	question->key = key;
	err_set(err, STATUS_INVALID, "%s", sentence);
	return false;
}

static bool wrong(struct question *question, const char *key, struct err *err, const char *sentence)
{
	return refuse(question, 400, "ValidationError", key, err, sentence);
}

/* A position, JOURNAL:ID, or an id alone: digits, as text or as a number. journal is "" at first, and of an id. */
static bool read_position(const json_t *value, char journal[JOURNAL_LEN + 1], uint64_t *id)
{
	struct span text = {json_string_value(value), json_string_length(value)};

	if (json_is_string(value))
		return wire_parse_position(text, journal, id);
	*id = (uint64_t)json_integer_value(value);
	return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool given(const json_t *value)
{
	return value && !json_is_null(value);
}

/* The member by its name, and those that there are. */
static bool unknown_member(struct question *question, const char *key, const char *const *names, struct err *err)
{
	char text[256] = "";
	size_t len = 0;

	for (size_t i = 0; names[i]; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", !i ? "" : names[i + 1] ? ", " : " and ", names[i]);
	wrong(question, "body", err, "");
	err_set(err, STATUS_INVALID, "\"%.*s\" is not known here: the body takes %s.", (int)utf8_shown(key, strlen(key), MEMBER_SHOWN), key, text);
	return false;
}

static bool only(struct question *question, const json_t *body, const char *const *names, struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)body, key, value)
	{
		size_t i = 0;

		while (names[i] && strcmp(names[i], key) != 0)
			i++;
		if (!names[i])
			return unknown_member(question, key, names, err);
	}
	return true;
}

static bool read_from(struct question *question, const json_t *from, struct err *err)
{
	struct consumer_job *job = question->job;

	if (!given(from))
		return true;
	if (json_is_string(from) && strcmp(json_string_value(from), "now") == 0) {
		job->from = FROM_NOW;
	} else if (json_is_string(from) && strcmp(json_string_value(from), "start") == 0) {
		job->from = FROM_START;
	} else {
		job->from = FROM_ID;
		if (!read_position(from, job->of_journal, &job->id))
			return wrong(question, "from", err,
				"from must be \"now\", \"start\" or the position or id of an event to go on after.");
	}
	return true;
}

static bool read_put(struct question *question, const json_t *body, const struct hub_config *config, struct err *err)
{
	static const char *const names[] = {"topics", "types", "source_types", "from", NULL};
	struct consumer_job *job = question->job;
	const char *key = "topics";

	if (!only(question, body, names, err) || !read_from(question, json_object_get(body, "from"), err))
		return false;
	if (wants_texts(json_object_get(body, "topics"), json_object_get(body, "types"), json_object_get(body, "source_types"),
		    config->max_patterns, config->max_pattern_bytes, &job->topics, &job->types, &key, err) == STATUS_OK)
		return true;
	question->code = 400;
	question->type = "ValidationError";
	question->key = key;
	return false;
}

static bool read_wait(struct question *question, const json_t *wait, struct err *err)
{
	double seconds = json_number_value(wait);

	if (!given(wait))
		return true;
	if (!json_is_number(wait) || !(seconds >= 0 && seconds <= CONSUMER_WAIT_MAX))
		return wrong(question, "wait", err, "wait must be a number of seconds from 0 to 30.");
	question->wait_ms = (int64_t)(seconds * 1000);
	return true;
}

static bool read_poll(struct question *question, const json_t *body, struct err *err)
{
	static const char *const names[] = {"ack", "limit", "wait", NULL};
	const json_t *ack = json_object_get(body, "ack"), *limit = json_object_get(body, "limit");
	struct consumer_job *job = question->job;

	if (!only(question, body, names, err))
		return false;
	job->has_ack = given(ack);
	if (job->has_ack && !read_position(ack, job->of_journal, &job->ack))
		return wrong(question, "ack", err, "ack must be the position or the id of an event.");
	job->limit = LIMIT_DEFAULT;
	if (given(limit)) {
		json_int_t number = json_integer_value(limit);

		if (!json_is_integer(limit) || number < 1 || number > CONSUMER_LIMIT_MAX)
			return wrong(question, "limit", err, "limit must be a whole number from 1 to 1000.");
		job->limit = (size_t)number;
	}
	return read_wait(question, json_object_get(body, "wait"), err);
}

static bool read_mark(struct question *question, const json_t *body, struct err *err)
{
	static const char *const names[] = {"id", "outcome", NULL};
	const char *outcome = json_string_value(json_object_get(body, "outcome"));
	struct consumer_job *job = question->job;

	if (!only(question, body, names, err))
		return false;
	if (!read_position(json_object_get(body, "id"), job->of_journal, &job->id))
		return wrong(question, "id", err, "id must be the position or the id of an event.");
	if (!outcome || (strcmp(outcome, "completed") != 0 && strcmp(outcome, "skipped") != 0))
		return wrong(question, "outcome", err, "outcome must be \"completed\" or \"skipped\".");
	job->outcome = outcome[0] == 's' ? OUTCOME_SKIPPED : OUTCOME_COMPLETED;
	return true;
}

static bool read_body(struct question *question, struct span text, const struct hub_config *config, struct err *err)
{
	struct err sentence = {""};
	json_t *body = text.len ? wire_load(text, &sentence) : json_object();
	bool good;

	if (!json_is_object(body)) {
		good = wrong(question, "body", err, body ? "The body is not a JSON object." : sentence.text);
	} else if (question->job->verb == CONSUMER_PUT) {
		good = read_put(question, body, config, err);
	} else {
		good = question->job->verb == CONSUMER_POLL ? read_poll(question, body, err) : read_mark(question, body, err);
	}
	json_decref(body);
	return good;
}

static bool read_name(struct question *question, const char *text, struct err *err)
{
	struct span name = span_of(text);

	if (wants_live(name))
		return refuse(question, 400, "LiveNotAllowed", NULL, err,
			"LIVE is no consumer: for what happens now, use a stream or a websocket.");
	if (!wants_name_good(name))
		return wrong(question, "name", err, "A consumer's name is 1 to 64 of A-Z a-z 0-9 _ -.");
	question->job->name = mem_text(text);
	return true;
}

static bool read_event(struct question *question, const char *text, struct err *err)
{
	char journal[JOURNAL_LEN + 1];

	if (wire_parse_position(span_of(text), journal, &question->job->id) && !journal[0])
		return true;
	return refuse(question, 404, NULL, NULL, err, "There is no event of this id in the journal.");
}

static enum consumer_verb verb_of(const struct head *head)
{
	switch (head->route) {
	case ROUTE_CONSUMERS:
		return CONSUMER_LIST;
	case ROUTE_POLL:
		return CONSUMER_POLL;
	case ROUTE_MARK:
		return CONSUMER_MARK;
	case ROUTE_WATCH:
		return CONSUMER_WATCH;
	default:
		return head->method == METHOD_PUT ? CONSUMER_PUT : head->method == METHOD_DELETE ? CONSUMER_DELETE : CONSUMER_GET;
	}
}

bool question_read(struct question *question, const struct head *head, struct span body, const struct hub_config *config,
	struct err *err)
{
	struct consumer_job *job = mem_zero(1, sizeof(*job));

	*question = (struct question){.job = job};
	job->verb = verb_of(head);
	if (job->verb == CONSUMER_LIST)
		return true;
	if (job->verb == CONSUMER_WATCH)
		return read_event(question, head->event, err);
	if (!read_name(question, head->consumer, err))
		return false;
	if (job->verb == CONSUMER_GET || job->verb == CONSUMER_DELETE)
		return true;
	return read_body(question, body, config, err);
}
