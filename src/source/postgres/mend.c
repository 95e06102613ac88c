/* What should be there is read off the very texts that make it: the names behind CREATE TABLE, TYPE, VIEW, SEQUENCE, INDEX and FUNCTION
 * in schema.sql, consumers.sql and functions.sql.
 *
 * What is missing may be on its way: pg_restore makes one thing after the other, functions first, in as many transactions. It
 * tells its name; psql with a dump does not, but makes all that we miss without a pause. So what is missing has to stay so
 * for QUIET_MS in which nothing is made or dropped in this database. Not longer: writes to watched tables fail meanwhile. */
#include "source/postgres/mend.h"

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "source/postgres/array.h"
#include "source/postgres/expression.h"
#include "source/postgres/install.h"
#include "source/postgres/statement.h"
#include "sql.h"

#define MEND_TIMEOUT_MS 30000
#define NAME_MAX 63
#define QUIET_MS 3000
#define LOOK_MS 250

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

static enum status missing_of(struct pg *pg, struct buf *names, char name[NAME_MAX + 1], struct err *err)
{
	return missing(pg,
		"SELECT w.name FROM pg_catalog.unnest($1::text[]) w(name) WHERE NOT EXISTS (SELECT FROM "
		"pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'esink' "
		"AND c.relname::text = w.name) LIMIT 1",
		names, name, err);
}

static enum status missing_relation(struct pg *pg, char name[NAME_MAX + 1], struct err *err)
{
	AUTO_BUF struct buf names = buf_init(BUF_NO_MAX); /* bounded by our own text */

	buf_text(&names, "{");
	names_behind(&names, sql_postgres_schema, "\nCREATE TABLE esink.");
	names_behind(&names, sql_postgres_schema, "\nCREATE TYPE esink."); /* a composite one is a relation too */
	names_behind(&names, sql_postgres_schema, "\nCREATE VIEW esink.");
	names_behind(&names, sql_postgres_schema, "\nCREATE SEQUENCE esink.");
	return missing_of(pg, &names, name, err);
}

/* A function, or a table of consumers or claims: without these the journal goes on. */
static enum status missing_function(struct pg *pg, char name[NAME_MAX + 1], struct err *err)
{
	AUTO_BUF struct buf functions = buf_init(BUF_NO_MAX), tables = buf_init(BUF_NO_MAX); /* bounded by our own text */
	enum status status;

	buf_text(&functions, "{");
	buf_text(&tables, "{");
	names_behind(&functions, sql_postgres_consumers, "\nCREATE OR REPLACE FUNCTION esink.");
	names_behind(&functions, sql_postgres_functions, "\nCREATE OR REPLACE FUNCTION esink.");
	names_behind(&tables, sql_postgres_consumers, "\nCREATE TABLE IF NOT EXISTS esink.");
	names_behind(&tables, sql_postgres_functions, "\nCREATE TABLE IF NOT EXISTS esink.");
	status = missing(pg,
		"SELECT w.name FROM pg_catalog.unnest($1::text[]) w(name) WHERE NOT EXISTS (SELECT FROM "
		"pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'esink' "
		"AND p.proname::text = w.name) LIMIT 1",
		&functions, name, err);
	return status == STATUS_OK && !name[0] ? missing_of(pg, &tables, name, err) : status;
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

enum status mend_no_restore(struct pg *pg, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = pg_query(pg,
		"SELECT FROM pg_catalog.pg_stat_activity a WHERE a.application_name = 'pg_restore'::text "
		"AND a.datname = pg_catalog.current_database() LIMIT 1",
		0, NULL, MEND_TIMEOUT_MS, &result, err);

	if (status == STATUS_OK && PQntuples(result) > 0)
		return err_set(err, STATUS_UNAVAILABLE,
			"pg_restore is at work on this database: waiting for its end");
	return status;
}

enum status mend_same_schema(struct pg *pg, const char *journal, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	const char *params[] = {journal};
	enum status status = pg_query(pg,
		"SELECT m.journal = $1::text AND m.relation = h.relation FROM esink.meta m, esink.here h", 1, params,
		MEND_TIMEOUT_MS, &result, err);

	if (status == STATUS_OK && !(PQntuples(result) == 1 && pg_bool(result, 0, 0)))
		return err_set(err, STATUS_UNAVAILABLE, "schema esink is another one now: it was restored under the running relay");
	return status;
}

/* A word for all that is made and dropped here, but for temporary tables; and whether somebody is about to in schema esink. */
static enum status look(struct pg *pg, char word[80], struct err *err)
{
	static const char sql[] =
		"SELECT pg_catalog.concat_ws(' '::text, (SELECT pg_catalog.concat_ws(' '::text, pg_catalog.count(*), "
		"pg_catalog.max(c.oid::bigint)) FROM pg_class c WHERE c.relpersistence <> 't'), (SELECT pg_catalog.concat_ws("
		"' '::text, pg_catalog.count(*), pg_catalog.max(p.oid::bigint)) FROM pg_proc p)), "
		"EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid "
		"= c.relnamespace WHERE n.nspname = 'esink' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid() AND "
		"l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) "
		"AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))";
	AUTO_RESULT PGresult *result = NULL;
	enum status status = pg_query(pg, sql, 0, NULL, MEND_TIMEOUT_MS, &result, err);

