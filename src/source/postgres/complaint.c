/* One function for each thing that may be wrong. Where it can be mended by a statement the sentence ends with that, ready to be
 * pasted; where a name is mistyped it names the one that is close.
 */
#include "source/postgres/complaint.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/postgres/statement.h"

#define NAMES_TIMEOUT_MS 30000

static enum status missing_table(struct pg *pg, const struct table_name *name, struct err *err)
{
	static const char sql[] = "SELECT CASE WHEN n.nspname = " PG_DEFAULT_SCHEMA " THEN c.relname "
				  "ELSE n.nspname || '.' || c.relname END "
				  "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
				  "WHERE c.relkind IN ('r', 'p') "
				  "AND n.nspname NOT IN ('pg_catalog', 'information_schema', "
				  "'esink', 'pg_toast') LIMIT 5000";
	AUTO_RESULT PGresult *result = NULL;
	const char *close = NULL;
	enum status status = pg_query(pg, sql, 0, NULL, NAMES_TIMEOUT_MS, &result, err);

	if (status != STATUS_OK)
		return status;
	if (PQntuples(result) > 0) {
		size_t count = (size_t)PQntuples(result);
		AUTO_FREE const char **all = mem_zero(count, sizeof(*all));

		for (size_t i = 0; i < count; i++)
			all[i] = PQgetvalue(result, (int)i, 0);
		close = closest_name(name->text, all, count);
	}
	if (close)
		return err_set(err, STATUS_NOT_FOUND,
			"TABLE_NAMES: there is no table \"%s\"; did you mean \"%s\"?", name->text,
			close);
	return err_set(err, STATUS_NOT_FOUND, "TABLE_NAMES: there is no table \"%s\"", name->text);
}

static enum status not_watchable(char kind, const struct table_name *name, struct err *err)
{
	const char *word = kind == 'v'   ? "a view"
			   : kind == 'm' ? "a materialized view"
					  : "a foreign table";

	return err_set(err, STATUS_INVALID,
		"TABLE_NAMES: \"%s\" is %s, which cannot be watched; name the table behind it",
		name->text, word);
}

/* The schemas of the system and of esink. Nobody but the system can make one whose name begins with pg_. */
static bool is_reserved(const char *schema)
{
	return strcmp(schema, "esink") == 0 || strcmp(schema, "information_schema") == 0 ||
	       strncmp(schema, "pg_", 3) == 0;
}

static enum status reserved(const char *schema, const struct table_name *name, struct err *err)
{
	return err_set(err, STATUS_INVALID,
		"TABLE_NAMES: \"%s\" is a table %s, which cannot be watched; name tables of your "
		"application",
		name->text, strcmp(schema, "esink") == 0 ? "of esink itself" : "of the system");
}

enum status complaint_table(struct pg *pg, const struct table_name *name, const char *schema, char kind, struct err *err)
{
	if (!schema)
		return missing_table(pg, name, err);
	if (is_reserved(schema))
		return reserved(schema, name, err);
	return kind == 'r' || kind == 'p' ? STATUS_OK : not_watchable(kind, name, err);
}

static enum status no_right(struct pg *pg, const char *table, struct err *err)
{
	return err_set(err, STATUS_DENIED,
		"TABLE_NAMES: no right to create triggers; run: GRANT TRIGGER ON %s TO \"%s\";",
		table, PQuser(pg->conn));
}

static enum status no_usage(struct pg *pg, const char *schema, struct err *err)
{
	return err_set(err, STATUS_DENIED,
		"TABLE_NAMES: no right to use schema %s; run: GRANT USAGE ON SCHEMA %s TO \"%s\";",
		schema, schema, PQuser(pg->conn));
}

enum status complaint_rights(struct pg *pg, const char *table, bool may_trigger, const char *schema, bool may_use, struct err *err)
{
	if (!may_trigger)
		return no_right(pg, table, err);
	return may_use ? STATUS_OK : no_usage(pg, schema, err);
}

enum status complaint_twice(const char *member, const struct pg_table *table, struct err *err)
{
	return err_set(err, STATUS_INVALID,
		"TABLE_NAMES: %s belongs to %s.%s, which is named too; its rows would be told twice: name one of them",
		member, table->schema, table->name);
}

enum status complaint_column(const struct pg_table *table, struct err *err)
{
	const char *dot = strrchr(table->rule.missing, '.');
	const char *close =
		dot ? closest_name(dot + 1, table->column_names, table->columns.count) : NULL;

	if (close)
		return err_set(err, STATUS_NOT_FOUND,
			"%s: table %s has no such column; did you mean \"%s\"?",
			table->rule.missing, table->topic, close);
	return err_set(err, STATUS_NOT_FOUND, "%s: table %s has no such column",
		table->rule.missing, table->topic);
}
