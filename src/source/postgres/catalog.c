/* Reads the catalogue: which tables the names mean, then their columns, the types of those (through
 * domains, arrays and composites), and their partitions and inheriting tables. Everything is asked
 * in sets, never table by table.
 *
 * A name is tried in its exact case first, then folded to lower case; a bare name means the default
 * schema of the relay's role. Identity is the oid: a table swapped in under the same name is
 * another table. What cannot be watched is told by complaint.h; whether that ends the start is decided here.
 */
#include "source/postgres/catalog.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "source/postgres/array.h"
#include "source/postgres/complaint.h"
#include "source/postgres/statement.h"

#define CATALOG_TIMEOUT_MS 30000

/* $1 schemas (NULL: default), $2 names -> the relation that each means. */
#define FOUND_SQL                                                                                  \
	"WITH RECURSIVE found AS (SELECT DISTINCT ON (w.ord) w.ord, c.oid, n.nspname, c.relname, " \
	"c.relkind, "                                                                              \
	"n.nspname = " PG_DEFAULT_SCHEMA " AS is_default "                                         \
	"FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(schema, name, ord) "             \
	"JOIN pg_namespace n ON n.nspname IN (coalesce(w.schema, " PG_DEFAULT_SCHEMA "), "         \
	"lower(w.schema)) "                                                                        \
	"JOIN pg_class c ON c.relnamespace = n.oid AND c.relname IN (w.name, lower(w.name)) "      \
	"AND c.relkind IN ('r', 'p', 'v', 'm', 'f') "                                              \
	"ORDER BY w.ord, (n.nspname = coalesce(w.schema, " PG_DEFAULT_SCHEMA ")) DESC, "           \
	"(c.relname = "                                                                            \
	"w.name) DESC), "                                                                          \
	"member AS (SELECT f.oid AS root, f.oid, false AS partition FROM found f "                 \
	"UNION SELECT m.root, i.inhrelid, c.relispartition FROM member m JOIN pg_inherits i ON "   \
	"i.inhparent = m.oid "                                                                     \
	"JOIN pg_class c ON c.oid = i.inhrelid), "                                                 \
	"type AS (SELECT a.atttypid AS oid FROM found f JOIN pg_attribute a ON a.attrelid = "      \
	"f.oid AND a.attnum > 0 AND NOT a.attisdropped "                                           \
	"UNION SELECT x.oid FROM type t JOIN pg_type y ON y.oid = t.oid CROSS JOIN LATERAL ("      \
	"SELECT y.typbasetype AS oid WHERE y.typtype = 'd' UNION ALL SELECT y.typelem WHERE "      \
	"y.typelem <> 0::oid AND y.typcategory = 'A' "                                             \
	"UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE y.typtype = 'c' AND a.attrelid = "  \
	"y.typrelid AND a.attnum > 0 "                                                             \
	"AND NOT a.attisdropped) x) "

/* A function that takes these arguments only after a cast is named with its schema: somebody may have made one in
 * `public` that takes them as they are, which would be preferred and run as us. Likewise ~~ for LIKE. */
static const char tables_sql[] =
	FOUND_SQL "SELECT ord, oid, nspname, relname, relkind, is_default, "
		  "has_table_privilege(oid, 'TRIGGER') FROM found ORDER BY ord";
static const char columns_sql[] = FOUND_SQL
	"SELECT a.attrelid, a.attname, a.atttypid, "
	"coalesce(pg_catalog.array_position(k.conkey, a.attnum), 0), a.attnum, a.xmin "
	"FROM pg_attribute a LEFT JOIN pg_constraint k ON k.conrelid = a.attrelid AND k.contype = "
	"'p' "
	"WHERE a.attrelid IN (SELECT oid FROM found UNION SELECT oid FROM member WHERE NOT partition "
	"UNION SELECT y.typrelid FROM type t JOIN pg_type y ON y.oid = t.oid "
	"WHERE y.typtype = 'c') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, "
	"a.attnum";
static const char types_sql[] =
	FOUND_SQL "SELECT y.oid, y.typtype, y.typbasetype, CASE WHEN y.typcategory = 'A' THEN "
		  "y.typelem ELSE 0 END, "
		  "CASE WHEN y.typtype = 'c' THEN y.typrelid ELSE 0 END, y.typname FROM type t "
		  "JOIN pg_type y ON y.oid = t.oid ORDER BY y.oid";
