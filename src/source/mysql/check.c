/* --check and --uninstall: on a connection of their own, before anything else runs, printing to stdout. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/mysql/auth_table.h"
#include "source/mysql/error.h"
#include "source/mysql/install.h"
#include "source/mysql/mysql.h"
#include "source/mysql/rights.h"
#include "source/mysql/text.h"
#include "source/summary.h"
#include "source/token_table.h"

#define CLAIM_ENDS_MS 4000 /* longer than the server keeps a connection that was cut off */
#define PAUSE_MS 200

static void describe(const struct my_catalog *catalog)
{
	for (size_t i = 0; i < catalog->count; i++) {
		const struct my_table *table = &catalog->tables[i];

		printf("%s: ", table->topic);
		if (table->rule.broadcast)
			printf("every session");
		else if (table->rule.route_count == 0)
			printf("no routing: operator and consumers only");
		for (size_t r = 0; r < table->rule.route_count; r++)
			printf("%s%s", r ? ", " : "the users in ", table->columns[table->rule.route[r]].name);
		printf("; sends");
		for (size_t c = 0; c < table->count; c++)
			if (table->rule.sent[c])
				printf(" %s", table->columns[c].name);
		printf("%s\n", table->rule.old_rows ? ", and the old row" : "");
	}
}

/* -- warnings --------------------------------------------------------------------------------------------------------- */

static enum status warn_cascades(struct my_db *db, const struct my_table *table, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* two names */
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status;
	MYSQL_ROW row;

	buf_text(&sql, "SELECT CONSTRAINT_NAME, REFERENCED_TABLE_NAME, DELETE_RULE, UPDATE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS "
		"WHERE CONSTRAINT_SCHEMA = ");
	my_text_literal(&sql, span_of(table->schema));
	buf_text(&sql, " AND TABLE_NAME = ");
	my_text_literal(&sql, span_of(table->name));
	buf_text(&sql, " AND (DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))");
	status = my_query(db, sql.bytes, MY_TIMEOUT_MS, &rows, err);
	while (status == STATUS_OK && (row = mysql_fetch_row(rows)))
		log_warn("mysql", "table %s: its foreign key %s to %s changes rows by ON DELETE %s, ON UPDATE %s: MySQL fires no trigger for "
			"these, so nobody is told of them", table->topic, row[0], row[1], row[2], row[3]);
	return status;
}

static enum status warn_table(struct my_db *db, const struct my_table *table, struct err *err)
{
	if (table->engine && strcasecmp(table->engine, "InnoDB") != 0)
		log_warn("mysql", "table %s has the engine %s: of a transaction that is rolled back its changes stay, but the events do not",
			table->topic, table->engine);
	return warn_cascades(db, table, err);
}

static enum status read_binlog(struct my_db *db, bool *on, bool *statement, bool *trusts, struct err *err)
{
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status = my_query(db, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format', "
		"'log_bin_trust_function_creators')", MY_TIMEOUT_MS, &rows, err);
	MYSQL_ROW row;

	*on = *statement = *trusts = false;
	while (status == STATUS_OK && (row = mysql_fetch_row(rows))) {
		*on |= !strcmp(row[0], "log_bin") && !strcasecmp(row[1], "ON");
		*statement |= !strcmp(row[0], "binlog_format") && !strcasecmp(row[1], "STATEMENT");
		*trusts |= !strcmp(row[0], "log_bin_trust_function_creators") && !strcasecmp(row[1], "ON");
	}
	return status;
}

static enum status check_binlog(struct my_db *db, struct err *err)
{
	bool on, statement, trusts, super;
	struct my_rights rights;
	enum status status = read_binlog(db, &on, &statement, &trusts, err);

	if (status != STATUS_OK || !on)
		return status;
	if (statement)
		return my_error_say(db->config, MY_STATEMENT_BINLOG, "", err);
	if (trusts)
		return STATUS_OK;
	status = my_rights_load(db, &rights, err);
	super = my_rights_has(&rights, "SUPER", db->config->database, NULL);
	my_rights_finish(&rights);
	return status == STATUS_OK && !super ? my_error_say(db->config, MY_BINLOG_CREATORS, "", err) : status;
}

