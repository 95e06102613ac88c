/* Page by page, within a bound of time, so that a consumer of a rare topic does not hold the lane up: it ends where it is,
 * and whoever asked goes on from there.
 *
 * Ids are given after commit and without a gap, so what is not pending below a position stays so: an event that commits late
 * has an id above everything that was ever read. Marks are asked for once for many events; most consumers have none.
 */
#include "source/consumer_scan.h"

#include <stdlib.h>

#include "base/clock.h"
#include "rules/wants.h"

#define PAGE_FIRST 16 /* at least: where the first pending event is all that is asked for, it is mostly the next one */
#define PAGE_MAX 1000
#define MARKS_AT_ONCE 1000

static enum status load_marks(struct consumer_scan *scan, uint64_t from, struct err *err)
{
	enum status status;

	consumer_mark_list_finish(&scan->marks);
	scan->mark = 0;
	status = scan->ops->consumer_marks(scan->lane, scan->name, from, INT64_MAX, MARKS_AT_ONCE, &scan->marks, err);
	if (status != STATUS_OK)
		return status;
	scan->marks_to = scan->marks.count < MARKS_AT_ONCE ? INT64_MAX : scan->marks.items[scan->marks.count - 1].id;
	return STATUS_OK;
}

static enum status is_marked(struct consumer_scan *scan, uint64_t id, bool *marked, struct err *err)
{
	if (id > scan->marks_to) {
		enum status status = load_marks(scan, id, err);

		if (status != STATUS_OK)
			return status;
	}
	while (scan->mark < scan->marks.count && scan->marks.items[scan->mark].id < id)
		scan->mark++;
	*marked = scan->mark < scan->marks.count && scan->marks.items[scan->mark].id == id;
	return STATUS_OK;
}

/* One event. False: it stays for the next scan. */
static bool take(struct consumer_scan *scan, struct event *event)
{
	if (scan->keeps && scan->events.count && scan->bytes + event->size > CONSUMER_BYTES_MAX)
		return false;
	scan->at = event->id;
	scan->pending++;
	if (!scan->keeps)
		return true;
	scan->bytes += event->size;
	event_batch_add(&scan->events, event_ref(event));
	return true;
}

static enum status take_page(struct consumer_scan *scan, const struct event_batch *page, bool *full, struct err *err)
{
	for (size_t i = 0; i < page->count && !*full; i++) {
		struct event *event = page->events[i];
		bool marked = false;

		if (wants_event(scan->wants, event)) {
			enum status status = is_marked(scan, event->id, &marked, err);

			if (status != STATUS_OK)
				return status;
			if (!marked) {
				*full = !take(scan, event) || scan->pending >= scan->limit;
				continue;
			}
		}
		scan->at = event->id;
		if (!scan->pending)
			scan->settled = event->id;
	}
	return STATUS_OK;
}

static size_t page_size(const struct consumer_scan *scan)
{
	size_t wanted = scan->pages ? PAGE_MAX : scan->limit;

	wanted = wanted < PAGE_FIRST ? PAGE_FIRST : wanted > PAGE_MAX ? PAGE_MAX : wanted;
	return wanted < scan->head - scan->at ? wanted : (size_t)(scan->head - scan->at);
}

enum status consumer_scan_run(struct consumer_scan *scan, struct err *err)
{
	struct event_batch page = {0};
	enum status status = STATUS_OK;
	bool full = false;

	scan->settled = scan->at;
	scan->ended = scan->at >= scan->head;
	while (status == STATUS_OK && !full && !scan->ended && (!scan->pages || clock_us() < scan->until)) {
		event_batch_clear(&page);
		status = scan->ops->read(scan->lane, scan->journal, scan->at, scan->key, page_size(scan), &page, err);
		if (status != STATUS_OK)
			break;
		scan->pages++;
		if (page.count)
			scan->key = page.events[page.count - 1]->key;
		status = take_page(scan, &page, &full, err);
		scan->ended = page.count == 0 || scan->at >= scan->head;
	}
	event_batch_finish(&page);
	return status;
}

void consumer_scan_finish(struct consumer_scan *scan)
{
	event_batch_finish(&scan->events);
	consumer_mark_list_finish(&scan->marks);
}
