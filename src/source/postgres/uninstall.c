/* --uninstall: says what there is of esink, and removes it, on a connection of its own.
 *
 * Refused beside a relay. That takes what is gone for an accident and installs it again: nothing would have been removed but the
 * journal, with what consumers had not read, and the consumers. A relay that is at work has a claim that was renewed within three
 * seconds (claim.c); we wait longer than that, so that one which was just killed does not keep us, and ask once more under locks
 * that claims wait for, in the transaction that removes. The claims are in schema esink and may be asked only where no code of
 * others can lie in it (owner.c): even to plan a query runs some. Elsewhere the server's list of sessions has to do, whose entries of our
 * name are no proof by themselves, as behind a pooler they outlive the relay; but those of a relay at work do something each second.
 * A relay that waits for something has no claim, so connections are warned of, first.
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
#define LIST_MS 60000 /* the catalogue may be large */
#define CLAIM_ENDS_MS 4000 /* longer than esink.claim() takes one for fresh */
#define PAUSE_MS 200

/* All that CASCADE takes, found as the server does it: from the schema on, whatever depends on what goes, and of what is but a part (the
 * rule of a view, a member of an extension) the whole; sub is a column that goes without its table. Told is what lies outside and
 * is no part of something that goes. What has several owners, as a table in a publication has, is a part where none is left.
 * Thousands of tables may be watched: IN is looked up in a hash, which a join, of whose size the server knows nothing, would not be. */
static const char dependents_sql[] =
	"WITH RECURSIVE gone (class, oid, sub) AS ("
	"SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass::oid, $1::oid, 0 "
	"UNION SELECT n.class, n.oid, n.sub FROM gone g CROSS JOIN LATERAL ("
	"SELECT d.classid, d.objid, d.objsubid FROM pg_catalog.pg_depend d "
	"WHERE d.refclassid = g.class AND d.refobjid = g.oid AND (g.sub = 0 OR d.refobjsubid = g.sub) "
	"UNION ALL SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_catalog.pg_depend d "
	"WHERE d.classid = g.class AND d.objid = g.oid AND d.objsubid = g.sub AND d.deptype IN ('i', 'e')) n (class, oid, sub)) "
	"SELECT pg_catalog.pg_describe_object(e.class, e.oid, e.sub) FROM ("
	"SELECT g.class, g.oid, g.sub, d.deptype, d.refclassid, (d.refclassid, d.refobjid) IN (SELECT o.class, o.oid FROM gone o WHERE o.sub = 0) "
	"OR (d.refclassid, d.refobjid, d.refobjsubid) IN (SELECT o.class, o.oid, o.sub FROM gone o) AS goes "
	"FROM gone g JOIN pg_catalog.pg_depend d ON d.classid = g.class AND d.objid = g.oid AND d.objsubid = g.sub "
	"WHERE g.class <> 'pg_catalog.pg_namespace'::pg_catalog.regclass "
	"AND (g.sub = 0 OR (g.class, g.oid) NOT IN (SELECT o.class, o.oid FROM gone o WHERE o.sub = 0))) e "
	"GROUP BY e.class, e.oid, e.sub HAVING NOT pg_catalog.bool_or(e.goes AND (e.deptype IN ('i', 'e', 'P') OR "
	"e.deptype = 'n' AND e.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass)) "
	"AND NOT coalesce(pg_catalog.bool_and(e.goes) FILTER (WHERE e.deptype = 'a'), false) ORDER BY 1";

