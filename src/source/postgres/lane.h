/* One lane: a connection of its own and what is known on it. */
#ifndef ESINK_PG_LANE_H
#define ESINK_PG_LANE_H

#include "source/mark_budget.h"
#include "source/postgres/postgres.h"

struct lane {
	struct postgres *source;
	struct pg pg;
	struct pg_reader reader;
	char *lookup_sql;
	struct mark_budget marks;
};

static inline int pg_lane_timeout(const struct lane *lane)
{
	return lane->source->config->statement_timeout_ms;
}

/* Connects where there is no connection. */
enum status pg_lane_ready(struct lane *lane, int timeout_ms, struct err *err) MUST_CHECK;

#endif
