/* The five texts together: read, then looked over for entries that a slip of the pen keeps from
 * applying.
 *
 * Nothing here knows a database. What a name means there is decided when a driver binds the rules
 * to the tables that it found (bind.c); what can be said before, wrong shapes and near misses, is
 * said at the start.
 */
#include "rules/ruleset.h"

#include <stdlib.h>

#include "base/mem.h"
#include "rules/names.h"

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static enum status read_all(struct ruleset *set, const struct ruleset_text *text, struct err *err)
{
	enum status status = tables_read(set, or_empty(text->table_names), err);

	if (status == STATUS_OK)
		status = routing_read(set, or_empty(text->routing), err);
	if (status == STATUS_OK)
		status = filters_read(set, or_empty(text->filters), err);
	if (status == STATUS_OK)
		status = columns_read(set, or_empty(text->columns), err);
	if (status == STATUS_OK)
		status = old_rows_read(set, or_empty(text->old_rows), err);
	if (status == STATUS_OK)
		status = unwatched_check(set, err);
	if (status == STATUS_OK && text->auth_table && text->auth_column)
		status = auth_filter_add(set, text->auth_table, text->auth_column, err);
	return status;
}

struct ruleset *ruleset_create(const struct ruleset_text *text, struct err *err)
{
	struct ruleset *set = mem_zero(1, sizeof(*set));

	if (read_all(set, text, err) == STATUS_OK)
		return set;
	ruleset_destroy(set);
	return NULL;
}

static void tables_finish(struct table_name *tables, size_t count)
{
	for (size_t i = 0; i < count; i++)
		table_name_finish(&tables[i]);
	free(tables);
}

static void columns_finish(struct column_name *columns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		table_name_finish(&columns[i].table);
		free(columns[i].column);
	}
	free(columns);
}

void ruleset_destroy(struct ruleset *ruleset)
{
	if (!ruleset)
		return;
	tables_finish(ruleset->tables, ruleset->table_count);
	tables_finish(ruleset->old_rows, ruleset->old_row_count);
	columns_finish(ruleset->filters, ruleset->filter_count);
	columns_finish(ruleset->columns, ruleset->column_count);
	for (size_t i = 0; i < ruleset->route_count; i++)
		route_entry_finish(&ruleset->routes[i]);
	free(ruleset->routes);
	free(ruleset);
}
