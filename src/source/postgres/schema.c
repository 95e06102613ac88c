/* Schema esink: its tables, its functions, and whose journal it is. Tables are made once, with the schema; what consumers.sql and
 * functions.sql have is made again whenever their text has changed, beside a journal that goes on.
 */
#include "source/postgres/install.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/random.h"
#include "source/postgres/mend.h"
#include "source/postgres/owner.h"
#include "source/postgres/statement.h"
#include "sql.h"

#define DDL_TIMEOUT_MS 60000

/* A short word for a text's content, the same in every process. */
void install_version(const char *text, char version[17])
{
	uint64_t h = 14695981039346656037u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 1099511628211u;
	snprintf(version, 17, "%016llx", (unsigned long long)h);
}

static enum status create_schema(struct pg *pg, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX);
	char version[17], journal[JOURNAL_LEN + 1];
	enum status status;

	install_version(sql_postgres_schema, version);
	random_hex(journal, JOURNAL_LEN);
	buf_text(&sql, "BEGIN; SET LOCAL search_path = pg_catalog, pg_temp; SELECT "
		       "pg_advisory_xact_lock(1702062446, 2);");
	buf_text(&sql, sql_postgres_schema);
	buf_printf(&sql,
		"INSERT INTO esink.meta (tables_version, journal, system_identifier, timeline, "
		"database, relation, born, base) SELECT '%s', '%s', h.system_identifier, "
		"h.timeline, h.database, h.relation, pg_current_xact_id(), pg_current_snapshot() "
		"FROM esink.here h; COMMIT",
		version, journal);
	status = pg_script(pg, sql.bytes, DDL_TIMEOUT_MS, err);
	if (status == STATUS_DENIED)
		return err_set(err, status,
			"no right to create schema esink; run: GRANT CREATE ON DATABASE \"%s\" TO "
			"\"%s\";",
			PQdb(pg->conn), PQuser(pg->conn));
	if (status == STATUS_OK)
		log_info("postgres", "created schema esink, journal %s", journal);
	return status;
}

void install_functions_text(struct buf *sql, char version[17])
{
	buf_text(sql, sql_postgres_consumers);
	buf_text(sql, sql_postgres_functions);
	install_version(sql->bytes, version);
}

static enum status create_functions(struct pg *pg, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX), text = buf_init(BUF_NO_MAX); /* our own text */
	AUTO_RESULT PGresult *made = NULL, *result = NULL;
	char tables[17], functions[17];
	enum status status;

	install_version(sql_postgres_schema, tables);
	install_functions_text(&text, functions);
	status = pg_query(pg, "SELECT tables_version FROM esink.meta", 0, NULL, DDL_TIMEOUT_MS, &made, err);
	if (status != STATUS_OK)
		return status;
	if (PQntuples(made) != 1 || strcmp(PQgetvalue(made, 0, 0), tables) != 0)
		return err_set(err, STATUS_INVALID,
			"schema esink was made by another version of esink: run that version's "
			"`esink --uninstall`, or this one's, then start again (a new journal "
			"begins)");
	status = pg_query(pg, "SELECT functions_version FROM esink.relay", 0, NULL, DDL_TIMEOUT_MS, &result, err);
	if (status != STATUS_OK || (PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 0), functions) == 0))
		return status;
	buf_text(&sql, "BEGIN; SET LOCAL search_path = pg_catalog, pg_temp; SELECT "
		       "pg_advisory_xact_lock(1702062446, 2);");
	buf_span(&sql, buf_as_span(&text));
	buf_printf(&sql, "UPDATE esink.relay SET functions_version = '%s'; COMMIT", functions);
	return pg_script(pg, sql.bytes, DDL_TIMEOUT_MS, err);
}

enum status install_journal(struct pg *pg, char *journal, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	char fresh[JOURNAL_LEN + 1];
	const char *params[] = {fresh};
	enum status status;

	random_hex(fresh, JOURNAL_LEN);
	status = pg_call(pg, "SELECT esink.begin_journal($1)", 1, params, DDL_TIMEOUT_MS, &result,
		err);
	if (status == STATUS_TOO_MANY)
		return err_set(err, STATUS_UNAVAILABLE,
			"waiting to begin a new journal: another transaction writes to watched "
			"tables");
	if (status != STATUS_OK)
		return status;
	log_warn("postgres",
		"this database is not the one that journal %s was written in (restored, copied or "
		"failed over): "
		"journal %s begins",
		journal, fresh);
	memcpy(journal, fresh, sizeof(fresh));
	return STATUS_OK;
}

/* A journal belongs to one history of one database. A snapshot ahead of the server's xid means that
 * the history was cut. */
static enum status check_identity(struct pg *pg, char *journal, struct err *err)
{
	static const char sql[] =
		"SELECT m.journal, (m.system_identifier, m.timeline, m.database, m.relation) = "
		"(h.system_identifier, h.timeline, h.database, h.relation) "
		"AND m.born < pg_snapshot_xmax(pg_current_snapshot()) "
		"AND pg_snapshot_xmax(t.snapshot) <= pg_snapshot_xmax(pg_current_snapshot()) "
		"FROM esink.meta m, esink.here h, esink.newest_tick() t";
	AUTO_RESULT PGresult *result = NULL;
	enum status status = pg_query(pg, sql, 0, NULL, DDL_TIMEOUT_MS, &result, err);

	if (status != STATUS_OK)
		return status;
	snprintf(journal, JOURNAL_LEN + 1, "%s", PQgetvalue(result, 0, 0));
	return pg_bool(result, 0, 1) ? STATUS_OK : install_journal(pg, journal, err);
}

/* A journal that begins takes the consumers along; this is for rows that came from elsewhere. */
static enum status settle_consumers(struct pg *pg, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = pg_call(pg, "SELECT esink.settle_consumers()", 0, NULL, DDL_TIMEOUT_MS, &result, err);

	if (status == STATUS_OK && pg_int(result, 0, 0))
		log_warn("postgres", "%lld consumers had a cursor of another journal: they begin at the start of this one",
			(long long)pg_int(result, 0, 0));
	return status;
}

enum status install_schema(struct pg *pg, char *journal, struct err *err)
{
	bool there = false;
	enum status status = mend_no_restore(pg, err);

	if (status == STATUS_OK)
		status = owner_check(pg, &there, err);
	if (status == STATUS_OK && there)
		status = mend_schema(pg, &there, err);
	if (status == STATUS_OK && !there)
		status = create_schema(pg, err);
	if (status == STATUS_OK)
		status = create_functions(pg, err);
	if (status == STATUS_OK)
		status = check_identity(pg, journal, err);
	return status == STATUS_OK ? settle_consumers(pg, err) : status;
}
