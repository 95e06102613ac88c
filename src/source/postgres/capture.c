/* Fills the template of the trigger function.
 *
 * The body begins with a line that names the columns and their types: when one changes its type
 * under the same expression, the text differs all the same, the function is replaced, and sessions
 * that had it compiled for the old type compile anew.
 */
#include "source/postgres/capture.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "source/postgres/expression.h"
#include "source/postgres/guard.h"
#include "source/postgres/recall.h"
#include "source/template.h"
#include "sql.h" /* made by the build from triggers/ */

#define SETTINGS                                                                                   \
	"SET \"TimeZone\" = 'UTC' SET \"DateStyle\" = 'ISO' SET \"IntervalStyle\" = 'iso_8601' "   \
	"SET bytea_output = 'hex' SET extra_float_digits = 1 SET lc_monetary = 'C' "                          \
	"SET array_nulls = on "

#define BYTES_OF_ONE "pg_catalog.octet_length(v_data)"
#define BYTES_OF_TWO                                                                               \
	"(pg_catalog.octet_length(v_data) OPERATOR(pg_catalog.+) coalesce(pg_catalog.octet_length(v_old), 0))"

char *capture_function_name(pg_oid table)
{
	return mem_format("capture_%u", table);
}

struct span capture_body(const char *sql)
{
	const char *tag = strstr(sql, "AS $esink"), *start, *end = NULL, *next;
	char mark[32];
	size_t len;

	if (!tag)
		return (struct span){NULL, 0};
	tag += 3;
	len = strcspn(tag + 1, "$") + 2;
	if (len >= sizeof(mark))
		return (struct span){NULL, 0};
	memcpy(mark, tag, len);
	mark[len] = 0;
	start = tag + len;
	for (next = strstr(start, mark); next; next = strstr(next + 1, mark))
		end = next;
	return end ? (struct span){start, (size_t)(end - start)} : (struct span){NULL, 0};
}

/* A dollar quote that no name in the body can close. */
static char *body_quote(char *const *made, size_t count)
{
	for (int n = 0;; n++) {
		char *quote = mem_format("$esink%d$", n);
		bool used = false;

		for (size_t i = 0; i < count; i++)
			used |= made[i] && strstr(made[i], quote);
		if (!used)
			return quote;
		free(quote);
	}
}

static char *literal(const char *text)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX);

	sql_literal(&sql, text);
	return buf_take(&sql);
}

static bool is_sent(const void *context, size_t index)
{
	const struct pg_table *table = context;

	return table->rule.sent[index];
}

static bool is_key(const void *context, size_t index)
{
	const struct pg_table *table = context;

	return table->columns.list[index].key > 0 && table->rule.sent[index];
}

static bool is_routing(const void *context, size_t index)
{
	const struct pg_table *table = context;

	for (size_t i = 0; i < table->rule.route_count; i++)
		if (table->rule.route[i] == index)
			return true;
	return false;
}

static bool is_used(const void *context, size_t index)
{
	return is_sent(context, index) || is_routing(context, index);
}

static char *typed(const struct pg_catalog *catalog, const struct pg_table *table, const char *row,
	bool (*wanted)(const void *, size_t),
	void (*test)(struct buf *, const struct pg_catalog *, pg_oid, const char *))
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by the catalogue */

	for (size_t i = 0; i < table->columns.count; i++) {
		AUTO_BUF struct buf value = buf_init(BUF_NO_MAX);

		if (!wanted(table, i))
			continue;
		buf_printf(&value, "%s.", row);
		sql_identifier(&value, table->columns.list[i].name);
		buf_text(&sql, sql.len ? " AND " : "");
		test(&sql, catalog, table->columns.list[i].type, value.bytes);
	}
	return sql.len ? buf_take(&sql) : mem_text("true");
}

