/* Warnings about what is allowed and looks like a mistake.
 *
 * The token column is withheld from AUTH_TABLE by itself and from no other table. Where AUTH_TABLE is a view, the tokens lie in the
 * table behind it, and that may be watched. Databases do not tell alike which column a view shows, so a column of that name in any
 * table is doubted. It is not withheld unasked: rows of the journal and published events are filtered by the configuration alone, and
 * half a filter would pass for a whole one.
 */
#include "source/doubts.h"

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
