/* What of a journal's event may be told under today's rules. */
#ifndef ESINK_SOURCE_TODAY_H
#define ESINK_SOURCE_TODAY_H

#include "base/map.h"
#include "esink/event.h"
#include "rules/ruleset.h"

/* Zeroed but for rules. Used by one thread. */
struct today {
	const struct ruleset *rules; /* borrowed */
	struct map views; /* by topic; bounded by the tables that were ever watched */
	char *kept[18];   /* texts of the last event; 3 rows, 6 readings each */
	size_t kept_count;
};

/* A table's change: takes out columns and receivers. Texts that are put into parts live until the next call. topic must
 * be NUL-terminated. */
void today_row(struct today *today, struct event_parts *parts, const char *default_schema);
/* A published event: its receivers are its publisher's choice. */
void today_published(struct today *today, struct event_parts *parts);
void today_finish(struct today *today);

#endif
