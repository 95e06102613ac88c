/* How many marks a consumer may have above its cursor, without counting them at each one: they are counted now and then, and up
 * to the next time a part of what is left may be written. Relays do not know of each other, so the bound is one of
 * magnitude. One of each lane; zeroed. */
#ifndef ESINK_SOURCE_MARK_BUDGET_H
#define ESINK_SOURCE_MARK_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "esink/consumer.h"

#define MARKS_MAX 100000
#define MARK_BUDGET_SLOTS 32

struct mark_budget {
	struct {
		char consumer[CONSUMER_NAME_MAX + 1];
		int64_t left;
	} slots[MARK_BUDGET_SLOTS];
};

/* Whether one more may be written without counting; takes it. */
bool mark_budget_take(struct mark_budget *budget, const char *consumer);
/* There are so many now above the cursor, the lowest of event `lowest`, and one of event id shall be written. STATUS_TOO_MANY: it
 * may not, unless it is that of an event below all of them, which is what they wait for. */
enum status mark_budget_counted(struct mark_budget *budget, const char *consumer, int64_t count, uint64_t lowest, uint64_t id,
	struct err *err) MUST_CHECK;

#endif
