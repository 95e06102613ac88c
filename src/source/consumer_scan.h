/* Reading the journal as one consumer sees it: what it wants and has not settled, from a position on. */
#ifndef ESINK_CONSUMER_SCAN_H
#define ESINK_CONSUMER_SCAN_H

#include "esink/source.h"

struct wants; /* rules/wants.h */

struct consumer_scan {
	/* Set by the caller, borrowed. */
	const struct source_ops *ops;
	void *lane;
	const char *name;
	struct wants *wants;
	struct span journal;
	uint64_t head;   /* ends there */
	uint64_t at;     /* begins after it; then: everything up to it was looked at */
	size_t limit;    /* ends when so many are pending */
	bool keeps;      /* keeps them, up to CONSUMER_BYTES_MAX but one at least */
	int64_t until;   /* clock_us(): ends at the page that passes it */
	/* The answer. */
	uint64_t settled; /* nothing up to it is pending */
	uint64_t pending; /* how many were found */
	bool ended;       /* at head */
	struct event_batch events;
	/* Its own. */
	uint64_t key;
	size_t bytes, pages, mark;
	struct consumer_mark_list marks;
	uint64_t marks_to;
};

enum status consumer_scan_run(struct consumer_scan *scan, struct err *err) MUST_CHECK; /* once */
void consumer_scan_finish(struct consumer_scan *scan);

#endif
