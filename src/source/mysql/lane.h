/* One lane: a connection of its own and what is known on it. */
#ifndef ESINK_MYSQL_LANE_H
#define ESINK_MYSQL_LANE_H

#include "source/mark_budget.h"
#include "source/mysql/mysql.h"

struct lane {
	struct mysql *source;
	struct my_db db;
	struct my_reader reader;
	bool numeric;
	char known[JOURNAL_LEN + 1]; /* the journal whose shapes the reader has */
	int64_t used;                /* ms, monotonic */
	struct mark_budget marks;
};

static inline int my_lane_timeout(const struct lane *lane)
{
	return lane->source->config->statement_timeout_ms;
}

/* Connects where there is no connection, or one that no longer answers. */
enum status my_lane_ready(struct lane *lane, int64_t deadline, struct err *err) MUST_CHECK;

#endif
