/* A slot for each consumer, found by looking at all of them. A slot is as good as the patterns that it was made from: a row that says
 * others, because the consumer was registered anew, by way of another relay perhaps, has it made anew, as if it had never been heard of.
 *
 * The patterns are compiled without limits: they were within them when they were registered.
 */
#include "source/consumer_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rules/wants.h"

#define REMEMBERED 1000 /* consumers: those that MAX_CONSUMERS allows, mostly */

struct consumer_memory {
	struct remembered slots[REMEMBERED];
	uint64_t clock;
};

struct consumer_memory *consumer_memory_create(void)
{
	return mem_zero(1, sizeof(struct consumer_memory));
}

static void forget(struct remembered *slot)
{
	wants_destroy(slot->wants);
	free(slot->topics);
	free(slot->types);
	*slot = (struct remembered){0};
}

void consumer_memory_destroy(struct consumer_memory *memory)
{
	for (size_t i = 0; memory && i < REMEMBERED; i++)
		forget(&memory->slots[i]);
	free(memory);
}

/* That of the name, else the one that was used longest ago, as it is. */
static struct remembered *slot_of(struct consumer_memory *memory, const char *name)
{
	struct remembered *oldest = memory->slots;

	for (size_t i = 0; i < REMEMBERED; i++) {
		if (strcmp(memory->slots[i].name, name) == 0)
			return &memory->slots[i];
		if (memory->slots[i].used < oldest->used)
			oldest = &memory->slots[i];
	}
	return oldest;
}

enum status consumer_memory_recall(
	struct consumer_memory *memory, const struct consumer *row, struct remembered **ret, struct err *err)
{
	struct remembered *slot = slot_of(memory, row->name);
	struct wants *wants = NULL;
	enum status status;

	if (!slot->wants || strcmp(slot->name, row->name) != 0 || strcmp(slot->topics, row->topics) != 0 ||
		strcmp(slot->types, row->types) != 0) {
		status = wants_create(row->topics, row->types, SIZE_MAX, SIZE_MAX, &wants, err);
		if (status != STATUS_OK)
			return status == STATUS_INVALID ? STATUS_FAILED : status;
		forget(slot);
		snprintf(slot->name, sizeof(slot->name), "%s", row->name);
		slot->topics = mem_text(row->topics);
		slot->types = mem_text(row->types);
		slot->wants = wants;
	}
	slot->used = ++memory->clock;
	*ret = slot;
	return STATUS_OK;
}
