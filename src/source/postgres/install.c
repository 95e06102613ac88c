/* The comparison of what is installed with what should be.
 *
 * What should be: per watched table one function, whose source is made from its columns and rule, a
 * row trigger on the table (partitions get it from their parent by themselves, inheriting tables
 * need their own) and a TRUNCATE trigger on the table and each of its descendants. What is:
 * pg_proc.prosrc and pg_trigger. Only the difference is executed, table by table, each in a short
 * transaction with a lock_timeout, because whoever writes to a table waits behind our waiting lock.
 */
#include "source/postgres/install.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/postgres/capture.h"
#include "source/postgres/claim.h"
#include "source/postgres/expression.h"
#include "source/postgres/guard.h"
#include "source/postgres/installed.h"
#include "source/postgres/recall.h"
#include "source/postgres/statement.h"
#include "source/summary.h"
#include "source/template.h"
#include "sql.h"

#define DDL_TIMEOUT_MS 60000
/* One lock is waited for so long; and, as a partitioned table has many, a whole step so long, which others wait behind. */
#define LOCK_MS 100
#define STEP_MS 120
#define STEP_PER_TRIGGER_MS 2 /* a server's own work, several times over; */
#define STEP_PER_MS_BYTES 5000 /* and for a function's text */
#define NO_TABLE 10000 /* relations: a function alone waits for nobody's table, and nobody for it */
#define REMOVE_FOR_MS 60000

/* -- the difference
 * ------------------------------------------------------------------------------------------------------
 */

/* Where the statements go: executed, or shown. */
struct steps {
	struct pg *pg;
	const struct claim *claim; /* NULL: what is done needs none */
	struct buf *plan; /* NULL: execute */
	struct summary *summary; /* of the plan */
	enum summary_verb verb;
	size_t relations; /* how many the next step has to lock */
	bool together;    /* the disk is waited for once, behind all of them: see flush_steps() */
	bool any;         /* was executed */
	struct err later; /* the first that could not be done now, as a table was busy; "" when all was */
	bool misplaced;   /* so triggers stand where they must not */
	struct err *complaint; /* what cannot be done for want of a right; NULL: nobody asks */
	bool strict;           /* at the first table that fails it ends */
};

/* As one statement, so that one time-out holds for all its waits. The claim is asked for in it: while we stood still another
 * configuration may have replaced what we made, and would never look at what we make now. */
static void write_step(struct buf *script, const struct steps *steps, const char *sql)
{
	AUTO_BUF struct buf body = buf_init(BUF_NO_MAX); /* bounded by the catalogue */

	buf_printf(script,
		"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = %s; SET LOCAL lock_timeout = %d; SET LOCAL "
		"statement_timeout = %zu; DO LANGUAGE plpgsql ",
		steps->together ? "off" : "on", LOCK_MS,
		STEP_MS + steps->relations * STEP_PER_TRIGGER_MS + strlen(sql) / STEP_PER_MS_BYTES);
	buf_text(&body, "BEGIN ");
	if (steps->claim)
		claim_write(&body, steps->claim);
	buf_text(&body, "EXECUTE ");
	sql_literal(&body, sql);
	buf_text(&body, "; END");
	sql_literal(script, body.bytes);
	buf_text(script, "; COMMIT");
}

/* While we run, one odd table stops no other. */
static bool concerns_one_table(enum status status)
{
	return status == STATUS_DENIED || status == STATUS_NOT_FOUND || status == STATUS_INVALID || status == STATUS_FAILED;
}

/* DDL in one transaction. A lock that was not to be had is not an error: the caller comes again. */
static enum status step(struct steps *steps, const char *what, const char *sql, struct err *err)
{
	AUTO_BUF struct buf script = buf_init(BUF_NO_MAX);
	enum status status;

