/* Private to src/rules: how the five variables write names, and how two names compare.
 *
 *   list  = [item] *("," [item])      spaces around an item do not count, empty items are skipped
 *   item  = part *("." part)          at most three parts
 *   part  = bare / quoted
 *   bare    no dot, comma, double quote or space
 *   quoted  "..." holding anything, a double quote written twice
 *
 * A name that stands alone (a key of the routing object, AUTH_TABLE) is an item in which a bare
 * part may hold spaces and commas, because nothing else could end it.
 */
#ifndef ESINK_RULES_NAMES_H
#define ESINK_RULES_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "esink/span.h"
#include "esink/status.h"
#include "rules/ruleset.h"

#define NAME_PARTS 3

struct name_item {
	char *text; /* as written, trimmed */
	char *parts[NAME_PARTS];
	size_t count;
	size_t last; /* where the last part begins in text */
};

struct name_reader {
	const char *variable; /* FILTERS */
	const char *shape;    /* table.column */
	const char *at;
	bool *star; /* an item * is not a name but sets this; NULL: it is refused */
};

/* Reads the next item of a list. STATUS_NOT_FOUND: there is no further one. */
enum status name_next(
	struct name_reader *reader, struct name_item *item, struct err *err) MUST_CHECK;
/* Reads the whole of reader->at as one name. */
enum status name_alone(
	struct name_reader *reader, struct name_item *item, struct err *err) MUST_CHECK;
void name_item_finish(struct name_item *item);
#define AUTO_ITEM __attribute__((cleanup(name_item_finish)))

/* `VARIABLE: "text" is not SHAPE` and, after a colon, the reason when there is one. */
enum status name_refuse(
	const struct name_reader *reader, const char *text, const char *reason, struct err *err);

/* The first count parts of item as a table, whose strings are its own from then on. */
struct table_name name_take_table(struct name_item *item, size_t count);
bool table_name_same(const struct table_name *a, const struct table_name *b); /* byte for byte */
bool table_name_is_quoted(const struct table_name *name);
char *table_name_join(const struct table_name *name); /* schema.table without quotes, malloc'ed */

/* How much of text a message shows: a length for %.*s that does not cut a character in two. */
int name_shown(const char *text);

/* ASCII to lower case, as PostgreSQL folds: the second is the first one's lower case. */
bool name_folds_to(const char *name, const char *folded);
/* Equal but for case, Unicode's simple case folding included. */
bool name_alike(struct span a, struct span b);

/* Edits (insert, delete, replace, swap neighbours) from a to b, case not counted; more than limit
 * says limit + 1. */
size_t name_distance(const char *a, const char *b, size_t limit);
/* How many edits still read as a slip of the pen: none in a name of two characters, two from five
 * on. */
size_t name_distance_limit(const char *a, const char *b);

/* The lists of the ruleset, each filled by its own file. */
enum status tables_read(struct ruleset *set, const char *text, struct err *err) MUST_CHECK;
enum status old_rows_read(struct ruleset *set, const char *text, struct err *err) MUST_CHECK;
enum status filters_read(struct ruleset *set, const char *text, struct err *err) MUST_CHECK;
enum status columns_read(struct ruleset *set, const char *text, struct err *err) MUST_CHECK;
enum status auth_filter_add(
	struct ruleset *set, const char *table, const char *column, struct err *err) MUST_CHECK;
enum status routing_read(struct ruleset *set, const char *text, struct err *err) MUST_CHECK;
void route_entry_finish(struct route_entry *route);
/* Refuses entries that name a table almost as TABLE_NAMES does. */
enum status unwatched_check(const struct ruleset *set, struct err *err) MUST_CHECK;

#endif
