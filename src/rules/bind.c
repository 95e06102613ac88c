/* What the rules say of one table of the database.
 *
 * A name fits a relation exactly, folded to lower case, or only loosely (equal but for case). What
 * grants (routes, old rows) takes the best fit and never a loose one. What protects (FILTERS,
 * COLUMNS) takes a loose one too: a filter `users.password` must hold for a table "Users" just as
 * well. Columns are found exactly, then folded, then loosely where only one column fits; a filter
 * takes every column that fits loosely.
 *
 * Where TABLE_NAMES has both `Users` and `users`, an entry for `Users` is that table's alone.
 *
 * A column that the table lacks makes rule->missing: the name was right once or is a slip, and in
 * both cases something may be on its way out that should not be, so that the table is sent as key
 * alone until the configuration is mended.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rules/names.h"

#define NO_COLUMN SIZE_MAX

enum fit { FIT_NONE, FIT_LOOSE, FIT_FOLDED, FIT_EXACT };

static enum fit fit_text(const char *name, const char *actual)
{
	if (strcmp(name, actual) == 0)
		return FIT_EXACT;
	if (name_folds_to(name, actual))
		return FIT_FOLDED;
	return name_alike(span_of(name), span_of(actual)) ? FIT_LOOSE : FIT_NONE;
}

static enum fit fit_of(const struct table_name *name, const struct relation *relation)
{
	enum fit schema = FIT_EXACT, table;

	if (name->schema)
		schema = fit_text(name->schema, relation->schema);
	else if (!relation->in_default_schema)
		schema = FIT_NONE;
	table = fit_text(name->table, relation->table);
	return schema < table ? schema : table;
}

bool table_name_matches(const struct table_name *name, const struct relation *relation)
{
	return fit_of(name, relation) >= FIT_FOLDED;
}

bool table_name_protects(const struct table_name *name, const struct relation *relation)
{
	return fit_of(name, relation) != FIT_NONE;
}

bool column_name_protects(const char *name, const char *column)
{
	return fit_text(name, column) != FIT_NONE;
}

/* TABLE_NAMES has this very name and, under another one, this very relation. */
static bool is_for_another(
	const struct ruleset *set, const struct table_name *name, const struct relation *relation)
{
	bool named = false, other = false;

	if (fit_of(name, relation) == FIT_EXACT)
		return false;
	for (size_t i = 0; i < set->table_count; i++) {
		named |= table_name_same(&set->tables[i], name);
		other |= fit_of(&set->tables[i], relation) == FIT_EXACT;
	}
	return named && other;
}

static size_t find_column(const struct relation *relation, const char *name)
{
	size_t best = NO_COLUMN;
	enum fit best_fit = FIT_NONE;
	bool several = false;

	for (size_t i = 0; i < relation->column_count; i++) {
		enum fit fit = fit_text(name, relation->columns[i]);

		if (fit == FIT_LOOSE && best_fit == FIT_LOOSE)
			several = true;
		if (fit > best_fit) {
			best_fit = fit;
			best = i;
		}
	}
	return best_fit == FIT_LOOSE && several ? NO_COLUMN : best;
}

static void note_missing(struct table_rule *rule, const char *variable,
	const struct table_name *table, const char *column)
{
	if (!rule->missing)
		rule->missing = mem_format("%s: %s.%s", variable, table->text, column);
}

/* True if the table has such a column. */
static bool hide(const struct relation *relation, const char *name, struct table_rule *rule)
{
	size_t exact = NO_COLUMN;
	bool any = false;

	for (size_t i = 0; i < relation->column_count; i++)
		if (strcmp(name, relation->columns[i]) == 0)
			exact = i;
	for (size_t i = 0; i < relation->column_count; i++) {
		if (exact != NO_COLUMN ? i != exact : !fit_text(name, relation->columns[i]))
			continue;
		rule->sent[i] = false;
		any = true;
	}
	return any;
}

static void bind_filters(
	const struct ruleset *set, const struct relation *relation, struct table_rule *rule)
{
	for (size_t i = 0; i < set->filter_count; i++) {
		const struct column_name *filter = &set->filters[i];

		if (!fit_of(&filter->table, relation) || hide(relation, filter->column, rule) ||
			is_for_another(set, &filter->table, relation))
			continue;
		if (!rule->missing_filter) {
			free(rule->missing); /* of COLUMNS: a filter is the graver */
			rule->missing = NULL;
		}
		note_missing(rule, filter->implied ? "AUTH_COLUMN" : "FILTERS", &filter->table,
			filter->column);
		rule->missing_filter = true;
	}
}

