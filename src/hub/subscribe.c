/* subscribe and unsubscribe: what a session wants of what it may see. A new subscription replaces
 * the old one whole, and only when all of it is good.
 *
 * A client need not wait for `connected`. As long as its token is being looked up, what it wants is kept as it is and compiled
 * when it is let in, like what its request asked for: nobody has a thread's time who has not shown a token. A pattern that
 * turns out bad then ends the session, for by then the one before was let go.
 *
 * What patterns take of the thread, to be compiled and when topics are matched, is the user's to pay (allowance.c).
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "hub/internal.h"
#include "rules/topics.h"
#include "rules/wants.h"

/* Anything else is a slip of the pen: taken as nothing asked for, it would mean everything. */
static bool only_known_keys(const json_t *data)
{
	return json_object_size(data) == (size_t)(json_object_get(data, "topics") != NULL) +
						 (size_t)(json_object_get(data, "types") != NULL);
}

static bool is_admitted(const struct session *session)
{
	return session->state != SESSION_OPENED && session->state != SESSION_AUTHENTICATING;
}

static enum status parse(struct session *session, const json_t *data,
	struct subscription **ret, struct err *err)
{
	const struct hub_config *config = session->hub->config;
	struct span *topics, *types = NULL;
	size_t topic_count, type_count = 0;
	enum status status;

	if (!only_known_keys(data))
		return err_set(err, STATUS_INVALID, "subscribe takes topics and types, and nothing else.");
	if (!wants_strings(json_object_get(data, "topics"), &topics, &topic_count) ||
		!wants_strings(json_object_get(data, "types"), &types, &type_count))
		status = err_set(err, STATUS_INVALID, "topics and types must be lists of strings.");
	else if (!topic_count && !type_count)
		status = STATUS_OK;
	else
		status = (is_admitted(session) ? subscription_create : subscription_draft)(topics, topic_count, types, type_count,
			config->max_patterns, config->max_pattern_bytes, ret, err);
	free(topics);
	free(types);
	return status;
}

void subscription_charge(struct session *session)
{
	if (session->subscription)
		allowance_charge(session, subscription_matched_us(session->subscription));
}

void subscription_forget(struct session *session)
{
	subscription_charge(session);
	subscription_destroy(session->subscription);
	session->subscription = NULL;
}

static void replace(struct session *session, struct subscription *subscription)
{
	subscription_forget(session);
	session->subscription = subscription;
	say_subscribed(session);
}

static bool compile(struct session *session, struct err *err)
{
	int64_t began = clock_thread_us();
	enum status status = subscription_compile(session->subscription, err);

	allowance_charge(session, clock_thread_us() - began);
	return status == STATUS_OK;
}

bool subscribe_admitted(struct session *session)
{
	struct err err = {""};

	if (!session->subscription)
		return true;
	if (!allowance_left(session, &err))
		session_end_saying(session, 429, err.text, CLOSE_TOO_MANY);
	else if (!compile(session, &err))
		session_end_saying(session, 400, err.text, CLOSE_BAD_MESSAGE);
	return session_usable(session);
}

static enum status create_admitted(struct session *session, const json_t *data, struct subscription **ret, struct err *err)
{
	int64_t began = clock_thread_us();
	enum status status = parse(session, data, ret, err);

	subscription_charge(session);
	allowance_charge(session, clock_thread_us() - began);
	return status;
}

void subscribe_message(struct session *session, const json_t *data)
{
	struct subscription *subscription = NULL;
	struct err err = {""};
	bool admitted = is_admitted(session);

	if (admitted && !allowance_left(session, &err))
		say_error(session, 429, err.text);
	else if ((admitted ? create_admitted : parse)(session, data, &subscription, &err) == STATUS_OK)
		replace(session, subscription);
	else
		say_error(session, 400, err.text);
}

/* With topics in it, it would be meant to take away just these, and would give everything. */
void unsubscribe_message(struct session *session, const json_t *data)
{
	if (json_object_size(data))
		say_error(session, 400, "unsubscribe takes nothing, and goes back to everything: to go on with less, subscribe to what is to stay.");
	else
		replace(session, NULL);
}
