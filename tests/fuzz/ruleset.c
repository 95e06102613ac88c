/* The five variables and a table to bind them to. Seven fields: TABLE_NAMES, routing, FILTERS,
 * COLUMNS, OLD_ROWS, the table, a column. What was accepted must hold together: a column that a
 * filter names as it is never leaves. */
#include "fuzz.h"

#include "rules/ruleset.h"

static void bind(const struct ruleset *set, const char *table, const char *column)
{
	const char *columns[] = {"id", column, "ID", "name"};
	struct relation relation = {"public", table, true, columns, 4};
	struct table_rule rule;

	ruleset_bind(set, &relation, &rule);
	for (size_t i = 0; i < set->filter_count; i++)
		if (table_name_matches(&set->filters[i].table, &relation) &&
			strcmp(set->filters[i].column, column) == 0)
			MUST(!rule.sent[1] || strcmp(column, "id") == 0);
	MUST(!rule.missing_filter || rule.missing);
	for (size_t i = 0; i < rule.route_count; i++)
		MUST(rule.route[i] < 4);
	table_rule_finish(&rule);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span input = {(const char *)bytes, size};
	char *fields[7];
	struct err err = {""};
	struct ruleset *set;

	for (size_t i = 0; i < 7; i++)
		fields[i] = fuzz_text(fuzz_field(&input));
	set = ruleset_create(&(struct ruleset_text){.table_names = fields[0],
				     .routing = fields[1],
				     .filters = fields[2],
				     .columns = fields[3],
				     .old_rows = fields[4],
				     .auth_table = fields[5],
				     .auth_column = "token"},
		&err);
	MUST(set || *err.text);
	if (set)
		bind(set, fields[5], fields[6]);
	ruleset_destroy(set);
	for (size_t i = 0; i < 7; i++)
		free(fields[i]);
	return 0;
}
