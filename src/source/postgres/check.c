/* --check: on a connection of its own, before anything else runs, printing to stdout. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/doubts.h"
#include "source/postgres/auth_table.h"
#include "source/postgres/install.h"
#include "source/postgres/owner.h"
#include "source/postgres/postgres.h"
#include "source/postgres/statement.h"
#include "source/summary.h"
#include "source/token_table.h"

static enum status schema_exists(struct pg *pg, bool *there, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = owner_check(pg, there, err);

	if (status == STATUS_OK && !*there)
		status = pg_query(pg,
			"SELECT has_database_privilege(current_database(), 'CREATE')", 0, NULL,
			10000, &result, err);
	if (status == STATUS_OK && !*there && !pg_bool(result, 0, 0))
		return err_set(err, STATUS_DENIED,
			"no right to create schema esink; run: GRANT CREATE ON DATABASE \"%s\" TO "
			"\"%s\";",
			PQdb(pg->conn), PQuser(pg->conn));
	return status;
}

/* Equal but for case. Such a rule gives nobody anything (rules/bind.c), which nobody would guess. */
static bool almost_names(const struct table_name *name, const struct pg_table *table)
{
	if (name->schema ? strcasecmp(name->schema, table->schema) != 0 : !table->in_default_schema)
		return false;
	return strcasecmp(name->table, table->name) == 0;
}

static bool names_another(const struct table_name *name, const struct pg_catalog *catalog)
{
	for (size_t i = 0; i < catalog->table_count; i++)
		if (strcmp(name->table, catalog->tables[i].name) == 0)
			return true;
	return false;
}

/* A rule for a table that TABLE_NAMES does not have does nothing; one that misses by case is told below. */
static bool is_idle(const struct table_name *name, const struct pg_catalog *catalog)
{
	for (size_t i = 0; i < catalog->table_count; i++) {
		const struct pg_table *table = &catalog->tables[i];
		struct relation relation = {
			table->schema, table->name, table->in_default_schema, NULL, 0};

		if (table_name_matches(name, &relation) || almost_names(name, table))
			return false;
	}
	return true;
}

/* Partitions and children are told as rows of their table, and so protected. */
static void warn_unprotecting(const struct pg_catalog *catalog)
{
	AUTO_FREE struct relation *tables = NULL;
	size_t count = 0;

	for (size_t i = 0; i < catalog->table_count; i++) {
		const struct pg_table *table = &catalog->tables[i];

		tables = mem_resize(tables, (count + 1 + table->member_count) * sizeof(*tables));
		tables[count++] = (struct relation){
			table->schema, table->name, table->in_default_schema, NULL, 0};
		for (size_t m = 0; m < table->member_count; m++)
			tables[count++] = (struct relation){table->members[m].schema,
				table->members[m].table, table->members[m].in_default_schema, NULL, 0};
	}
	doubts_of_unwatched("postgres", catalog->rules, tables, count);
}

void postgres_warn_unrouted(const struct pg_catalog *catalog, const struct ruleset *rules)
{
	warn_unprotecting(catalog);
	for (size_t r = 0; r < rules->route_count; r++)
		if (is_idle(&rules->routes[r].table, catalog))
			log_warn("postgres",
				"TABLE_AUTH_COLUMN_ROUTING: table \"%s\" is not in TABLE_NAMES: its "
				"rule does nothing",
				rules->routes[r].table.text);
	for (size_t i = 0; i < rules->old_row_count; i++)
		if (is_idle(&rules->old_rows[i], catalog))
			log_warn("postgres", "OLD_ROWS: table \"%s\" is not in TABLE_NAMES: naming it does nothing",
				rules->old_rows[i].text);
	for (size_t i = 0; i < catalog->table_count; i++) {
		const struct pg_table *table = &catalog->tables[i];

		for (size_t r = 0; r < rules->route_count; r++) {
			const struct table_name *name = &rules->routes[r].table;

			if (!table->rule.broadcast && table->rule.route_count == 0 &&
				almost_names(name, table) && !names_another(name, catalog))
				log_warn("postgres",
					"TABLE_AUTH_COLUMN_ROUTING: \"%s\" is no rule for table %s, whose "
					"rows reach no user: write the name as the table has it",
					name->text, table->topic);
		}
	}
}