	if (steps->plan) {
		buf_printf(steps->plan, "-- %s\n%s\n", what, sql);
		summary_add(steps->summary, steps->verb, what, strlen(what));
		return STATUS_OK;
	}
	write_step(&script, steps, sql);
	status = pg_script(steps->pg, script.bytes, DDL_TIMEOUT_MS, err);
	if (status == STATUS_OK) {
		steps->any = true;
		log_info("postgres", "%s", what);
		return STATUS_OK;
	}
	if (steps->pg->conn) {
		struct err ignored;
		enum status back = pg_script(steps->pg, "ROLLBACK", DDL_TIMEOUT_MS, &ignored);

		if (back != STATUS_OK)
			return back;
	}
	if (status == STATUS_TOO_MANY || (status == STATUS_TIMEOUT && steps->pg->conn)) {
		if (!steps->later.text[0])
			err_set(&steps->later, STATUS_TOO_MANY, "waiting for the %s: another transaction holds the table", what);
		log_info("postgres", "%s: the table is busy, will try again", what);
		return STATUS_OK;
	}
	if (!steps->strict && concerns_one_table(status)) {
		if (!steps->later.text[0])
			err_set(&steps->later, STATUS_TOO_MANY, "%s: %s", what, err->text);
		return STATUS_OK;
	}
	return status;
}

static int by_owner(const void *a, const void *b)
{
	pg_oid one = (*(const struct pg_member *const *)a)->owner_oid, other = (*(const struct pg_member *const *)b)->owner_oid;

	return one < other ? -1 : one > other;
}

/* Who makes a partition makes the parent's row trigger on it, and has to be allowed to run its function, or the application's own CREATE
 * TABLE .. PARTITION OF fails. It is the owner of the parent, who could write any row into it anyway. */
static void owners_of(const struct pg_table *table, struct buf *oids, struct buf *names)
{
	AUTO_FREE const struct pg_member **owned = mem_zero(table->member_count + 1, sizeof(*owned));
	size_t count = 0;

	for (size_t i = 0; i < table->member_count; i++)
		if (table->members[i].owner)
			owned[count++] = &table->members[i];
	qsort(owned, count, sizeof(*owned), by_owner);
	for (size_t i = 0; i < count; i++) {
		if (i && owned[i]->owner_oid == owned[i - 1]->owner_oid)
			continue;
		buf_printf(oids, "%s%u", oids->len ? ", " : "", owned[i]->owner_oid);
		buf_printf(names, "%s%s", names->len ? ", " : "", owned[i]->owner);
	}
}

static void write_rights(struct buf *sql, const struct pg_table *table, const char *function)
{
	AUTO_BUF struct buf oids = buf_init(BUF_NO_MAX), names = buf_init(BUF_NO_MAX); /* bounded by the catalogue */

	owners_of(table, &oids, &names);
	buf_printf(sql, "REVOKE ALL ON FUNCTION esink.%s() FROM PUBLIC;\n", function);
	if (names.len)
		buf_printf(sql, "GRANT EXECUTE ON FUNCTION esink.%s() TO %s;\n", function, names.bytes);
}

static enum status put_rights(struct steps *steps, const struct installed *installed, const struct pg_table *table,
	const char *function, struct err *err)
{
	AUTO_FREE char *what = mem_format("who makes partitions of %s", table->topic);
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX), oids = buf_init(BUF_NO_MAX), names = buf_init(BUF_NO_MAX); /* likewise */
	const char *former = installed_grantees(installed, table, true);

	owners_of(table, &oids, &names);
	if (span_is(buf_as_span(&oids), former))
		return STATUS_OK;
	if (*former)
		buf_printf(&sql, "REVOKE ALL ON FUNCTION esink.%s() FROM %s;\n", function, installed_grantees(installed, table, false));
	write_rights(&sql, table, function);
	steps->relations = NO_TABLE;
	steps->verb = SUMMARY_REPLACE;
	return step(steps, what, sql.bytes, err);
}

static enum status put_function(struct steps *steps, const struct pg_catalog *catalog,
	const struct pg_table *table, const char *function, const char *sql, struct err *err)
{
	AUTO_BUF struct buf both = buf_init(BUF_NO_MAX);
	AUTO_FREE char *what = mem_format("trigger function of %s", table->topic);

	buf_text(&both, sql);
	write_rights(&both, table, function);
	guard_put(&both, catalog, table);
	steps->relations = NO_TABLE;
	return step(steps, what, both.bytes, err);
}

