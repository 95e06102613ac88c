/* Trigger functions and triggers of esink as the catalogue of the server has them: pg_proc and pg_trigger, asked once for all tables. */
#include "source/postgres/installed.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/postgres/capture.h"
#include "source/postgres/statement.h"

#define CATALOG_TIMEOUT_MS 60000
#define GRANTEES(what)                                                                             \
	"coalesce((SELECT pg_catalog.string_agg(" what ", ', '::text ORDER BY g.role) FROM "      \
	"(SELECT DISTINCT a.grantee AS role FROM pg_catalog.aclexplode(p.proacl) a WHERE "         \
	"a.grantee <> p.proowner AND a.grantee <> '0'::oid) g), '')"

/* The table in the name of a function; 0: in none that capture_function_name() gives. */
static pg_oid table_of(const char *function)
{
	pg_oid oid = strncmp(function, "capture_", 8) ? 0 : (pg_oid)strtoul(function + 8, NULL, 10);
	AUTO_FREE char *name = capture_function_name(oid);

	return strcmp(name, function) ? 0 : oid;
}

static void index_names(struct installed *installed, const struct pg_catalog *catalog)
{
	size_t functions = (size_t)PQntuples(installed->functions), triggers = (size_t)PQntuples(installed->triggers);

	installed->of = mem_zero(functions + 1, sizeof(*installed->of));
	installed->stands = mem_zero(triggers + 1, sizeof(*installed->stands));
	for (size_t row = 0; row < functions; row++)
		installed->of[row] = table_of(PQgetvalue(installed->functions, (int)row, 0));
	for (size_t row = 0; row < triggers; row++) {
		pg_oid of = table_of(PQgetvalue(installed->triggers, (int)row, 2));

		installed->stands[row].relation = (pg_oid)pg_int(installed->triggers, (int)row, 0);
		installed->stands[row].of = of;
		installed->stands[row].wanted = catalog_has(catalog, of);
	}
}

enum status installed_load(struct pg *pg, const struct pg_catalog *catalog, struct installed *installed, struct err *err)
{
	AUTO_RESULT PGresult *prepared = NULL;
	enum status status = pg_query(pg,
		"SELECT p.proname, p.prosrc, coalesce(c.oid::regclass::text, 'a table that is gone'), "
		GRANTEES("g.role::pg_catalog.text") ", " GRANTEES("pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(g.role))") " "
		"FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
		"LEFT JOIN pg_class c ON c.oid::text = pg_catalog.substr(p.proname, 9) "
		"WHERE n.nspname = 'esink' "
		"AND p.proname OPERATOR(pg_catalog.~~) 'capture\\_%'::text ORDER BY 1",
		0, NULL, CATALOG_TIMEOUT_MS, &installed->functions, err);

	if (status == STATUS_OK)
		status = pg_query(pg,
			"SELECT t.tgrelid, t.tgname, p.proname FROM pg_trigger t JOIN pg_proc p ON "
			"p.oid = t.tgfoid "
			"JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'esink'",
			0, NULL, CATALOG_TIMEOUT_MS, &installed->triggers, err);
	if (status == STATUS_OK)
		status = pg_query(pg, "SELECT current_setting('max_prepared_transactions') = '0'",
			0, NULL, CATALOG_TIMEOUT_MS, &prepared, err);
	if (status == STATUS_OK)
		installed->notify = pg_bool(prepared, 0, 0);
	if (status == STATUS_OK && catalog)
		index_names(installed, catalog);
	return status;
}

void installed_finish(struct installed *installed)
{
	PQclear(installed->functions);
	PQclear(installed->triggers);
	free(installed->of);
	free(installed->stands);
}

bool installed_has_trigger(const struct installed *installed, pg_oid relation, const char *name, const struct pg_table *table)
{
	for (int row = 0; row < PQntuples(installed->triggers); row++)
		if (installed->stands[row].relation == relation && installed->stands[row].of == table->oid &&
			strcmp(PQgetvalue(installed->triggers, row, 1), name) == 0)
			return true;
	return false;
}

const char *installed_grantees(const struct installed *installed, const struct pg_table *table, bool oids)
{
	for (int row = 0; row < PQntuples(installed->functions); row++)
		if (installed->of[row] == table->oid)
			return PQgetvalue(installed->functions, row, oids ? 3 : 4);
	return "";
}

const char *installed_body(const struct installed *installed, const struct pg_table *table)
{
	for (int row = 0; row < PQntuples(installed->functions); row++)
		if (installed->of[row] == table->oid)
			return PQgetvalue(installed->functions, row, 1);
	return NULL;
}

bool installed_has_function(const struct installed *installed, const struct pg_table *table, struct span body)
{
	const char *there = installed_body(installed, table);

	return there && span_is(body, there);
}