static const char members_sql[] =
	FOUND_SQL "SELECT m.root, m.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), c.relkind, "
		  "m.partition, has_table_privilege(m.oid, 'TRIGGER'), "
		  "has_schema_privilege(n.oid, 'USAGE'), pg_catalog.quote_ident(n.nspname), "
		  "n.nspname, c.relname, n.nspname = " PG_DEFAULT_SCHEMA ", "
		  "CASE WHEN c.relkind = 'p' AND pg_catalog.pg_get_userbyid(c.relowner) <> current_user THEN "
		  "pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)) END, c.relowner, "
		  "m.oid <> m.root AND EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = m.root AND "
		  "t.tgname = '!esink'::name) "
		  "FROM member m JOIN pg_class c ON c.oid = m.oid JOIN pg_namespace n ON n.oid = "
		  "c.relnamespace "
		  "WHERE c.relkind IN ('r', 'p', 'f') ORDER BY m.root, m.oid <> m.root, m.oid";
/* Everything above in one word, and the triggers of ours that are there and enabled in another, with what tells that their
 * function was replaced. */
static const char fingerprint_sql[] =
	FOUND_SQL "SELECT pg_catalog.md5(pg_catalog.concat("
		  "(SELECT pg_catalog.string_agg(pg_catalog.concat_ws("
		  "' ', ord, oid, pg_catalog.quote_ident(nspname), "
		  "pg_catalog.quote_ident(relname), relkind), ',' ORDER BY ord) FROM found), '/', "
		  "(SELECT pg_catalog.string_agg(pg_catalog.concat_ws("
		  "' ', a.attrelid, a.attnum, pg_catalog.quote_ident(a.attname), "
		  "a.atttypid, a.xmin, k.conkey), ',' ORDER BY a.attrelid, a.attnum) "
		  "FROM pg_attribute a LEFT JOIN pg_constraint k ON k.conrelid = a.attrelid AND "
		  "k.contype = 'p' WHERE a.attrelid IN "
		  "(SELECT oid FROM found UNION SELECT oid FROM member WHERE NOT partition UNION "
		  "SELECT y.typrelid FROM type t JOIN pg_type y ON "
		  "y.oid = t.oid WHERE y.typtype = 'c') "
		  "AND a.attnum > 0 AND NOT a.attisdropped), '/', "
		  "(SELECT pg_catalog.string_agg(pg_catalog.concat_ws("
		  "' ', m.root, m.oid, c.relname, c.relnamespace, CASE c.relkind WHEN 'p' THEN c.relowner END, "
		  "has_table_privilege(m.oid, 'TRIGGER'), "
		  "has_schema_privilege(c.relnamespace, 'USAGE')), ',' ORDER BY m.root, m.oid) FROM member m "
		  "JOIN pg_class c ON c.oid = m.oid))), "
		  "pg_catalog.md5(pg_catalog.concat((SELECT pg_catalog.string_agg(pg_catalog.concat_ws("
		  "' ', t.tgrelid, t.tgname, t.tgfoid, p.xmin, t.tgenabled), "
		  "',' ORDER BY t.oid) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
		  "WHERE t.tgrelid IN (SELECT oid FROM member) "
		  "AND t.tgname OPERATOR(pg_catalog.~~) '!esink%'::text)))";

struct names {
	struct buf schemas, tables;
};

static void names_init(struct names *names, const struct ruleset *rules)
{
	names->schemas = buf_init(BUF_NO_MAX); /* bounded by the configuration */
	names->tables = buf_init(BUF_NO_MAX);
	buf_text(&names->schemas, "{");
	buf_text(&names->tables, "{");
	for (size_t i = 0; i < rules->table_count; i++) {
		pg_array_append(&names->schemas, rules->tables[i].schema);
		pg_array_append(&names->tables, rules->tables[i].table);
	}
	buf_text(&names->schemas, "}");
	buf_text(&names->tables, "}");
}

static void names_finish(struct names *names)
{
	buf_finish(&names->schemas);
	buf_finish(&names->tables);
}

static enum status ask(struct pg *pg, const struct names *names, const char *sql, PGresult **result,
	struct err *err)
{
	const char *params[] = {names->schemas.bytes, names->tables.bytes};