static char *trigger_sql(const struct pg_table *table, const struct pg_member *member,
	const char *function, bool truncate)
{
	AUTO_FREE char *relation = mem_format("%u", table->oid);
	const char *pairs[] = {"trigger", truncate ? "\"!esink_truncate\"" : "\"!esink\"", "events",
		truncate ? "TRUNCATE" : "INSERT OR UPDATE OR DELETE", "table", member->name, "each",
		truncate ? "STATEMENT" : "ROW", "function", function, "relation", relation, NULL};

	return template_fill(strstr(sql_postgres_attach, "\nCREATE ") + 1, pairs);
}

static enum status put_trigger(struct steps *steps, const struct pg_table *table,
	const struct pg_member *member, const char *function, bool truncate, struct err *err)
{
	AUTO_FREE char *what =
		mem_format("%s trigger on %s", truncate ? "TRUNCATE" : "row", member->name);
	AUTO_FREE char *sql = trigger_sql(table, member, function, truncate);

	return step(steps, what, sql, err);
}

static bool is_member(const struct pg_table *table, pg_oid oid)
{
	for (size_t i = 0; i < table->member_count; i++)
		if (table->members[i].oid == oid)
			return true;
	return false;
}

/* A trigger in the wrong place: on a relation that has left the table (NO INHERIT, DETACH PARTITION) and whose rows must
 * not be told any more, or on a member but of a function that nothing wants (a restored dump, whose oids differ). */
static bool is_misplaced(const struct installed *installed, int row, const struct pg_table *table)
{
	bool member = is_member(table, installed->stands[row].relation);

	return member ? !installed->stands[row].wanted : installed->stands[row].of == table->oid;
}

static bool needs_remake(const struct installed *installed, const struct pg_table *table)
{
	for (int row = 0; row < PQntuples(installed->triggers); row++)
		if (is_misplaced(installed, row, table))
			return true;
	return false;
}

static bool is_denied(struct steps *steps, const struct pg_member *member)
{
	if (member->denied && steps->complaint && !steps->complaint->text[0])
		err_set(steps->complaint, STATUS_DENIED, "%s of %s are not captured: %s", member->partition ? "TRUNCATEs" : "changes",
			member->name, member->denied);
	return member->denied;
}

/* A row trigger on a partitioned table is one on each partition. NULL: nothing stands in its way. */
static const char *why_blocked(const struct pg_table *table)
{
	for (size_t i = 0; i < table->member_count; i++)
		if (table->members[i].partition && table->members[i].denied)
			return table->members[i].denied;
	return NULL;
}

static bool is_blocked(struct steps *steps, const struct pg_table *table, const struct pg_member *member)
{
	const char *why = member->kind == 'p' ? why_blocked(table) : NULL;

	if (why && steps->complaint && !steps->complaint->text[0])
		err_set(steps->complaint, STATUS_DENIED, "changes of %s are not captured: %s", member->name, why);
	return why;
}

bool install_attaches(const struct pg_table *table)
{
	const struct pg_member *itself = table->members;

	return table->member_count && itself->kind != 'f' && !itself->denied && !(itself->kind == 'p' && why_blocked(table));
}

/* Relations that have left the table and keep its trigger, as long as that was not made anew without them: an array's elements. */
static char *strangers_of(const struct installed *installed, const struct pg_table *table)
{
	AUTO_BUF struct buf oids = buf_init(BUF_NO_MAX); /* bounded by the catalogue */

	for (int row = 0; row < PQntuples(installed->triggers); row++)
		if (installed->stands[row].of == table->oid && !is_member(table, installed->stands[row].relation))
			buf_printf(&oids, "%s%u", oids.len ? "," : "", installed->stands[row].relation);
	return oids.len ? buf_take(&oids) : NULL;
}

/* With its triggers and its guard, which in a restored dump is broken: each tick would look for what it concerns, for ever. */
static void drop_misplaced(struct buf *sql, const struct installed *installed, int row)
{
	AUTO_FREE char *watched = mem_format("%u", installed->stands[row].of);

	buf_printf(sql, "DROP FUNCTION IF EXISTS esink.%s() CASCADE;", PQgetvalue(installed->triggers, row, 2));
	guard_drop(sql, watched);
	buf_text(sql, "\n");
}

