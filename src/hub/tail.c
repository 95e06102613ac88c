/* The newest events of the journal, kept for sessions that read on at their own pace. Ids have no
 * gaps, so the place of an event follows from its id and a look-up costs one mask.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "hub/internal.h"

static struct event **slot(const struct tail *tail, uint64_t id)
{
	return &tail->ring[id & (tail->room - 1)];
}

static void drop_oldest(struct tail *tail)
{
	struct event *event = *slot(tail, tail->first);

	tail->bytes -= event->size;
	tail->first++;
	tail->count--;
	event_unref(event);
}

void tail_reset(struct tail *tail, uint64_t next_id)
{
	while (tail->count)
		drop_oldest(tail);
	tail->first = next_id;
}

static void grow(struct tail *tail)
{
	struct tail bigger = *tail;

	bigger.room = tail->room ? tail->room * 2 : 64;
	bigger.ring = mem_zero(bigger.room, sizeof(struct event *));
	for (size_t i = 0; i < tail->count; i++)
		*slot(&bigger, tail->first + i) = *slot(tail, tail->first + i);
	free(tail->ring);
	*tail = bigger;
}

void tail_append(struct tail *tail, struct event *event)
{
	if (tail->count == tail->room)
		grow(tail);
	*slot(tail, event->id) = event_ref(event);
	tail->count++;
	tail->bytes += event->size;
}

void tail_trim(struct tail *tail, size_t max_bytes)
{
	while (tail->bytes > max_bytes)
		drop_oldest(tail);
}

struct event *tail_event(const struct tail *tail, uint64_t id)
{
	return id - tail->first < tail->count ? *slot(tail, id) : NULL;
}