	return pg_query(pg, sql, 2, params, CATALOG_TIMEOUT_MS, result, err);
}

static pg_oid cell_oid(const PGresult *result, int row, int column)
{
	return (pg_oid)strtoul(PQgetvalue(result, row, column), NULL, 10);
}

static char *cell_text(const PGresult *result, int row, int column)
{
	return mem_text(PQgetvalue(result, row, column));
}

static void add_table(struct pg_catalog *catalog, const PGresult *result, int row)
{
	struct pg_table *table = &catalog->tables[catalog->table_count++];

	table->oid = cell_oid(result, row, 1);
	table->schema = cell_text(result, row, 2);
	table->name = cell_text(result, row, 3);
	table->kind = PQgetvalue(result, row, 4)[0];
	table->in_default_schema = pg_bool(result, row, 5);
	table->topic = table->in_default_schema ? mem_text(table->name)
						: mem_format("%s.%s", table->schema, table->name);
}

bool catalog_has(const struct pg_catalog *catalog, pg_oid oid)
{
	for (size_t i = 0; i < catalog->table_count; i++)
		if (catalog->tables[i].oid == oid)
			return true;
	return false;
}

static enum status load_tables(struct pg *pg, const struct ruleset *rules,
	const struct names *names, bool strict, struct pg_catalog *catalog, struct err *complaint,
	struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = ask(pg, names, tables_sql, &result, err);
	int row = 0;

	if (status != STATUS_OK)
		return status;
	catalog->tables = mem_zero(rules->table_count, sizeof(*catalog->tables));
	for (size_t i = 0; i < rules->table_count; i++) {
		bool there = row < PQntuples(result) && pg_int(result, row, 0) == (int64_t)i + 1;
		struct err wrong = {""};

		status = complaint_table(pg, &rules->tables[i], there ? PQgetvalue(result, row, 2) : NULL,
			there ? PQgetvalue(result, row, 4)[0] : 0, &wrong);
		if (status == STATUS_OK && !catalog_has(catalog, cell_oid(result, row, 1)))
			add_table(catalog, result, row);
		row += there;
		if (status != STATUS_OK && (strict || !pg->conn)) {
			*err = wrong;
			return status;
		}
		if (status != STATUS_OK && complaint)
			*complaint = wrong;
		status = STATUS_OK;
	}
	return STATUS_OK;
}

static struct pg_columns *columns_of(struct pg_catalog *catalog, pg_oid relation)
{
	for (size_t i = 0; i < catalog->table_count; i++)
		if (catalog->tables[i].oid == relation)
			return &catalog->tables[i].columns;
	if (catalog->composite_count == 0 ||
		catalog->composites[catalog->composite_count - 1].relation != relation) {
		catalog->composites = mem_resize(catalog->composites,
			(catalog->composite_count + 1) * sizeof(*catalog->composites));
		catalog->composites[catalog->composite_count++] =
			(struct pg_columns){.relation = relation};
	}
	return &catalog->composites[catalog->composite_count - 1];
}

static enum status load_columns(
	struct pg *pg, const struct names *names, struct pg_catalog *catalog, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = ask(pg, names, columns_sql, &result, err);

	for (int row = 0; status == STATUS_OK && row < PQntuples(result); row++) {
		struct pg_columns *columns = columns_of(catalog, cell_oid(result, row, 0));

		columns->relation = cell_oid(result, row, 0);
		columns->list =
			mem_resize(columns->list, (columns->count + 1) * sizeof(*columns->list));
		columns->list[columns->count++] = (struct pg_column){cell_text(result, row, 1),
			cell_oid(result, row, 2), (int)pg_int(result, row, 3),
			(int)pg_int(result, row, 4), (unsigned)pg_int(result, row, 5)};
	}
	return status;
}

static enum status load_types(
	struct pg *pg, const struct names *names, struct pg_catalog *catalog, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = ask(pg, names, types_sql, &result, err);

	if (status != STATUS_OK)
		return status;
	catalog->type_count = (size_t)PQntuples(result);
	catalog->types = mem_zero(catalog->type_count, sizeof(*catalog->types));
	for (int row = 0; row < PQntuples(result); row++)
		catalog->types[row] = (struct pg_type){.oid = cell_oid(result, row, 0),
			.kind = PQgetvalue(result, row, 1)[0],
			.base = cell_oid(result, row, 2),
			.element = cell_oid(result, row, 3),
			.relation = cell_oid(result, row, 4),
			.name = cell_text(result, row, 5)};
	return STATUS_OK;
}

