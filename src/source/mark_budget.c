/* A consumer that settles everything but one event leaves a mark for each: what it has above its cursor must have a bound. To
 * count a hundred thousand marks takes the database some ten milliseconds, for each mark too long; so a share of what is left
 * is given out at a time, the smaller the nearer the bound. Names share slots by their hash: who comes anew is counted. */
#include "source/mark_budget.h"

#include <stdio.h>
#include <string.h>

#define SHARE 16 /* of what is left is given out before it is counted again */

static size_t slot_of(const char *consumer)
{
	uint32_t h = 2166136261u;

	for (; *consumer; consumer++)
		h = (h ^ (unsigned char)*consumer) * 16777619u;
	return h % MARK_BUDGET_SLOTS;
}

bool mark_budget_take(struct mark_budget *budget, const char *consumer)
{
	size_t i = slot_of(consumer);

	if (strcmp(budget->slots[i].consumer, consumer) != 0 || budget->slots[i].left <= 0)
		return false;
	budget->slots[i].left--;
	return true;
}

enum status mark_budget_counted(struct mark_budget *budget, const char *consumer, int64_t count, uint64_t lowest, uint64_t id,
	struct err *err)
{
	size_t i = slot_of(consumer);

	budget->slots[i].left = 0;
	if (count >= MARKS_MAX && id >= lowest)
		return err_set(err, STATUS_TOO_MANY, "consumer \"%s\" has settled %d events above one that it has not: settle that one, or "
			"acknowledge up to it", consumer, MARKS_MAX);
	snprintf(budget->slots[i].consumer, sizeof(budget->slots[i].consumer), "%s", consumer);
	budget->slots[i].left = count < MARKS_MAX ? (MARKS_MAX - count) / SHARE : 0; /* beside the one that is asked for */
	return STATUS_OK;
}
