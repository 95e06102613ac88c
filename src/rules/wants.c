/* A consumer asks for topics and types as a session does, and may ask for source types besides. What clients sent to each
 * other through the relay (socketio, websocket) is seen only by consumers that name it: a service that works on what the
 * database says must not have to know that browsers can say something too.
 *
 * The database keeps two texts of a consumer. Source types live in the one of the types, which is then an object instead of a
 * list, so that the many who never ask for them cost no column.
 */
#include "rules/wants.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "rules/topics.h"

static const char *const source_types_known[] = {"database", "sql", "api", "socketio", "websocket"};
#define SOURCE_TYPES (sizeof(source_types_known) / sizeof(*source_types_known))
#define BY_DEFAULT 0x7u /* the first three */

struct wants {
	struct subscription *subscription; /* NULL: every topic and type */
	unsigned source_types;             /* bits, by index */
};

static int source_type_index(struct span name)
{
	for (size_t i = 0; i < SOURCE_TYPES; i++)
		if (span_is(name, source_types_known[i]))
			return (int)i;
	return -1;
}

bool wants_name_good(struct span name)
{
	if (name.len < 1 || name.len > CONSUMER_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	return true;
}

bool wants_live(struct span name)
{
	return span_is(name, "LIVE");
}

bool wants_strings(const json_t *list, struct span **texts, size_t *count)
{
	const json_t *entry;
	size_t i;

	*texts = NULL;
	*count = 0;
	if (!list || json_is_null(list))
		return true;
	if (!json_is_array(list))
		return false;
	*texts = mem_zero(json_array_size(list) + 1, sizeof(**texts));
	json_array_foreach(list, i, entry)
	{
		if (!json_is_string(entry))
			return false;
		(*texts)[i] = (struct span){json_string_value(entry), json_string_length(entry)};
	}
	*count = json_array_size(list);
	return true;
}

static enum status read_source_types(const json_t *list, unsigned *bits, struct err *err)
{
	AUTO_FREE struct span *texts = NULL;
	unsigned found = 0;
	size_t count;

	if (!wants_strings(list, &texts, &count))
		return err_set(err, STATUS_INVALID, "source_types must be a list of strings.");
	for (size_t i = 0; i < count; i++) {
		int index = source_type_index(texts[i]);

		if (index < 0)
			return err_set(err, STATUS_INVALID,
				"source_types takes database, sql, api, socketio and websocket, and nothing else.");
		found |= 1u << index;
	}
	*bits = count ? found : BY_DEFAULT;
	return STATUS_OK;
}

/* The types alone first, which costs nothing: what is wrong after that is wrong with the topics. */
static enum status subscribe(const struct span *topics, size_t topic_count, const struct span *types, size_t type_count,
	size_t max_patterns, size_t max_bytes, struct subscription **ret, const char **key, struct err *err)
{
	struct subscription *trial = NULL;
	enum status status = subscription_create(NULL, 0, types, type_count, max_patterns, max_bytes, &trial, err);

	*key = "types";
	if (status != STATUS_OK)
		return status;
	if (!topic_count) {
		*ret = trial;
		return STATUS_OK;
	}
	subscription_destroy(trial);
	*key = "topics";
	return subscription_create(topics, topic_count, types, type_count, max_patterns, max_bytes, ret, err);
}

static enum status create(const json_t *topics, const json_t *types, const json_t *source_types, size_t max_patterns,
	size_t max_bytes, struct wants **ret, const char **key, struct err *err)
{
	AUTO_FREE struct span *topic_texts = NULL;
	AUTO_FREE struct span *type_texts = NULL;
	struct wants wants = {NULL, 0};
	size_t topic_count, type_count;
	enum status status = STATUS_OK;

	*key = "topics";
	if (!wants_strings(topics, &topic_texts, &topic_count))
		return err_set(err, STATUS_INVALID, "topics must be a list of strings.");
	*key = "types";
	if (!wants_strings(types, &type_texts, &type_count))
		return err_set(err, STATUS_INVALID, "types must be a list of strings.");
	*key = "source_types";
	status = read_source_types(source_types, &wants.source_types, err);
	if (status == STATUS_OK && (topic_count || type_count))
		status = subscribe(topic_texts, topic_count, type_texts, type_count, max_patterns, max_bytes,
			&wants.subscription, key, err);
	if (status != STATUS_OK)
		return status;
	*ret = mem_alloc(sizeof(wants));
	**ret = wants;
	return STATUS_OK;
}

static bool is_text(const char *text)
{
	return text && text[0];
}

static json_t *load(const char *text)
{
	return is_text(text) ? json_loads(text, 0, NULL) : NULL;
}

enum status wants_create(const char *topics, const char *types, size_t max_patterns, size_t max_bytes, struct wants **ret,
	struct err *err)
{
	json_t *topic_list = load(topics), *kept = load(types);
	bool plain = !json_is_object(kept);
	enum status status;
	const char *key;

	if ((is_text(topics) && !topic_list) || (is_text(types) && !kept))
		status = err_set(err, STATUS_INVALID, "What is kept of the consumer is not JSON.");
	else
		status = create(topic_list, plain ? kept : json_object_get(kept, "types"),
			plain ? NULL : json_object_get(kept, "source_types"), max_patterns, max_bytes, ret, &key, err);

	json_decref(topic_list);
	json_decref(kept);
	return status;
}

void wants_destroy(struct wants *wants)
{
	if (!wants)
		return;
	subscription_destroy(wants->subscription);
	free(wants);
}

bool wants_event(struct wants *wants, const struct event *event)
{
	int index = source_type_index(event->source_type);

	if (index >= 0 && !(wants->source_types & 1u << index))
		return false;
	return !wants->subscription || subscription_wants(wants->subscription, event->topic, event->type);
}

/* -- as it is kept -- */

static char *dump(const json_t *list)
{
	return list && !json_is_null(list) ? json_dumps(list, JSON_COMPACT) : mem_text("[]");
}

static bool is_empty(const json_t *list)
{
	return json_array_size(list) == 0;
}

enum status wants_texts(const json_t *topics, const json_t *types, const json_t *source_types, size_t max_patterns,
	size_t max_bytes, char **topics_text, char **types_text, const char **key, struct err *err)
{
	AUTO_FREE char *type_list = NULL, *source_list = NULL;
	struct wants *wants = NULL;
	enum status status = create(topics, types, source_types, max_patterns, max_bytes, &wants, key, err);

	if (status != STATUS_OK)
		return status;
	wants_destroy(wants);
	type_list = dump(types);
	source_list = dump(source_types);
	*topics_text = dump(topics);
	*types_text = is_empty(source_types) ? mem_text(type_list) :
					       mem_format("{\"types\":%s,\"source_types\":%s}", type_list, source_list);
	return STATUS_OK;
}

void wants_split(const char *text, char **types, char **source_types)
{
	json_t *kept = load(text);
	bool plain = !json_is_object(kept);
	const json_t *sources = plain ? NULL : json_object_get(kept, "source_types");

	*types = dump(plain ? kept : json_object_get(kept, "types"));
	*source_types = is_empty(sources) ? NULL : dump(sources);
	json_decref(kept);
}
