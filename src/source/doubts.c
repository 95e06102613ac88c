/* Warnings about what is allowed and looks like a mistake.
 *
 * The token column is withheld from AUTH_TABLE by itself and from no other table. Where AUTH_TABLE is a view, the tokens lie in the
 * table behind it, and that may be watched. Databases do not tell alike which column a view shows, so a column of that name in any
 * table is doubted. It is not withheld unasked: rows of the journal and published events are filtered by the configuration alone, and
 * half a filter would pass for a whole one.
 */
#include "source/doubts.h"

#include <string.h>

#include "base/log.h"

void doubts_of_tokens(const char *driver, const struct source_config *config, const struct watched *table)
{
	for (size_t i = 0; i < table->relation.column_count; i++) {
		const char *column = table->relation.columns[i];

		if (table->rule->sent[i] && column_name_protects(config->auth_column, column))
			log_warn(driver, "AUTH_COLUMN: column %s.%s has the name of the token column and is sent: if it holds tokens, as "
				"behind a view, add %s.%s to FILTERS; only that of AUTH_TABLE (\"%s\") is withheld by itself", table->topic,
				column, table->topic, column, config->auth_table);
	}
}

static bool protects(const struct table_name *name, const struct relation *tables, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (table_name_protects(name, &tables[i]))
			return true;
	return false;
}

/* Of several entries for one table the first is told. */
static bool is_first(const struct column_name *list, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (!strcmp(list[i].table.text, list[at].table.text))
			return false;
	return !list[at].implied;
}

void doubts_of_unwatched(const char *driver, const struct ruleset *rules, const struct relation *tables, size_t count)
{
	for (size_t i = 0; i < rules->filter_count; i++)
		if (is_first(rules->filters, i) && !protects(&rules->filters[i].table, tables, count))
			log_warn(driver, "FILTERS: table \"%s\" is not in TABLE_NAMES: its columns are withheld from published events of that "
				"name and from nothing else", rules->filters[i].table.text);
	for (size_t i = 0; i < rules->column_count; i++)
		if (is_first(rules->columns, i) && !protects(&rules->columns[i].table, tables, count))
			log_warn(driver, "COLUMNS: table \"%s\" is not in TABLE_NAMES: naming it does nothing", rules->columns[i].table.text);
}