/* Statements, one for each routing column, whose $1 is the row: a column that is gone takes no other along. */
static char *users_now(const struct pg_catalog *catalog, const struct pg_table *table)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by the catalogue */

	buf_text(&sql, "ARRAY[");
	for (size_t i = 0; i < table->rule.route_count; i++) {
		const struct pg_column *column = &table->columns.list[table->rule.route[i]];
		AUTO_BUF struct buf value = buf_init(BUF_NO_MAX), statement = buf_init(BUF_NO_MAX);

		buf_text(&value, "($1).");
		sql_identifier(&value, column->name);
		buf_text(&statement, "SELECT ");
		expression_users_now(&statement, catalog, column->type, value.bytes);
		buf_text(&sql, i ? ", " : "");
		sql_literal(&sql, statement.bytes);
	}
	buf_text(&sql, "]::pg_catalog.text[]");
	return buf_take(&sql);
}

static char *object(const struct pg_catalog *catalog, const struct pg_table *table, const char *row,
	bool (*wanted)(const void *, size_t), bool *settings)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX);

	expression_object(&sql, catalog, &table->columns, row, wanted, table, settings);
	return buf_take(&sql);
}

static char *users(const struct pg_catalog *catalog, const struct pg_table *table, const char *row,
	bool *settings)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX);
	const struct table_rule *rule = &table->rule;
	bool null = false;

	if (!rule->route_count)
		return mem_text("'{}'::pg_catalog.text[]");
	for (size_t i = 0; i < rule->route_count; i++)
		null |= expression_users_null(catalog, table->columns.list[rule->route[i]].type);
	buf_text(&sql, null ? "coalesce(" : "");
	for (size_t i = 0; i < rule->route_count; i++) {
		const struct pg_column *column = &table->columns.list[rule->route[i]];
		AUTO_BUF struct buf value = buf_init(BUF_NO_MAX);

		buf_printf(&value, "%s.", row);
		sql_identifier(&value, column->name);
		if (i + 1 < rule->route_count)
			buf_text(&sql, "pg_catalog.array_cat(");
		expression_users(&sql, catalog, column->type, value.bytes, rule->route_count > 1,
			settings);
		if (i + 1 < rule->route_count)
			buf_text(&sql, ", ");
	}
	for (size_t i = 1; i < rule->route_count; i++)
		buf_text(&sql, ")");
	buf_text(&sql, null ? ", '{}'::pg_catalog.text[])" : "");
	return buf_take(&sql);
}

/* Whether the planner can tell that a column has the type that it had. */
static bool is_told_by_plan(const struct pg_catalog *catalog, const struct pg_table *table)
{
	for (size_t i = 0; i < table->columns.count; i++)
		if (is_used(table, i) && !expression_same_is_planned(catalog, table->columns.list[i].type))
			return false;
	return true;
}

/* The statements of one kind of event, on a row variable. Where the planner cannot tell all types, an IF does before anything else
 * is looked at: what is not reached is not planned either, and planning may call a cast. Where rules name a column that is
 * missing, the key alone is told. */
static char *branch(const struct pg_catalog *catalog, const struct pg_table *table, const char *name,
	const char *update, bool *settings)
{
	AUTO_FREE char *same = typed(catalog, table, name, is_used, expression_same);
	AUTO_FREE char *object_sql = object(catalog, table, name, is_sent, settings);
	AUTO_FREE char *users_sql = users(catalog, table, name, settings);
	bool planned = is_told_by_plan(catalog, table);

	if (table->rule.missing)
		return mem_text("      NULL;\n");
	if (planned)
		return mem_format("      v_data := CASE WHEN %s THEN %s END;\n      v_users := %s;\n%s", same, object_sql, users_sql, update);
	return mem_format("      IF %s THEN\n      v_data := %s;\n      v_users := %s;\n%s      END IF;\n", same, object_sql, users_sql, update);
}

/* What an update does besides; what no rule asks for costs nothing. */
static char *update_of(const struct pg_table *table, const char *old, const char *old_users, const char *old_key)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX);

	if (table->rule.old_rows)
		buf_printf(&sql, "      v_old := %s;\n", old);
	if (table->rule.route_count) {
		buf_text(&sql, "      IF ");
		expression_differ(&sql, &table->columns, table->rule.route, table->rule.route_count);
		buf_printf(&sql, " THEN\n        v_old_users := %s;\n        v_old_key := %s;\n      END IF;\n", old_users, old_key);
	}
	return buf_take(&sql);
}