/* -- --check ---------------------------------------------------------------------------------------------------------- */

/* Each in the schema that it is run in: the first ones in MYSQL_DATABASE. */
static void print_statements(const struct my_plan *plan, const char *database)
{
	const char *in = database;

	printf("\nwould run:\n");
	for (size_t i = 0; i < plan->count; i++) {
		const char *schema = plan->steps[i].schema ? plan->steps[i].schema : database;
		AUTO_BUF struct buf name = buf_init(BUF_NO_MAX); /* a name */

		if (!plan->steps[i].what)
			continue;
		my_text_name(&name, schema);
		if (strcmp(schema, in) != 0)
			printf("USE %s;\n", name.bytes);
		in = schema;
		printf("%s;\n", plan->steps[i].sql);
	}
	printf("\n");
}

static void print_steps(const struct my_plan *plan, const struct my_catalog *catalog, const struct my_db *db)
{
	struct summary summary;

	summary_init(&summary);
	for (size_t i = 0; i < plan->count; i++)
		if (plan->steps[i].what)
			summary_add(&summary, plan->steps[i].verb, plan->steps[i].what, strlen(plan->steps[i].what));
	if (plan->count && !db->config->brief) {
		summary_print(&summary);
		print_statements(plan, db->config->database);
	}
	describe(catalog);
	printf("\n");
	summary_print(&summary);
	summary_finish(&summary);
}

static enum status print_plan(struct my_db *db, const struct my_catalog *catalog, struct err *err)
{
	struct my_plan plan = {0};
	bool any = false, busy = false;
	int64_t packet = 0;
	enum status status = my_install_plan_schema(db, &plan, &any, err);

	if (status == STATUS_OK)
		status = my_install_plan_triggers(db, catalog, true, &plan, err);
	if (status == STATUS_OK) {
		struct err ignored;

		print_steps(&plan, catalog, db);
		if (any && my_claim_busy(db, &busy, &ignored) != STATUS_OK)
			busy = false;
		printf("\na relay is at work on this database: %s\n", busy ? "yes" : "no");
		if (my_number(db, "SELECT @@GLOBAL.max_allowed_packet", &packet, &ignored) == STATUS_OK)
			printf("rows up to about %" PRId64 " kB are told whole (max_allowed_packet), longer ones by their key\n", packet / 1024);
	}
	my_plan_finish(&plan);
	return status;
}

enum status mysql_check(void *opaque, struct err *err)
{
	struct mysql *source = opaque;
	struct my_db *db = &source->db;
	struct my_catalog *catalog = NULL;
	AUTO_FREE char *lookup = NULL;
	bool numeric;
	enum status status = my_connect(db, MY_CONNECT_TIMEOUT_MS, 0, err);

	if (status == STATUS_OK)
		status = token_table_spared("mysql", source->config, my_auth_table_statement(db, &lookup, &numeric, err), err);
	if (status == STATUS_OK)
		status = my_catalog_load(db, true, &catalog, NULL, err);
	if (status == STATUS_OK)
		status = my_rights_check(db, catalog, err);
	if (status == STATUS_OK)
		status = check_binlog(db, err);
	for (size_t i = 0; status == STATUS_OK && i < catalog->count; i++)
		status = warn_table(db, &catalog->tables[i], err);
	if (status == STATUS_OK) {
		my_catalog_warn_idle(catalog);
		if (lookup)
			my_catalog_warn_tokens(catalog, source->config);
		status = print_plan(db, catalog, err);
	}
	my_catalog_free(catalog);
	my_close(db);
	return status;
}

/* -- --uninstall ------------------------------------------------------------------------------------------------------ */

/* Without its table nobody claims; any other failure to ask is no answer. */
static enum status is_at_work(struct my_db *db, bool *busy, struct err *err)
{
	enum status status = my_claim_busy(db, busy, err);

	if (status == STATUS_OK || !db->conn || db->error != MY_NO_TABLE)
		return status;
	*busy = false;
	return STATUS_OK;
}