static struct pg_table *table_of(struct pg_catalog *catalog, pg_oid oid)
{
	for (size_t i = 0; i < catalog->table_count; i++)
		if (catalog->tables[i].oid == oid)
			return &catalog->tables[i];
	return NULL;
}

/* Its changes have a name already: its own, or that of another parent. */
static bool told_already(struct pg_catalog *catalog, const struct pg_table *table, pg_oid oid)
{
	if (oid != table->oid && table_of(catalog, oid))
		return true;
	for (size_t i = 0; i < catalog->table_count; i++)
		for (size_t m = 0; m < catalog->tables[i].member_count; m++)
			if (catalog->tables[i].members[m].oid == oid)
				return true;
	return false;
}

static enum status load_members(struct pg *pg, const struct names *names, bool strict,
	struct pg_catalog *catalog, struct err *complaint, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = ask(pg, names, members_sql, &result, err);

	for (int row = 0; status == STATUS_OK && row < PQntuples(result); row++) {
		struct pg_table *table = table_of(catalog, cell_oid(result, row, 0));
		struct pg_member member = {.oid = cell_oid(result, row, 1),
			.kind = PQgetvalue(result, row, 3)[0],
			.partition = pg_bool(result, row, 4),
			.in_default_schema = pg_bool(result, row, 10)};
		struct err wrong;

		if (!table)
			continue;
		if (told_already(catalog, table, member.oid)) {
			struct err *twice = strict || !complaint ? err : complaint;

			status = complaint_twice(PQgetvalue(result, row, 2), table, twice);
			if (twice == err)
				return status;
			status = STATUS_OK; /* while we run, one odd table stops no other */
			continue;
		}
		status = complaint_rights(pg, PQgetvalue(result, row, 2), pg_bool(result, row, 5), PQgetvalue(result, row, 7),
			pg_bool(result, row, 6), &wrong);
		if (status != STATUS_OK && strict && !pg_bool(result, row, 13)) {
			*err = wrong;
			return status;
		}
		if (status != STATUS_OK)
			member.denied = mem_text(wrong.text);
		status = STATUS_OK;
		member.name = cell_text(result, row, 2);
		member.schema = cell_text(result, row, 8);
		member.table = cell_text(result, row, 9);
		member.owner = PQgetisnull(result, row, 11) ? NULL : cell_text(result, row, 11);
		member.owner_oid = cell_oid(result, row, 12);
		table->members = mem_resize(
			table->members, (table->member_count + 1) * sizeof(*table->members));
		table->members[table->member_count++] = member;
	}
	return status;
}

static enum status check_columns(
	const struct pg_catalog *catalog, bool strict, struct err *complaint, struct err *err)
{
	for (size_t i = 0; i < catalog->table_count; i++) {
		const struct pg_table *table = &catalog->tables[i];

		if (!table->rule.missing)
			continue;
		if (strict)
			return complaint_column(table, err);
		if (complaint)
			table_rule_complain(&table->rule, complaint);
	}
	return STATUS_OK;
}

static enum status ask_fingerprint(struct pg *pg, const struct ruleset *rules,
	struct pg_fingerprint *fingerprint, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	struct names names;
	enum status status;

	names_init(&names, rules);
	status = ask(pg, &names, fingerprint_sql, &result, err);
	names_finish(&names);
	if (status != STATUS_OK)
		return status;
	snprintf(fingerprint->shape, sizeof(fingerprint->shape), "%s", PQgetvalue(result, 0, 0));
	snprintf(fingerprint->triggers, sizeof(fingerprint->triggers), "%s",
		PQgetvalue(result, 0, 1));
	return STATUS_OK;
}

static enum status load(struct pg *pg, const struct ruleset *rules, bool strict,
	struct pg_catalog *catalog, struct err *complaint, struct err *err)
{
	struct names names;
	enum status status = ask_fingerprint(pg, rules, &catalog->fingerprint, err);