/* Drops the functions, and with them the triggers, and makes them anew, in one transaction: no write goes by unseen.
 * Dropping a trigger alone would need to own the table. */
static enum status remake_table(struct steps *steps, const struct installed *installed,
	const struct pg_catalog *catalog, const struct pg_table *table, struct err *err)
{
	AUTO_FREE char *function = capture_function_name(table->oid);
	AUTO_FREE char *what = mem_format("triggers of %s made anew", table->topic);
	AUTO_FREE char *body = NULL;
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by the catalogue */

	body = capture_function(catalog, table, NULL, installed->notify);
	for (int row = 0; row < PQntuples(installed->triggers); row++)
		if (is_misplaced(installed, row, table))
			drop_misplaced(&sql, installed, row);
	buf_printf(&sql, "DROP FUNCTION IF EXISTS esink.%s() CASCADE;\n", function);
	buf_text(&sql, body);
	write_rights(&sql, table, function);
	guard_put(&sql, catalog, table);
	for (size_t i = 0; i < table->member_count; i++) {
		const struct pg_member *member = &table->members[i];
		AUTO_FREE char *rows = trigger_sql(table, member, function, false);
		AUTO_FREE char *truncate = trigger_sql(table, member, function, true);

		if (member->kind != 'f' && !is_denied(steps, member))
			buf_printf(&sql, "%s%s", member->partition ? "" : rows, truncate);
	}
	steps->relations = table->member_count;
	steps->verb = SUMMARY_REPLACE;
	return step(steps, what, sql.bytes, err);
}

static enum status attach_member(struct steps *steps, const struct installed *installed, const struct pg_table *table,
	const struct pg_member *member, const char *function, struct err *err)
{
	bool rows = !member->partition && !installed_has_trigger(installed, member->oid, "!esink", table),
	     truncate = !installed_has_trigger(installed, member->oid, "!esink_truncate", table);
	enum status status = STATUS_OK;

	if (member->kind == 'f' || !(rows || truncate) || is_denied(steps, member))
		return STATUS_OK;
	if (rows && !is_blocked(steps, table, member)) {
		steps->relations = table->member_count;
		status = put_trigger(steps, table, member, function, false, err);
	}
	return status == STATUS_OK && truncate ? put_trigger(steps, table, member, function, true, err) : status;
}

static enum status attach_table(struct steps *steps, const struct installed *installed,
	const struct pg_catalog *catalog, const struct pg_table *table, struct err *err)
{
	AUTO_FREE char *function = capture_function_name(table->oid);
	AUTO_FREE char *sql = NULL, *strangers = NULL;
	enum status status = STATUS_OK;

	/* At once, also where the triggers have to wait for a busy table: a former function would go on by former rules. */
	strangers = strangers_of(installed, table);
	sql = capture_function(catalog, table, strangers, installed->notify);
	steps->verb = installed_body(installed, table) ? SUMMARY_REPLACE : SUMMARY_CREATE;
	if (!installed_has_function(installed, table, capture_body(sql)))
		status = put_function(steps, catalog, table, function, sql, err);
	if (status == STATUS_OK && installed_body(installed, table))
		status = put_rights(steps, installed, table, function, err);
	steps->verb = SUMMARY_CREATE;
	if (needs_remake(installed, table) && !why_blocked(table))
		return status; /* it was busy: its triggers later, and all at once */
	for (size_t i = 0; status == STATUS_OK && i < table->member_count; i++)
		status = attach_member(steps, installed, table, &table->members[i], function, err);
	return status;
}

static size_t triggers_of(const struct installed *installed, const char *function)
{
	size_t count = 0;

	for (int row = 0; row < PQntuples(installed->triggers); row++)
		count += strcmp(PQgetvalue(installed->triggers, row, 2), function) == 0;
	return count;
}

/* Its triggers stand on a watched table: remake_table() drops it. */
static bool is_replaced(const struct installed *installed, const struct pg_catalog *catalog,
	const char *function)
{
	for (int row = 0; row < PQntuples(installed->triggers); row++)
		for (size_t i = 0; i < catalog->table_count; i++)
			if (strcmp(PQgetvalue(installed->triggers, row, 2), function) == 0 &&
				is_member(&catalog->tables[i], installed->stands[row].relation))
				return true;
	return false;
}

