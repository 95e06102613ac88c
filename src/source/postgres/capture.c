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
#include "sql.h" /* made by the build from triggers/ */

#define SETTINGS                                                                                   \
	"SET \"TimeZone\" = 'UTC' SET \"DateStyle\" = 'ISO' SET \"IntervalStyle\" = 'iso_8601' "   \
	"SET bytea_output = 'hex' SET extra_float_digits = 1 SET lc_monetary = 'C' "                          \
	"SET array_nulls = on "

static const char *value_of(const char *name, size_t len, const char *const *pairs)
{
	for (; pairs[0]; pairs += 2)
		if (strlen(pairs[0]) == len && memcmp(pairs[0], name, len) == 0)
			return pairs[1];
	return NULL;
}

char *template_fill(const char *text, const char *const *pairs)
{
	AUTO_BUF struct buf out =
		buf_init(BUF_NO_MAX); /* bounded by the templates and the catalogue */

	while (*text) {
		size_t plain = strcspn(text, "@"), len;
		const char *value = NULL;

		buf_bytes(&out, text, plain);
		text += plain;
		if (!*text)
			break;
		len = strcspn(text + 1, "@");
		if (text[1 + len] == '@')
			value = value_of(text + 1, len, pairs);
		if (value) {
			buf_text(&out, value);
			text += len + 2;
		} else {
			buf_bytes(&out, text++, 1);
		}
	}
	return buf_take(&out);
}

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
	bool (*wanted)(const void *, size_t))
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by the catalogue */

	for (size_t i = 0; i < table->columns.count; i++) {
		AUTO_BUF struct buf value = buf_init(BUF_NO_MAX);

		if (!wanted(table, i))
			continue;
		buf_printf(&value, "%s.", row);
		sql_identifier(&value, table->columns.list[i].name);
		buf_text(&sql, sql.len ? " AND " : "");
		expression_typed(&sql, catalog, table->columns.list[i].type, value.bytes);
	}
	return sql.len ? buf_take(&sql) : mem_text("true");
}

/* As a literal: a statement whose $1 is the row. */
static char *users_now(const struct pg_catalog *catalog, const struct pg_table *table)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by the catalogue */

	buf_text(&sql, "SELECT ");
	for (size_t i = 0; i < table->rule.route_count; i++) {
		const struct pg_column *column = &table->columns.list[table->rule.route[i]];
		AUTO_BUF struct buf value = buf_init(BUF_NO_MAX);

		buf_text(&value, "($1).");
		sql_identifier(&value, column->name);
		buf_text(&sql, "pg_catalog.array_cat(");
		expression_users_now(&sql, catalog, column->type, value.bytes);
		buf_text(&sql, ", ");
	}
	buf_text(&sql, "'{}'::pg_catalog.text[]");
	for (size_t i = 0; i < table->rule.route_count; i++)
		buf_text(&sql, ")");
	return literal(sql.bytes);
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

	if (!rule->route_count)
		return mem_text("'{}'::pg_catalog.text[]");
	buf_text(&sql, "coalesce(");
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
	buf_text(&sql, ", '{}'::pg_catalog.text[])");
	return buf_take(&sql);
}

/* Compared as records, by their bytes: a type's own notion of equality may be its owner's code. */
static char *rerouted(const struct pg_table *table)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX);
	static const char *const rows[] = {"OLD", "NEW"};

	if (!table->rule.route_count)
		return mem_text("false");
	buf_text(&sql, "pg_catalog.record_image_ne(");
	for (size_t r = 0; r < 2; r++) {
		buf_text(&sql, r ? ", ROW(" : "ROW(");
		for (size_t i = 0; i < table->rule.route_count; i++) {
			buf_printf(&sql, "%s%s.", i ? ", " : "", rows[r]);
			sql_identifier(&sql, table->columns.list[table->rule.route[i]].name);
		}
		buf_text(&sql, ")");
	}
	buf_text(&sql, ")");
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

char *capture_function(const struct pg_catalog *catalog, const struct pg_table *table, bool notify)
{
	bool settings = false;
	char *made[] = {capture_function_name(table->oid), literal(table->topic),
		object(catalog, table, "NEW", is_sent, &settings),
		object(catalog, table, "OLD", is_sent, &settings),
		object(catalog, table, "NEW", is_key, &settings),
		object(catalog, table, "OLD", is_key, &settings),
		users(catalog, table, "NEW", &settings), users(catalog, table, "OLD", &settings),
		rerouted(table), typed(catalog, table, "NEW", is_used),
		typed(catalog, table, "OLD", is_used), typed(catalog, table, "NEW", is_key),
		typed(catalog, table, "OLD", is_key), typed(catalog, table, "NEW", is_routing),
		typed(catalog, table, "OLD", is_routing), users_now(catalog, table), guard(catalog, table), NULL, NULL};
	enum { QUOTE = sizeof(made) / sizeof(*made) - 1, SIGNATURE = QUOTE - 1 };
	const char *template = strstr(sql_postgres_capture, "\nCREATE ") +
			       1; /* the essay above it has marks too */
	char *sql;

	made[SIGNATURE] = signature(catalog, table, settings);
	made[QUOTE] = body_quote(made, QUOTE);
	{
		const char *pairs[] = {"function", made[0], "topic", made[1], "row:NEW", made[2],
			"row:OLD", made[3], "key:NEW", made[4], "key:OLD", made[5], "users:NEW",
			made[6], "users:OLD", made[7], "rerouted", made[8], "typed:NEW", made[9],
			"typed:OLD", made[10], "typed:key:NEW", made[11], "typed:key:OLD", made[12],
			"typed:users:NEW", made[13], "typed:users:OLD", made[14], "users:now",
			made[15], "guard", made[16], "settings", settings ? SETTINGS : "", "broadcast",
			table->rule.broadcast ? "true" : "false", "old",
			table->rule.old_rows ? "true" : "false", "notify",
			notify ? "true" : "false", "whole", table->rule.missing ? "false" : "true",
			"signature", made[SIGNATURE], "quote", made[QUOTE], NULL};

		sql = template_fill(template, pairs);
	}
	for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++)
		free(made[i]);
	return sql;
}