/* Two comment lines, whatever the names hold. */
static char *signature(
	const struct pg_catalog *catalog, const struct pg_table *table, bool settings)
{
	AUTO_BUF struct buf text = buf_init(BUF_NO_MAX);

	buf_printf(&text, "-- %s.%s:", table->schema, table->name);
	for (size_t i = 0; i < table->columns.count; i++) {
		const struct pg_type *type = catalog_type(catalog, table->columns.list[i].type);

		buf_printf(&text, " %s %s %u,", table->columns.list[i].name,
			type ? type->name : "?", table->columns.list[i].type);
	}
	buf_text(&text, settings ? " with settings" : "");
	for (char *c = text.bytes; *c; c++)
		if (*c == '\n' || *c == '\r' || *c == '$')
			*c = '?';
	recall_write(&text, table);
	return buf_take(&text);
}

static char *guard(const struct pg_catalog *catalog, const struct pg_table *table)
{
	int32_t version = guard_version(catalog, table);

	return version ? mem_format("%d", (int)version) : mem_text("NULL");
}

char *capture_function(const struct pg_catalog *catalog, const struct pg_table *table, const char *strangers, bool notify)
{
	bool settings = false;
	AUTO_FREE char *leave = strangers ? mem_format("  IF TG_RELID OPERATOR(pg_catalog.=) ANY ('{%s}'::pg_catalog.oid[]) THEN\n"
						       "    RETURN NULL;\n  END IF;\n", strangers)
					  : mem_text("");
	AUTO_FREE char *old = object(catalog, table, "OLD", is_sent, &settings);
	char *made[] = {capture_function_name(table->oid), literal(table->topic),
		object(catalog, table, "NEW", is_key, &settings),
		object(catalog, table, "OLD", is_key, &settings),
		users(catalog, table, "NEW", &settings), users(catalog, table, "OLD", &settings),
		typed(catalog, table, "NEW", is_key, expression_typed),
		typed(catalog, table, "OLD", is_key, expression_typed),
		typed(catalog, table, "NEW", is_routing, expression_typed),
		typed(catalog, table, "OLD", is_routing, expression_typed), users_now(catalog, table),
		guard(catalog, table), branch(catalog, table, "NEW", "", &settings),
		branch(catalog, table, "OLD", "", &settings), NULL, NULL, NULL};
	enum { QUOTE = sizeof(made) / sizeof(*made) - 1, SIGNATURE = QUOTE - 1, UPDATE = QUOTE - 2 };
	AUTO_FREE char *update = update_of(table, old, made[5], made[3]);
	const char *template = strstr(sql_postgres_capture, "\nCREATE ") +
			       1; /* the essay above it has marks too */
	char *sql;

	made[UPDATE] = branch(catalog, table, "NEW", update, &settings);
	made[SIGNATURE] = signature(catalog, table, settings);
	made[QUOTE] = body_quote(made, QUOTE);
	{
		const char *pairs[] = {"function", made[0], "topic", made[1], "key:NEW", made[2],
			"key:OLD", made[3], "users:NEW", made[4], "users:OLD", made[5],
			"typed:key:NEW", made[6], "typed:key:OLD", made[7], "typed:users:NEW", made[8],
			"typed:users:OLD", made[9], "users:now", made[10], "guard", made[11], "insert",
			made[12], "delete", made[13], "update", made[UPDATE], "settings",
			settings ? SETTINGS : "", "broadcast", table->rule.broadcast ? "true" : "false",
			"bytes", table->rule.old_rows ? BYTES_OF_TWO : BYTES_OF_ONE, "notify",
			notify ? strstr(sql_postgres_notify, "\n  IF ") + 1 : "", "strangers", leave, "signature",
			made[SIGNATURE], "quote", made[QUOTE], NULL};

		sql = template_fill(template, pairs);
	}
	for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++)
		free(made[i]);
	return sql;
}

bool capture_body_is_of(const char *body, const char *topic)
{
	AUTO_FREE char *name = literal(topic), *values = mem_format("v_xid, %s, ", name);

	return strstr(body, values);
}
