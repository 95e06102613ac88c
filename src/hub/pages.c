/* Pages of the journal that were read lately. After a restart of the relay everybody resumes from about the same place, and
 * one read serves them all; and a session that takes a page in several steps finds it here again. The newest page is kept
 * whatever its size, older ones as long as all of them are below a quarter of TAIL_BYTES.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "hub/internal.h"

struct page {
	struct page *next; /* used before this one */
	size_t bytes;
	struct event_batch batch; /* ids without a gap */
};

static void page_free(struct page *page)
{
	event_batch_finish(&page->batch);
	free(page);
}

static void trim(struct hub *hub)
{
	size_t bytes = 0;
	struct page **at = &hub->pages;

	while (*at) {
		struct page *page = *at;

		bytes += page->bytes;
		if (page == hub->pages || bytes <= hub->config->tail_bytes / 4) {
			at = &page->next;
			continue;
		}
		*at = page->next;
		page_free(page);
	}
}

/* The batch is empty afterwards, unless it has a hole and cannot be kept. */
void pages_keep(struct hub *hub, struct event_batch *batch)
{
	struct page *page;

	if (!batch->count || batch->events[batch->count - 1]->id - batch->events[0]->id != batch->count - 1)
		return;
	page = mem_zero(1, sizeof(*page));
	page->batch = *batch;
	*batch = (struct event_batch){0};
	for (size_t i = 0; i < page->batch.count; i++)
		page->bytes += page->batch.events[i]->size;
	page->next = hub->pages;
	hub->pages = page;
	trim(hub);
}

const struct event_batch *pages_find(struct hub *hub, uint64_t after)
{
	for (struct page **at = &hub->pages; *at; at = &(*at)->next) {
		struct page *page = *at;

		if (after + 1 < page->batch.events[0]->id || after >= page->batch.events[page->batch.count - 1]->id)
			continue;
		*at = page->next;
		page->next = hub->pages;
		hub->pages = page;
		return &page->batch;
	}
	return NULL;
}

void pages_drop(struct hub *hub)
{
	while (hub->pages) {
		struct page *page = hub->pages;

		hub->pages = page->next;
		page_free(page);
	}
}
