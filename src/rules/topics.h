/* What a session asked to receive: topic patterns (PCRE2, anchored at the start, matched against event->topic) and exact
 * types. A pattern is matched once per topic and remembered, not once per event. Belongs to one thread. */
#ifndef ESINK_TOPICS_H
#define ESINK_TOPICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esink/span.h"
#include "esink/status.h"

struct subscription;

/* Empty topics: every topic; empty types: every type. STATUS_INVALID with a sentence naming the pattern: does not compile,
 * longer than max_bytes, or too costly, by itself or with those before it; STATUS_TOO_MANY: more than max_patterns, or too many
 * bytes together. Match and depth limits are set. max_patterns SIZE_MAX: they were accepted once, and have only the limits of
 * each. */
enum status subscription_create(const struct span *topics, size_t topic_count, const struct span *types,
	size_t type_count, size_t max_patterns, size_t max_bytes, struct subscription **ret, struct err *err) MUST_CHECK;
/* The same in two steps, for whom it is not known yet: the first costs nothing but a copy and refuses for numbers and lengths
 * alone. Between them it may be destroyed and told of, and matches nothing yet. */
enum status subscription_draft(const struct span *topics, size_t topic_count, const struct span *types,
	size_t type_count, size_t max_patterns, size_t max_bytes, struct subscription **ret, struct err *err) MUST_CHECK;
enum status subscription_compile(struct subscription *subscription, struct err *err) MUST_CHECK;
void subscription_destroy(struct subscription *subscription);

/* type: as this session sees it. A pattern that hits its match limit does not match, nor does any once the time for this topic is
 * up. Of a very long topic only the beginning is looked at. */
bool subscription_wants(struct subscription *subscription, struct span topic, struct span type);

/* Of the thread's time, since it was last asked: what topics took that were met for the first time. */
int64_t subscription_matched_us(struct subscription *subscription);

/* For the `subscribed` message: as given. */
size_t subscription_topics(const struct subscription *subscription, const struct span **topics);
size_t subscription_types(const struct subscription *subscription, const struct span **types);

#endif