static void bind_columns(
	const struct ruleset *set, const struct relation *relation, struct table_rule *rule)
{
	enum fit best = FIT_NONE;

	for (size_t i = 0; i < set->column_count; i++) {
		enum fit fit = fit_of(&set->columns[i].table, relation);

		best = fit > best ? fit : best;
	}
	for (size_t i = 0; i < relation->column_count; i++)
		rule->sent[i] = best == FIT_NONE;
	for (size_t i = 0; i < set->column_count && best; i++) {
		const struct column_name *column = &set->columns[i];
		size_t at = find_column(relation, column->column);

		if (fit_of(&column->table, relation) != best)
			continue;
		if (at != NO_COLUMN)
			rule->sent[at] = true;
		else
			note_missing(rule, "COLUMNS", &column->table, column->column);
	}
}

static void add_route(struct table_rule *rule, size_t column)
{
	for (size_t i = 0; i < rule->route_count; i++)
		if (rule->route[i] == column)
			return;
	rule->route = mem_resize(rule->route, (rule->route_count + 1) * sizeof(*rule->route));
	rule->route[rule->route_count++] = column;
}

static void bind_route(
	const struct route_entry *route, const struct relation *relation, struct table_rule *rule)
{
	rule->broadcast |= route->broadcast;
	for (char **column = route->columns; column && *column; column++) {
		size_t at = find_column(relation, *column);

		if (at != NO_COLUMN) {
			add_route(rule, at);
			continue;
		}
		note_missing(rule, "TABLE_AUTH_COLUMN_ROUTING", &route->table, *column);
		rule->missing_route = true;
	}
}

static enum fit route_fit(
	const struct ruleset *set, const struct route_entry *route, const struct relation *relation)
{
	enum fit fit = fit_of(&route->table, relation);

	/* Asked last: it goes through all tables. */
	return fit && is_for_another(set, &route->table, relation) ? FIT_NONE : fit;
}

/* Which of the two ways to fit counts: an exact entry hides folded ones. */
static enum fit best_route_fit(const struct ruleset *set, const struct relation *relation)
{
	enum fit best = FIT_FOLDED;

	for (size_t i = 0; i < set->route_count; i++)
		if (route_fit(set, &set->routes[i], relation) > best)
			best = FIT_EXACT;
	return best;
}

static void bind_routes(
	const struct ruleset *set, const struct relation *relation, struct table_rule *rule)
{
	enum fit best = best_route_fit(set, relation);

	for (size_t i = 0; i < set->route_count; i++)
		if (route_fit(set, &set->routes[i], relation) == best)
			bind_route(&set->routes[i], relation, rule);
}

void ruleset_bind(
	const struct ruleset *ruleset, const struct relation *relation, struct table_rule *rule)
{
	*rule = (struct table_rule){.old_rows = ruleset->old_rows_all};
	rule->sent = mem_zero(relation->column_count, sizeof(*rule->sent));
	bind_columns(ruleset, relation, rule);
	bind_filters(ruleset, relation, rule);
	bind_routes(ruleset, relation, rule);
	for (size_t i = 0; i < ruleset->old_row_count; i++)
		if (table_name_matches(&ruleset->old_rows[i], relation) &&
			!is_for_another(ruleset, &ruleset->old_rows[i], relation))
			rule->old_rows = true;
}

static bool is_watched(const struct ruleset *set, const struct relation *relation)
{
	for (size_t i = 0; i < set->table_count; i++)
		if (table_name_matches(&set->tables[i], relation))
			return true;
	return false;
}

static bool is_restricted(
	const struct column_name *list, size_t count, const struct relation *relation)
{
	for (size_t i = 0; i < count; i++)
		if (fit_of(&list[i].table, relation))
			return true;
	return false;
}

struct table_view ruleset_view(const struct ruleset *ruleset, const struct relation *relation)
{
	enum fit best = best_route_fit(ruleset, relation);
	struct table_view view = {.watched = is_watched(ruleset, relation)};

	for (size_t i = 0; i < ruleset->route_count && view.watched; i++) {
		const struct route_entry *route = &ruleset->routes[i];

		if (route_fit(ruleset, route, relation) != best)
			continue;
		view.users = true;
		view.everyone |= route->broadcast;
	}
	view.filtered = is_restricted(ruleset->filters, ruleset->filter_count, relation) ||
			is_restricted(ruleset->columns, ruleset->column_count, relation);
	return view;
}

enum status table_rule_complain(const struct table_rule *rule, struct err *complaint)
{
	const char *what = "carry keys alone";

	if (!rule->broadcast && !rule->route_count)
		what = "reach no user, and the operator and consumers with keys alone,";
	else if (rule->missing_route && !rule->broadcast)
		what = "reach only users whom its other routing columns name, with keys alone,";
	return err_set(complaint, STATUS_FAILED, "%s: the table has lost that column; its events %s until the column is back or the "
		"configuration is mended", rule->missing, what);
}

void table_rule_finish(struct table_rule *rule)
{
	free(rule->route);
	free(rule->sent);
	free(rule->missing);
	*rule = (struct table_rule){0};
}