static enum status detach_others(struct steps *steps, const struct installed *installed,
	const struct pg_catalog *catalog, struct err *err)
{
	enum status status = STATUS_OK;

	for (int row = 0; status == STATUS_OK && row < PQntuples(installed->functions); row++) {
		const char *function = PQgetvalue(installed->functions, row, 0);
		const char *pairs[] = {"function", function, NULL};
		AUTO_FREE char *drop = NULL, *what = NULL;
		AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX);

		if (catalog_has(catalog, installed->of[row]) || is_replaced(installed, catalog, function))
			continue;
		drop = template_fill(strstr(sql_postgres_detach, "\nDROP ") + 1, pairs);
		buf_text(&sql, drop);
		guard_drop(&sql, function + strlen("capture_"));
		what = mem_format("triggers of %s removed: it is no longer watched",
			PQgetvalue(installed->functions, row, 2));
		steps->relations = triggers_of(installed, function);
		steps->verb = SUMMARY_DROP;
		status = step(steps, what, sql.bytes, err);
	}
	return status;
}

/* The function that the row trigger of a table calls: after a dump was restored the number in its name is not this table's, and may be
 * another's. Without a trigger, the one that has its number, unless it is the function of others. -1: there is none. */
static int former_function(const struct installed *installed, const struct pg_table *table)
{
	const char *name = NULL;
	bool others = false;

	for (int row = 0; row < PQntuples(installed->triggers); row++) {
		if (installed->stands[row].relation == table->oid && strcmp(PQgetvalue(installed->triggers, row, 1), "!esink") == 0)
			name = PQgetvalue(installed->triggers, row, 2);
		others |= installed->stands[row].of == table->oid && !is_member(table, installed->stands[row].relation);
	}
	for (int row = 0; row < PQntuples(installed->functions); row++)
		if (name ? strcmp(PQgetvalue(installed->functions, row, 0), name) == 0 : !others && installed->of[row] == table->oid)
			return row;
	return -1;
}

/* Of all tables before anything is dropped. */
static void recall_all(const struct installed *installed, const struct pg_catalog *catalog)
{
	for (size_t i = 0; i < catalog->table_count; i++) {
		const struct pg_table *table = &catalog->tables[i];
		int row = former_function(installed, table);

		recall_withheld(catalog, table, row < 0 ? NULL : PQgetvalue(installed->functions, row, 1),
			row < 0 || installed->of[row] == table->oid);
	}
}

/* What stands in the wrong place first: it may stand in another table's way. */
static enum status remake_tables(struct steps *steps, struct installed *installed,
	const struct pg_catalog *catalog, struct err *err)
{
	enum status status = STATUS_OK;
	bool any = false;

	for (size_t i = 0; status == STATUS_OK && i < catalog->table_count; i++) {
		const struct pg_table *table = &catalog->tables[i];

		if (!needs_remake(installed, table) || why_blocked(table))
			continue;
		any = true;
		status = remake_table(steps, installed, catalog, table, err);
		steps->misplaced |= steps->later.text[0];
	}
	if (status != STATUS_OK || !any || steps->plan)
		return status;
	installed_finish(installed);
	*installed = (struct installed){0};
	return installed_load(steps->pg, catalog, installed, err);
}

/* What commits later is later in the log, so that one commit that waits for the disk (and for standbys) makes all before it durable.
 * Three waits for each of a thousand tables are seconds. A transaction that writes nothing does not wait. */
static enum status flush_steps(const struct steps *steps, enum status status, struct err *err)
{
	struct err failure = {""};
	enum status flushed;

	if (!steps->any || !steps->pg->conn)
		return status;
	flushed = pg_script(steps->pg, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit = on; SELECT "
		"pg_catalog.pg_logical_emit_message(true, 'esink'::text, ''::text); COMMIT", DDL_TIMEOUT_MS, &failure);
	if (flushed != STATUS_OK && status == STATUS_OK)
		return err_set(err, flushed, "%s", failure.text);
	return status;
}

