/* Entries of FILTERS, COLUMNS, OLD_ROWS and the routing whose table is not in TABLE_NAMES.
 *
 * They are legal: a filter also applies to published events of that topic. But `user.password`
 * beside a watched `users` is a slip that would send every password, so a name that nearly is a
 * watched one is refused at the start. Who does mean another table says so with double quotes.
 * Names of one or two characters are too near to everything to tell.
 *
 * A bare name never applies outside the default schema, so `orders.price` beside nothing but a
 * watched `shop.orders` is refused as well: it would protect nothing.
 */
#include <string.h>

#include "base/cleanup.h"
#include "rules/names.h"

static bool alike(const char *a, const char *b)
{
	return name_alike(span_of(a), span_of(b));
}

/* May both be the same table? A qualified name and a bare one may, when that schema is the default
 * one. */
static bool may_be(const struct table_name *entry, const struct table_name *watched)
{
	if (!alike(entry->table, watched->table))
		return false;
	return entry->schema ? !watched->schema || alike(entry->schema, watched->schema)
			     : !watched->schema;
}

static bool is_near(const struct table_name *entry, const struct table_name *watched)
{
	bool both = entry->schema && watched->schema;
	AUTO_FREE char *a = table_name_join(entry), *b = table_name_join(watched);
	const char *left = both ? a : entry->table, *right = both ? b : watched->table;
	size_t limit = name_distance_limit(left, right);

	return name_distance(left, right, limit) <= limit;
}

static enum status refuse(const char *variable, const struct table_name *entry,
	const struct table_name *watched, struct err *err)
{
	if (!entry->schema && watched->schema && alike(entry->table, watched->table))
		return err_set(err, STATUS_INVALID,
			"%s: \"%.*s\" is a table of the default schema, but TABLE_NAMES has only "
			"\"%.*s\": write "
			"the schema here too",
			variable, name_shown(entry->text), entry->text, name_shown(watched->text),
			watched->text);
	return err_set(err, STATUS_INVALID,
		"%s: table \"%.*s\" is not in TABLE_NAMES, which has \"%.*s\": one of the two is misspelt. "
		"(If they are two tables, put the one in %s in double quotes.)",
		variable, name_shown(entry->text), entry->text, name_shown(watched->text),
		watched->text, variable);
}

static enum status check(const struct ruleset *set, const char *variable,
	const struct table_name *entry, struct err *err)
{
	const struct table_name *near = NULL;

	for (size_t i = 0; i < set->table_count; i++) {
		const struct table_name *watched = &set->tables[i];

		if (may_be(entry, watched))
			return STATUS_OK;
		if (alike(entry->table, watched->table) && !entry->schema)
			near = watched;
		else if (!near && !table_name_is_quoted(entry) && is_near(entry, watched))
			near = watched;
	}
	return near ? refuse(variable, entry, near, err) : STATUS_OK;
}

static enum status check_columns(const struct ruleset *set, const char *variable,
	const struct column_name *columns, size_t count, struct err *err)
{
	enum status status = STATUS_OK;

	for (size_t i = 0; i < count && status == STATUS_OK; i++)
		status = check(set, variable, &columns[i].table, err);
	return status;
}

enum status unwatched_check(const struct ruleset *set, struct err *err)
{
	enum status status = check_columns(set, "FILTERS", set->filters, set->filter_count, err);

	if (status == STATUS_OK)
		status = check_columns(set, "COLUMNS", set->columns, set->column_count, err);
	for (size_t i = 0; i < set->old_row_count && status == STATUS_OK; i++)
		status = check(set, "OLD_ROWS", &set->old_rows[i], err);
	for (size_t i = 0; i < set->route_count && status == STATUS_OK; i++)
		status = check(set, "TABLE_AUTH_COLUMN_ROUTING", &set->routes[i].table, err);
	return status;
}
