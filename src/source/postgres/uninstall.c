/* --uninstall: says what there is of esink, and removes it, on a connection of its own.
 *
 * Refused beside a relay. That takes what is gone for an accident and installs it again: nothing would have been removed but the
 * journal, with what consumers had not read, and the consumers. A relay that is at work has a claim that was renewed within three
 * seconds (claim.c); we wait longer than that, so that one which was just killed does not keep us. The claims are in schema
 * esink and may be asked only where no code of others can lie in it (owner.c). Connections that bear our name are no proof: behind
 * a pooler they outlive the relay. But a relay that waits for something has no claim, so they are warned of, first.
 *
 * CASCADE also takes what users have made of our objects, such as a view of theirs, so all of it is listed. A schema `esink` that
 * no esink has made is left alone.
 */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/postgres/install.h"
#include "source/postgres/owner.h"
#include "source/postgres/postgres.h"
#include "source/postgres/statement.h"
#include "source/summary.h"

#define LOOK_MS 10000
#define CLAIM_ENDS_MS 4000 /* longer than esink.claim() takes one for fresh */
#define PAUSE_MS 200

/* What lies outside the schema and depends on something in it. A partition's trigger goes with that of the whole. */
static const char dependents_sql[] =
	"WITH ours (class, oid) AS ("
	"SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, c.oid FROM pg_catalog.pg_class c WHERE c.relnamespace = $1::oid "
	"UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass::oid, p.oid FROM pg_catalog.pg_proc p WHERE p.pronamespace = $1::oid "
	"UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass::oid, t.oid FROM pg_catalog.pg_type t WHERE t.typnamespace = $1::oid) "
	"SELECT DISTINCT CASE d.classid WHEN 'pg_catalog.pg_rewrite'::pg_catalog.regclass "
	"THEN pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, w.ev_class, 0) "
	"ELSE pg_catalog.pg_describe_object(d.classid, d.objid, 0) END "
	"FROM pg_catalog.pg_depend d JOIN ours o ON o.class = d.refclassid AND o.oid = d.refobjid "
	"LEFT JOIN pg_catalog.pg_trigger t ON d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND t.oid = d.objid AND t.tgparentid = '0'::oid "
	"LEFT JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = d.objid "
	"LEFT JOIN pg_catalog.pg_constraint x ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND x.oid = d.objid "
	"LEFT JOIN pg_catalog.pg_proc p ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.objid "
	"LEFT JOIN pg_catalog.pg_class c ON c.oid = CASE WHEN d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass THEN d.objid "
	"ELSE coalesce(t.tgrelid, w.ev_class, x.conrelid) END "
	"WHERE coalesce(p.pronamespace, c.relnamespace) NOT IN ($1::oid, 'pg_toast'::pg_catalog.regnamespace) ORDER BY 1";

static enum status list_dependents(struct pg *pg, const char *schema, struct buf *lines, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = pg_query(pg, dependents_sql, 1, &schema, LOOK_MS, &result, err);

	for (int row = 0; status == STATUS_OK && row < PQntuples(result); row++)
		buf_printf(lines, "  %s\n", PQgetvalue(result, row, 0));
	return status;
}

/* Where the schema is not whole any more there may be none. */
static void list_consumers(struct pg *pg, struct buf *lines)
{
	AUTO_RESULT PGresult *result = NULL;
	struct err ignored;

	if (pg_query(pg, "SELECT c.name FROM esink.consumer c ORDER BY c.name", 0, NULL, LOOK_MS, &result, &ignored) != STATUS_OK)
		return;
	for (int row = 0; row < PQntuples(result); row++)
		buf_printf(lines, "  consumer \"%s\", with what it has not read\n", PQgetvalue(result, row, 0));
}

static enum status print_list(struct pg *pg, bool only_look, bool trusted, struct err *err)
{
	AUTO_BUF struct buf lines = buf_init(BUF_NO_MAX); /* bounded by the catalogue */
	AUTO_FREE char *where = mem_format("database \"%s\"", PQdb(pg->conn));
	AUTO_RESULT PGresult *schema = NULL;
	enum status status = pg_query(pg, "SELECT 'esink'::pg_catalog.regnamespace::oid::text", 0, NULL, LOOK_MS, &schema, err);

