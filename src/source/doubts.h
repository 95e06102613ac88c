/* What the configuration may say of the watched tables without meaning it. The drivers tell it once at the start and with --check, when
 * every name has been found. */
#ifndef ESINK_DOUBTS_H
#define ESINK_DOUBTS_H

#include "esink/source.h"
#include "rules/ruleset.h"

struct watched {
	struct relation relation;
	const char *topic;
	const struct table_rule *rule;
};

/* Columns that have the name of AUTH_COLUMN and are sent. There is a token table. */
void doubts_of_tokens(const char *driver, const struct source_config *config, const struct watched *table);
/* FILTERS and COLUMNS that name none of the tables, which are those that are watched and (without columns) whatever is told as one of
 * their rows. */
void doubts_of_unwatched(const char *driver, const struct ruleset *rules, const struct relation *tables, size_t count);

#endif