	if (status == STATUS_OK)
		snprintf(word, 80, "%s", pg_bool(result, 0, 1) ? "" : PQgetvalue(result, 0, 0));
	return status;
}

/* Waits until nothing has changed for a while. */
static enum status settle(struct pg *pg, const char *name, struct err *err)
{
	char first[80], now[80];
	enum status status = look(pg, first, err);

	for (int waited = 0; status == STATUS_OK && waited < QUIET_MS; waited += LOOK_MS) {
		if (!pg_pause(pg, LOOK_MS))
			return err_set(err, STATUS_STOPPED, "stopped");
		status = mend_no_restore(pg, err);
		if (status == STATUS_OK)
			status = look(pg, now, err);
		if (status == STATUS_OK && (!first[0] || strcmp(first, now) != 0))
			return err_set(err, STATUS_UNAVAILABLE,
				"esink.%s is missing, and the database is being changed: waiting for the end of "
				"that (a restore?) before it is made anew",
				name);
	}
	return status;
}

/* Under the lock that makers of the schema hold: another relay may have been here first. */
static enum status drop(struct pg *pg, const char *name, struct err *err)
{
	AUTO_BUF struct buf gone = buf_init(BUF_NO_MAX); /* bounded by the name */
	enum status status;

	log_warn("postgres",
		"esink.%s is gone, without which writes to watched tables fail or are not captured: "
		"schema esink is dropped and made anew, a new journal begins",
		name);
	buf_text(&gone, "IF EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
			"c.relnamespace WHERE n.nspname = 'esink' AND c.relname::text = ");
	sql_literal(&gone, name);
	buf_text(&gone, ") THEN RETURN; END IF;");
	status = install_drop(pg, "schema esink, which had lost a part, and its triggers are removed",
		gone.bytes, err);
	if (status == STATUS_TOO_MANY)
		return err_set(err, STATUS_UNAVAILABLE,
			"esink.%s is gone: waiting to make schema esink anew, another transaction "
			"holds a watched table",
			name);
	return status;
}

/* Nothing fails without one, and making it holds up writers: that is for a person to choose the time of. */
static enum status tell_missing_index(struct pg *pg, struct err *err)
{
	static const char mark[] = "\nCREATE INDEX ";
	AUTO_BUF struct buf names = buf_init(BUF_NO_MAX); /* bounded by our own text */
	char name[NAME_MAX + 1] = "";
	enum status status;

	buf_text(&names, "{");
	names_behind(&names, sql_postgres_schema, mark);
	status = missing_of(pg, &names, name, err);
	for (const char *at = strstr(sql_postgres_schema, mark); status == STATUS_OK && name[0] && at; at = strstr(at + 1, mark)) {
		const char *statement = at + 1;
		size_t len = strlen(name);

		if (strncmp(at + strlen(mark), name, len) == 0 && at[strlen(mark) + len] == ' ')
			log_warn("postgres", "index esink.%s is gone, without which reading the journal takes long; run: %.*s", name,
				(int)strcspn(statement, "\n"), statement);
	}
	return status;
}

/* Another build made them: it lacks what ours has, and all are made anew in any case. */
static enum status functions_are_ours(struct pg *pg, bool *ours, struct err *err)
{
	AUTO_BUF struct buf text = buf_init(BUF_NO_MAX); /* our own text */
	AUTO_RESULT PGresult *result = NULL;
	char version[17];
	const char *params[] = {version};
	enum status status;

	install_functions_text(&text, version);
	status = pg_query(pg, "SELECT FROM esink.relay WHERE functions_version = $1::text", 1, params, MEND_TIMEOUT_MS, &result, err);
	*ours = status == STATUS_OK && PQntuples(result) == 1;
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
	if (status == STATUS_OK && name[0])
		status = settle(pg, name, err);
	if (status == STATUS_OK && name[0]) {
		status = drop(pg, name, err);
		*there = status != STATUS_OK;
		return status;
	}
	if (status == STATUS_OK)
		status = functions_are_ours(pg, &ours, err);
	if (status == STATUS_OK && ours)
		status = missing_function(pg, name, err);
	if (status == STATUS_OK && name[0])
		status = settle(pg, name, err);
	if (status != STATUS_OK || !name[0])
		return status == STATUS_OK ? tell_missing_index(pg, err) : status;
	log_warn("postgres", "esink.%s is gone: the functions of schema esink, the tables of consumers and that of claims are made anew", name);
	return pg_script(pg, "UPDATE esink.relay SET functions_version = ''", MEND_TIMEOUT_MS, err);
}