static enum status refuse(const struct my_db *db, struct err *err)
{
	return err_set(err, STATUS_CONFLICT, "MYSQL_DATABASE: a relay is at work on database \"%s\", which would install all of it "
		"again: stop it, then run esink --uninstall once more; nothing was removed", db->config->database);
}

/* Beside a relay nothing would be removed but the journal, with what consumers had not read: it installs the rest again. The locks of
 * one that was killed last a moment, and those of one that was cut off as long as its wait_timeout. */
static enum status refuse_beside_relay(struct my_db *db, struct err *err)
{
	int64_t end = clock_ms() + CLAIM_ENDS_MS;
	bool busy = false;
	enum status status;

	while ((status = is_at_work(db, &busy, err)) == STATUS_OK && busy) {
		if (clock_ms() > end)
			return refuse(db, err);
		if (!my_wait(db, PAUSE_MS))
			return err_set(err, STATUS_STOPPED, "stopped");
	}
	return status;
}

static enum status tell_of_relay(struct my_db *db, struct err *err)
{
	bool busy = false;
	enum status status = is_at_work(db, &busy, err);

	if (status == STATUS_OK && busy)
		printf("a relay is at work on this database: --uninstall would be refused\n");
	return status;
}

static void list_consumers(struct my_db *db, struct buf *lines)
{
	AUTO_RESULT MYSQL_RES *rows = NULL;
	struct err ignored;
	MYSQL_ROW row;

	if (my_query(db, "SELECT name FROM esink_consumer ORDER BY name", MY_TIMEOUT_MS, &rows, &ignored) != STATUS_OK)
		return;
	while ((row = mysql_fetch_row(rows)))
		buf_printf(lines, "  consumer \"%s\", with what it has not read\n", row[0]);
}

static enum status remove_all(struct my_db *db, struct my_plan *plan, bool only_look, struct err *err)
{
	AUTO_BUF struct buf lines = buf_init(BUF_NO_MAX); /* bounded by the catalogue */
	AUTO_FREE char *where = mem_format("database \"%s\"", db->config->database);
	enum status status;

	if (!plan->count) {
		printf("nothing to remove: %s has no tables of esink\n", where);
		return STATUS_OK;
	}
	for (size_t i = 0; i < plan->count; i++)
		if (plan->steps[i].what)
			buf_printf(&lines, "  %s\n", plan->steps[i].what);
	list_consumers(db, &lines);
	summary_removal(only_look, where, &lines);
	if (only_look)
		return STATUS_OK;
	status = my_plan_run(db, plan, err);
	if (status == STATUS_OK)
		printf("removed the tables, the procedure and every trigger of esink from %s\n", where);
	return status;
}

static enum status look_and_remove(struct my_db *db, bool only_look, struct err *err)
{
	struct my_plan plan = {0};
	enum status status = my_install_plan_removal(db, &plan, err);

	if (status == STATUS_OK)
		status = remove_all(db, &plan, only_look, err);
	my_plan_finish(&plan);
	return status;
}

/* Until all is gone no relay can begin: it would have to install first. */
static enum status remove_alone(struct my_db *db, struct err *err)
{
	enum status status = my_claim_enter(db, err);

	if (status != STATUS_OK)
		return status == STATUS_UNAVAILABLE && db->conn ? refuse(db, err) : status;
	status = refuse_beside_relay(db, err);
	if (status == STATUS_OK)
		status = look_and_remove(db, false, err);
	my_claim_leave(db);
	return status;
}

enum status mysql_uninstall(void *opaque, struct err *err)
{
	struct mysql *source = opaque;
	struct my_db *db = &source->db;
	bool only_look = source->config->only_look;
	enum status status = my_connect(db, MY_CONNECT_TIMEOUT_MS, 0, err);

	if (status == STATUS_OK && !only_look)
		status = remove_alone(db, err);
	else if (status == STATUS_OK)
		status = tell_of_relay(db, err);
	if (status == STATUS_OK && only_look)
		status = look_and_remove(db, true, err);
	my_close(db);
	return status;
}