static enum status difference(
	struct steps *steps, const struct pg_catalog *catalog, struct err *err)
{
	struct installed installed = {0};
	enum status status = installed_load(steps->pg, catalog, &installed, err);

	if (status == STATUS_OK)
		recall_all(&installed, catalog);
	if (status == STATUS_OK)
		status = remake_tables(steps, &installed, catalog, err);
	if (status == STATUS_OK)
		status = detach_others(steps, &installed, catalog, err);
	for (size_t i = 0; status == STATUS_OK && i < catalog->table_count; i++)
		status = attach_table(steps, &installed, catalog, &catalog->tables[i], err);
	installed_finish(&installed);
	return flush_steps(steps, status, err);
}

enum status install_tables(struct pg *pg, const struct pg_catalog *catalog, const struct claim *claim,
	bool strict, struct install_done *done, struct err *complaint, struct err *err)
{
	struct steps steps = {.pg = pg, .claim = claim, .together = true, .complaint = complaint, .strict = strict};
	enum status status = difference(&steps, catalog, err);

	*done = (struct install_done){steps.any, steps.misplaced};
	if (status == STATUS_OK && steps.later.text[0])
		return err_set(err, STATUS_TOO_MANY, "%s", steps.later.text);
	return status;
}

enum status install_plan(struct pg *pg, const struct pg_catalog *catalog, struct buf *plan,
	struct summary *summary, struct err *err)
{
	struct steps steps = {.pg = pg, .plan = plan, .summary = summary, .strict = true};

	return difference(&steps, catalog, err);
}

enum status install_complaint(struct pg *pg, struct err *complaint, struct err *err)
{
	static const char sql[] = "SELECT t.tgrelid::regclass::text, t.tgname FROM pg_trigger t WHERE "
				  "t.tgname OPERATOR(pg_catalog.~~) '!esink%'::text AND t.tgenabled = 'D' "
				  "AND NOT t.tgisinternal LIMIT 1";
	AUTO_RESULT PGresult *result = NULL;
	enum status status = pg_query(pg, sql, 0, NULL, DDL_TIMEOUT_MS, &result, err);

	if (status == STATUS_OK && PQntuples(result) > 0)
		err_set(complaint, STATUS_FAILED,
			"the trigger of esink on %s is disabled: its changes are not captured; "
			"run: "
			"ALTER TABLE %s ENABLE TRIGGER \"%s\";",
			PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
	return status;
}

enum status install_drop(struct pg *pg, const char *what, const char *judge, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX), body = buf_init(BUF_NO_MAX); /* our own text */
	struct installed installed = {0};
	struct steps steps = {.pg = pg, .strict = true};
	enum status status = installed_load(pg, NULL, &installed, err);

	/* Each watched table, and our own. */
	steps.relations = (size_t)PQntuples(installed.triggers) + 50;
	installed_finish(&installed);
	buf_printf(&body, "BEGIN %s EXECUTE ", judge);
	sql_literal(&body, strstr(sql_postgres_uninstall, "\nDROP ") + 1);
	buf_text(&body, "; END");
	buf_text(&sql, "SELECT pg_catalog.pg_advisory_xact_lock(1702062446, 2); DO LANGUAGE plpgsql ");
	sql_literal(&sql, body.bytes);
	if (status == STATUS_OK)
		status = step(&steps, what, sql.bytes, err);
	if (status == STATUS_OK && steps.later.text[0])
		return err_set(err, STATUS_TOO_MANY, "a watched table is busy");
	return status;
}

enum status install_remove(struct pg *pg, const char *judge, struct err *err)
{
	int64_t end = clock_ms() + REMOVE_FOR_MS;
	int pause = 50;

	for (;;) {
		enum status status =
			install_drop(pg, "schema esink and its triggers are removed", judge, err);

		if (status != STATUS_TOO_MANY)
			return status;
		if (clock_ms() > end)
			return err_set(err, STATUS_TIMEOUT,
				"a watched table was busy for a minute; nothing was removed: try "
				"again");
		if (!pg_pause(pg, pause))
			return err_set(err, STATUS_STOPPED, "stopped");
		pause = pause < 1600 ? pause * 2 : pause;
	}
}