	names_init(&names, rules);
	if (status == STATUS_OK)
		status = load_tables(pg, rules, &names, strict, catalog, complaint, err);
	if (status == STATUS_OK)
		status = load_columns(pg, &names, catalog, err);
	if (status == STATUS_OK)
		status = load_types(pg, &names, catalog, err);
	if (status == STATUS_OK)
		status = load_members(pg, &names, strict, catalog, complaint, err);
	if (status == STATUS_OK) {
		catalog_bind(catalog);
		status = check_columns(catalog, strict, complaint, err);
	}
	names_finish(&names);
	return status;
}

/* Without compilation to machine code: the planner takes a thousand tables for tens of thousands of rows, and would compile, for 60
 * ms each time, what runs for 20. Only for the transaction, since behind a pooler the session is not ours to change. */
static enum status begin(struct pg *pg, const char *isolation, struct err *err)
{
	AUTO_FREE char *sql = mem_format("BEGIN ISOLATION LEVEL %s READ ONLY; SET LOCAL jit = off", isolation);

	return pg_script(pg, sql, CATALOG_TIMEOUT_MS, err);
}

static enum status end(struct pg *pg, enum status status, struct err *err)
{
	struct err ending;

	if (pg->conn && pg_script(pg, "ROLLBACK", CATALOG_TIMEOUT_MS, &ending) != STATUS_OK && status == STATUS_OK)
		return err_set(err, STATUS_UNAVAILABLE, "%s", ending.text);
	return status;
}

/* In one snapshot: a guard (guard.h) must say of a column what its function was made from. */
enum status catalog_load(struct pg *pg, const struct ruleset *rules, bool strict,
	struct pg_catalog **ret, struct err *complaint, struct err *err)
{
	struct pg_catalog *catalog = mem_zero(1, sizeof(*catalog));
	enum status status = begin(pg, "REPEATABLE READ", err);

	catalog->rules = rules;
	if (status == STATUS_OK)
		status = load(pg, rules, strict, catalog, complaint, err);
	status = end(pg, status, err);
	if (status == STATUS_OK)
		*ret = catalog;
	else
		catalog_free(catalog);
	return status;
}

enum status catalog_fingerprint(struct pg *pg, const struct ruleset *rules,
	struct pg_fingerprint *fingerprint, struct err *err)
{
	enum status status = begin(pg, "READ COMMITTED", err);

	if (status == STATUS_OK)
		status = ask_fingerprint(pg, rules, fingerprint, err);
	return end(pg, status, err);
}

static void free_columns(struct pg_columns *columns)
{
	for (size_t i = 0; i < columns->count; i++) {
		free(columns->list[i].name);
		free(columns->list[i].withheld_as);
	}
	free(columns->list);
}

static void free_table(struct pg_table *table)
{
	for (size_t i = 0; i < table->member_count; i++) {
		free(table->members[i].name);
		free(table->members[i].schema);
		free(table->members[i].table);
		free(table->members[i].denied);
		free(table->members[i].owner);
	}
	free(table->members);
	free_columns(&table->columns);
	free(table->column_names);
	free(table->schema);
	free(table->name);
	free(table->topic);
	table_rule_finish(&table->rule);
}

void catalog_free(struct pg_catalog *catalog)
{
	if (!catalog)
		return;
	for (size_t i = 0; i < catalog->table_count; i++)
		free_table(&catalog->tables[i]);
	for (size_t i = 0; i < catalog->type_count; i++)
		free(catalog->types[i].name);
	for (size_t i = 0; i < catalog->composite_count; i++)
		free_columns(&catalog->composites[i]);
	free(catalog->tables);
	free(catalog->types);
	free(catalog->composites);
	free(catalog);
}

const struct pg_type *catalog_type(const struct pg_catalog *catalog, pg_oid oid)
{
	for (size_t i = 0; i < catalog->type_count; i++)
		if (catalog->types[i].oid == oid)
			return &catalog->types[i];
	return NULL;
}

const struct pg_columns *catalog_composite(const struct pg_catalog *catalog, pg_oid relation)
{
	for (size_t i = 0; i < catalog->composite_count; i++)
		if (catalog->composites[i].relation == relation)
			return &catalog->composites[i];
	for (size_t i = 0; i < catalog->table_count; i++)
		if (catalog->tables[i].oid == relation)
			return &catalog->tables[i].columns;
	return NULL;
}