void postgres_warn_tokens(const struct pg_catalog *catalog, const struct source_config *config)
{
	for (size_t i = 0; i < catalog->table_count; i++) {
		const struct pg_table *table = &catalog->tables[i];
		const struct watched watched = {{table->schema, table->name, table->in_default_schema,
							table->column_names, table->columns.count},
			table->topic, &table->rule};

		doubts_of_tokens("postgres", config, &watched);
	}
}

static void describe(const struct pg_catalog *catalog)
{
	for (size_t i = 0; i < catalog->table_count; i++) {
		const struct pg_table *table = &catalog->tables[i];

		printf("%s: ", table->topic);
		if (table->rule.broadcast)
			printf("every session");
		else if (table->rule.route_count == 0)
			printf("no routing: operator and consumers only");
		for (size_t r = 0; r < table->rule.route_count; r++)
			printf("%s%s", r ? ", " : "the users in ",
				table->columns.list[table->rule.route[r]].name);
		printf("; sends");
		for (size_t c = 0; c < table->columns.count; c++)
			if (table->rule.sent[c])
				printf(" %s", table->columns.list[c].name);
		printf("%s\n", table->rule.old_rows ? ", and the old row" : "");
	}
}

static enum status print_plan(
	struct pg *pg, const struct pg_catalog *catalog, bool there, bool brief, struct err *err)
{
	AUTO_BUF struct buf plan = buf_init(BUF_NO_MAX);
	static const char schema[] = "schema esink with its tables and functions";
	struct summary summary;
	enum status status;

	summary_init(&summary);
	if (!there)
		summary_add(&summary, SUMMARY_CREATE, schema, sizeof(schema) - 1);
	status = install_plan(pg, catalog, &plan, &summary, err);
	if (status == STATUS_OK) {
		if (plan.len && !brief) {
			summary_print(&summary);
			printf("\nwould run:\n%s\n", plan.bytes);
		}
		describe(catalog);
		printf("\n");
		summary_print(&summary);
	}
	summary_finish(&summary);
	return status;
}

enum status postgres_count_relays(struct pg *pg, long long *count, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = pg_query(pg,
		"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'esink' AND "
		"datname = "
		"current_database() AND pid <> pg_backend_pid()",
		0, NULL, 10000, &result, err);

	if (status == STATUS_OK)
		*count = pg_int(result, 0, 0);
	return status;
}

static enum status print_drainer(struct pg *pg, struct err *err)
{
	long long count = 0;
	enum status status = postgres_count_relays(pg, &count, err);

	if (status == STATUS_OK && count)
		printf("\na relay is at work on this database: yes (connections of relays: %lld)\n", count);
	else if (status == STATUS_OK)
		printf("\na relay is at work on this database: no\n");
	return status;
}

/* A relay that captures the table already starts without them; who asks is told. */
static enum status rights_of_members(const struct pg_catalog *catalog, struct err *err)
{
	for (size_t i = 0; i < catalog->table_count; i++)
		for (size_t m = 0; m < catalog->tables[i].member_count; m++)
			if (catalog->tables[i].members[m].denied)
				return err_set(err, STATUS_DENIED, "%s", catalog->tables[i].members[m].denied);
	return STATUS_OK;
}

enum status postgres_check(void *opaque, struct err *err)
{
	struct postgres *source = opaque;
	struct pg_catalog *catalog = NULL;
	AUTO_FREE char *lookup = NULL;
	bool there = false;
	enum status status = pg_connect(
		&source->pg, source->config->url, PG_CONNECT_TIMEOUT_MS, err);

	if (status == STATUS_OK)
		status = schema_exists(&source->pg, &there, err);
	if (status == STATUS_OK)
		status = token_table_spared("postgres", source->config,
			auth_table_statement(&source->pg, source->config, 10000, &lookup, err), err);
	if (status == STATUS_OK)
		status =
			catalog_load(&source->pg, source->config->rules, true, &catalog, NULL, err);
	if (status == STATUS_OK)
		postgres_warn_unrouted(catalog, source->config->rules);
	if (status == STATUS_OK && lookup)
		postgres_warn_tokens(catalog, source->config);
	if (status == STATUS_OK)
		status = rights_of_members(catalog, err);
	if (status == STATUS_OK && lookup)
		status = auth_table_warn(&source->pg, source->config, 10000, err);
	if (status == STATUS_OK)
		status = print_plan(&source->pg, catalog, there, source->config->brief, err);
	if (status == STATUS_OK)
		status = print_drainer(&source->pg, err);
	catalog_free(catalog);
	pg_close(&source->pg);
	return status;
}
