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
/* There are so many now. STATUS_TOO_MANY: no more may be. */
enum status mark_budget_counted(struct mark_budget *budget, const char *consumer, int64_t count, struct err *err) MUST_CHECK;

#endif