	if (status == STATUS_OK)
		status = list_dependents(pg, PQgetvalue(schema, 0, 0), &lines, err);
	if (status != STATUS_OK)
		return status;
	if (trusted)
		list_consumers(pg, &lines);
	buf_text(&lines, "  schema esink, with the journal, its tables and its functions\n");
	summary_removal(only_look, where, &lines);
	return STATUS_OK;
}

static bool has_claim(struct pg *pg)
{
	AUTO_RESULT PGresult *result = NULL;
	struct err ignored;

	return pg_query(pg, "SELECT EXISTS (SELECT FROM esink.claimant c WHERE c.seen OPERATOR(pg_catalog.>=) "
			"(pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) '3 seconds'::pg_catalog.interval))",
		       0, NULL, LOOK_MS, &result, &ignored) == STATUS_OK &&
		pg_bool(result, 0, 0);
}

static enum status refuse_beside_relay(struct pg *pg, struct err *err)
{
	int64_t end = clock_ms() + CLAIM_ENDS_MS;

	while (has_claim(pg)) {
		if (clock_ms() > end)
			return err_set(err, STATUS_CONFLICT, "POSTGRES_DATABASE_URL: a relay is at work on database \"%s\", which would install "
				"all of it again: stop it, then run esink --uninstall once more; nothing was removed", PQdb(pg->conn));
		if (!pg_pause(pg, PAUSE_MS))
			return err_set(err, STATUS_STOPPED, "stopped");
	}
	return STATUS_OK;
}

/* One that was stopped just now may have connections that the server has not ended. */
static enum status warn_of_connections(struct pg *pg, struct err *err)
{
	long long count = 0;
	enum status status = postgres_count_relays(pg, &count, err);

	if (status == STATUS_OK && count > 0 && pg_pause(pg, 2 * PAUSE_MS))
		status = postgres_count_relays(pg, &count, err);
	if (status == STATUS_OK && count > 0)
		log_warn("postgres", "connections of esink to this database: %lld. If a relay is running, and not only a pooler that "
			"kept them, it installs all of it again: stop it, then run this once more", count);
	return status;
}

static enum status remove_all(struct pg *pg, struct err *err)
{
	enum status status = install_remove(pg, err);

	if (status == STATUS_OK)
		printf("removed schema esink and every trigger of esink from database \"%s\"\n", PQdb(pg->conn));
	return status;
}

static enum status uninstall(struct pg *pg, bool only_look, struct err *err)
{
	bool there = false, marked = false, trusted;
	struct err why;
	enum status status = owner_marked(pg, &there, &marked, err);

	if (status != STATUS_OK)
		return status;
	if (!there) {
		printf("nothing to remove: database \"%s\" has no schema esink\n", PQdb(pg->conn));
		return STATUS_OK;
	}
	if (!marked)
		return err_set(err, STATUS_INVALID, "there is a schema esink which is not esink's: nothing was removed");
	trusted = owner_check(pg, &there, &why) == STATUS_OK;
	if (only_look && trusted && has_claim(pg))
		printf("a relay is at work on this database: --uninstall would be refused\n");
	else if (trusted && !only_look)
		status = refuse_beside_relay(pg, err);
	if (status == STATUS_OK)
		status = warn_of_connections(pg, err);
	if (status == STATUS_OK)
		status = print_list(pg, only_look, trusted, err);
	return status == STATUS_OK && !only_look ? remove_all(pg, err) : status;
}

enum status postgres_uninstall(void *opaque, struct err *err)
{
	struct postgres *source = opaque;
	enum status status = pg_connect(&source->pg, source->config->url, PG_CONNECT_TIMEOUT_MS, err);

	if (status == STATUS_OK)
		status = uninstall(&source->pg, source->config->only_look, err);
	pg_close(&source->pg);
	return status;
}
