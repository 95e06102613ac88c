/* What a consumer wants of the journal, as the database keeps it: two JSON texts. Belongs to one thread. */
#ifndef ESINK_WANTS_H
#define ESINK_WANTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "esink/consumer.h"
#include "esink/event.h"
#include "esink/status.h"

struct wants;

/* topics: a JSON array of patterns. types: a JSON array of types or, where source types are asked for,
 * {"types":[..],"source_types":[..]}. Empty arrays, "" and NULL mean everything. Errors as of subscription_create(). */
enum status wants_create(const char *topics, const char *types, size_t max_patterns, size_t max_bytes, struct wants **ret,
	struct err *err) MUST_CHECK;
void wants_destroy(struct wants *wants); /* NULL is fine */
bool wants_event(struct wants *wants, const struct event *event);

/* 1 to 64 of A-Z a-z 0-9 _ -. */
bool wants_name_good(struct span name);
/* The one name that is refused: what happens now is a stream's. */
bool wants_live(struct span name);

/* From a request's members, each a list of strings, NULL or null: the texts to keep, malloc'ed. Refuses what wants_create() would;
 * key then names the member. */
enum status wants_texts(const json_t *topics, const json_t *types, const json_t *source_types, size_t max_patterns,
	size_t max_bytes, char **topics_text, char **types_text, const char **key, struct err *err) MUST_CHECK;

/* The lists in a kept `types`, as JSON texts, malloc'ed; source_types NULL: not asked for. */
void wants_split(const char *text, char **types, char **source_types);

/* The strings of a list as spans, borrowed; *texts is malloc'ed. No list, or null: none. False: it is something else. */
bool wants_strings(const json_t *list, struct span **texts, size_t *count);

#endif
