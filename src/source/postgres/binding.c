/* The rules meet the catalogue: what each watched table sends, and to whom.
 *
 * Partitions and inheriting tables have rules only in so far as these withhold: their rows are told
 * as those of the table that is watched, by its one function, so that what FILTERS or COLUMNS say of
 * one of them goes for all.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/postgres/catalog.h"

static const char **names_of(const struct pg_columns *columns)
{
	const char **names = mem_zero(columns->count + 1, sizeof(*names));

	for (size_t c = 0; c < columns->count; c++)
		names[c] = columns->list[c].name;
	return names;
}

/* What the rule of a partition or a child withholds is withheld from the whole table: all of them are told as its rows, by
 * one function. */
static void withhold(struct pg_table *table, const struct relation *member, struct table_rule *rule)
{
	for (size_t c = 0; c < table->columns.count; c++)
		for (size_t m = 0; m < member->column_count; m++)
			if (strcmp(table->column_names[c], member->columns[m]) == 0)
				table->rule.sent[c] &= rule->sent[m];
	if (!rule->missing_filter || table->rule.missing_filter)
		return;
	free(table->rule.missing);
	table->rule.missing = rule->missing;
	table->rule.missing_filter = true;
	rule->missing = NULL;
}

static void bind_members(
	const struct pg_catalog *catalog, struct pg_table *table, const struct ruleset *rules)
{
	for (size_t i = 0; i < table->member_count; i++) {
		const struct pg_member *member = &table->members[i];
		const struct pg_columns *own = catalog_composite(catalog, member->oid);
		struct relation relation = {
			member->schema, member->table, member->in_default_schema, NULL, 0};
		AUTO_FREE const char **names = NULL;
		struct table_rule rule;

		if (member->oid == table->oid || !ruleset_view(rules, &relation).filtered)
			continue;
		own = own ? own : &table->columns; /* a partition's have the same names */
		names = names_of(own);
		relation.columns = names;
		relation.column_count = own->count;
		ruleset_bind(rules, &relation, &rule);
		withhold(table, &relation, &rule);
		table_rule_finish(&rule);
	}
}

void catalog_bind(struct pg_catalog *catalog)
{
	for (size_t i = 0; i < catalog->table_count; i++) {
		struct pg_table *table = &catalog->tables[i];
		struct relation relation = {table->schema, table->name, table->in_default_schema,
			NULL, table->columns.count};

		table->column_names = names_of(&table->columns);
		relation.columns = table->column_names;
		ruleset_bind(catalog->rules, &relation, &table->rule);
		bind_members(catalog, table, catalog->rules);
	}
}