static enum status list_dependents(struct pg *pg, const char *schema, struct buf *lines, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = pg_query(pg, dependents_sql, 1, &schema, LIST_MS, &result, err);

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

#define FRESH(seen) \
	seen " OPERATOR(pg_catalog.>=) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) '3 seconds'::pg_catalog.interval)"
#define REFUSED "which would install all of it again: stop it, then run esink --uninstall once more; nothing was removed"

/* How it is found out whether a relay is at work. */
struct signs {
	struct buf *locks; /* statements: after them no relay begins; "" where there is no such thing */
	struct buf *seen;  /* an expression */
};

/* What may not be seen of a session of another role is NULL. */
static const char sessions[] = "EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.application_name = 'esink'::text AND "
	"a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid() AND (a.state IS DISTINCT FROM 'idle'::text OR "
	"(" FRESH("a.state_change") ") IS NOT FALSE))";

/* As in esink.claim(), a build from before claimant counts. Without either table nothing claims. */
static enum status find_claims(struct pg *pg, struct signs *signs, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = pg_query(pg, "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid "
		"WHERE c.relnamespace = 'esink'::pg_catalog.regnamespace AND c.relkind = 'r' AND c.relname IN ('relay', 'claimant') AND "
		"a.attname = 'seen' AND NOT a.attisdropped ORDER BY c.relname DESC", 0, NULL, LOOK_MS, &result, err);

	if (status != STATUS_OK || !PQntuples(result))
		return status;
	buf_clear(signs->seen);
	for (int row = 0; row < PQntuples(result); row++) {
		buf_printf(signs->locks, "LOCK TABLE esink.%s IN EXCLUSIVE MODE; ", PQgetvalue(result, row, 0));
		buf_printf(signs->seen, "%sEXISTS (SELECT FROM esink.%s c WHERE " FRESH("c.seen") ")", row ? " OR " : "", PQgetvalue(result, row, 0));
	}
	return STATUS_OK;
}

static enum status is_at_work(struct pg *pg, const struct signs *signs, bool *at_work, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	AUTO_FREE char *sql = mem_format("SELECT %s", signs->seen->bytes);
	enum status status = pg_query(pg, sql, 0, NULL, LOOK_MS, &result, err);

	*at_work = status == STATUS_OK && pg_bool(result, 0, 0);
	return status;
}

static enum status refuse_beside_relay(struct pg *pg, const struct signs *signs, struct err *err)
{
	int64_t end = clock_ms() + CLAIM_ENDS_MS;
	bool at_work;
	enum status status;

	while ((status = is_at_work(pg, signs, &at_work, err)) == STATUS_OK && at_work) {
		if (clock_ms() > end)
			return err_set(err, STATUS_CONFLICT, "POSTGRES_DATABASE_URL: a relay is at work on database \"%s\", " REFUSED, PQdb(pg->conn));
		if (!pg_pause(pg, PAUSE_MS))
			return err_set(err, STATUS_STOPPED, "stopped");
	}
	return status;
}

static enum status tell_of_relay(struct pg *pg, const struct signs *signs, struct err *err)
{
	bool at_work;
	enum status status = is_at_work(pg, signs, &at_work, err);

	if (status == STATUS_OK && at_work)
		printf("a relay is at work on this database: --uninstall would be refused\n");
	return status;
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

static enum status remove_all(struct pg *pg, const struct signs *signs, struct err *err)
{
	AUTO_FREE char *judge = mem_format("%sIF %s THEN RAISE EXCEPTION USING ERRCODE = 'ES002', MESSAGE = 'a relay has begun to work on this "
		"database, " REFUSED "'; END IF;", signs->locks->len ? signs->locks->bytes : "", signs->seen->bytes);
	enum status status = install_remove(pg, judge, err);

	if (status == STATUS_OK)
		printf("removed schema esink and every trigger of esink from database \"%s\"\n", PQdb(pg->conn));
	return status;
}

static enum status look_and_remove(struct pg *pg, bool only_look, bool trusted, struct err *err)
{
	AUTO_BUF struct buf locks = buf_init(BUF_NO_MAX), seen = buf_init(BUF_NO_MAX); /* our own text */
	struct signs signs = {&locks, &seen};
	enum status status = STATUS_OK;

	buf_text(&seen, sessions);
	if (trusted)
		status = find_claims(pg, &signs, err);
	if (status == STATUS_OK)
		status = only_look ? tell_of_relay(pg, &signs, err) : refuse_beside_relay(pg, &signs, err);
	if (status == STATUS_OK)
		status = warn_of_connections(pg, err);
	if (status == STATUS_OK)
		status = print_list(pg, only_look, trusted, err);
	return status == STATUS_OK && !only_look ? remove_all(pg, &signs, err) : status;
}

static enum status uninstall(struct pg *pg, bool only_look, struct err *err)
{
	bool there = false, marked = false;
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
	status = owner_check(pg, &there, &why);
	if (status != STATUS_OK && status != STATUS_DENIED)
		return err_set(err, status, "%s", why.text);
	return look_and_remove(pg, only_look, status == STATUS_OK, err);
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
