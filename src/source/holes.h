/* Holes in what is captured (struct source_holes): found by looks at which watched tables lack triggers of ours. */
#ifndef ESINK_SOURCE_HOLES_H
#define ESINK_SOURCE_HOLES_H

#include <stdbool.h>

#include "esink/source.h"

struct hole_watch {
	struct source_holes holes;
	char *lacking; /* as the last look said; NULL: nothing yet */
};

/* lacking: what a look says now, names with commas, "" for none. True: some that lacked their triggers have them. */
bool holes_over(const struct hole_watch *watch, const char *lacking);
/* last: the newest id, as it was read after that look. */
void holes_add(struct hole_watch *watch, uint64_t last);
/* The end of a look; logs names that are new. */
void holes_seen(struct hole_watch *watch, const char *domain, const char *lacking);
/* Into what fetch() returns. True: there is news, for which it should return at once. */
bool holes_tell(const struct hole_watch *watch, struct event_batch *batch);
/* Another journal: it has none. */
void holes_forget(struct hole_watch *watch);
void holes_finish(struct hole_watch *watch);

#endif
