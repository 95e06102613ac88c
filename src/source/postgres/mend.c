/* What should be there is read off the very texts that make it: the names behind CREATE TABLE, CREATE SEQUENCE and CREATE
 * FUNCTION in schema.sql and functions.sql. */
#include "source/postgres/mend.h"

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "source/postgres/array.h"
#include "source/postgres/install.h"
#include "sql.h"

#define MEND_TIMEOUT_MS 30000
#define NAME_MAX 63

/* Appends the names that stand behind a mark to an array literal. */
static void names_behind(struct buf *names, const char *text, const char *mark)
{
	for (text = strstr(text, mark); text; text = strstr(text, mark)) {
		char name[NAME_MAX + 1];
		size_t len;

		text += strlen(mark);
		len = strcspn(text, " ();\n");
		if (len > NAME_MAX)
			continue;
		memcpy(name, text, len);
		name[len] = 0;
		pg_array_append(names, name);
	}
}

/* The first of the names that query does not find; "" when all are there. */
static enum status missing(struct pg *pg, const char *sql, struct buf *names, char name[NAME_MAX + 1],
	struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	const char *params[1];
	enum status status;

	buf_text(names, "}");
	params[0] = names->bytes;
	status = pg_query(pg, sql, 1, params, MEND_TIMEOUT_MS, &result, err);
	if (status == STATUS_OK)
		snprintf(name, NAME_MAX + 1, "%s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "");
	return status;
}

static enum status missing_relation(struct pg *pg, char name[NAME_MAX + 1], struct err *err)
{
	AUTO_BUF struct buf names = buf_init(BUF_NO_MAX); /* bounded by our own text */

	buf_text(&names, "{");
	names_behind(&names, sql_postgres_schema, "\nCREATE TABLE esink.");
	names_behind(&names, sql_postgres_schema, "\nCREATE SEQUENCE esink.");
	return missing(pg,
		"SELECT w.name FROM pg_catalog.unnest($1::text[]) w(name) WHERE NOT EXISTS (SELECT FROM "
		"pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'esink' "
		"AND c.relname::text = w.name) LIMIT 1",
		&names, name, err);
}

static enum status missing_function(struct pg *pg, char name[NAME_MAX + 1], struct err *err)
{
	AUTO_BUF struct buf names = buf_init(BUF_NO_MAX); /* bounded by our own text */

	buf_text(&names, "{");
	names_behind(&names, sql_postgres_functions, "\nCREATE OR REPLACE FUNCTION esink.");
	return missing(pg,
		"SELECT w.name FROM pg_catalog.unnest($1::text[]) w(name) WHERE NOT EXISTS (SELECT FROM "
		"pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'esink' "
		"AND p.proname::text = w.name) LIMIT 1",
		&names, name, err);
}

/* Without esink.meta nobody can tell which version it was; it cannot be used in any case. */
static enum status is_ours(struct pg *pg, bool *ours, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	char version[17];
	const char *params[] = {version};
	struct err wrong;
	enum status status;

	install_version(sql_postgres_schema, version);
	status = pg_query(pg, "SELECT FROM esink.meta WHERE tables_version = $1::text", 1, params,
		MEND_TIMEOUT_MS, &result, &wrong);
	if (status != STATUS_OK && (status != STATUS_NOT_FOUND || !pg->conn)) {
		*err = wrong;
		return status;
	}
	*ours = status == STATUS_NOT_FOUND || PQntuples(result) == 1;
	return STATUS_OK;
}

static enum status drop(struct pg *pg, const char *name, struct err *err)
{
	enum status status;

	log_warn("postgres",
		"esink.%s is gone, without which writes to watched tables fail or are not captured: "
		"schema esink is dropped and made anew, a new journal begins",
		name);
	status = install_drop(pg, "schema esink, which had lost a part, and its triggers are removed",
		err);
	if (status == STATUS_TOO_MANY)
		return err_set(err, STATUS_UNAVAILABLE,
			"esink.%s is gone: waiting to make schema esink anew, another transaction "
			"holds a watched table",
			name);
	return status;
}

enum status mend_schema(struct pg *pg, bool *there, struct err *err)
{
	char name[NAME_MAX + 1] = "";
	bool ours = false;
	enum status status = is_ours(pg, &ours, err);

	if (status != STATUS_OK || !ours)
		return status;
	status = missing_relation(pg, name, err);
	if (status == STATUS_OK && name[0]) {
		status = drop(pg, name, err);
		*there = status != STATUS_OK;
		return status;
	}
	if (status == STATUS_OK)
		status = missing_function(pg, name, err);
	if (status != STATUS_OK || !name[0])
		return status;
	log_warn("postgres", "esink.%s() is gone: the functions of schema esink are made anew", name);
	return pg_script(pg, "UPDATE esink.relay SET functions_version = ''", MEND_TIMEOUT_MS, err);
}
