/* How each type becomes JSON inside the trigger.
 *
 *   numbers           as they are; NaN and infinities as strings
 *   json, jsonb       spliced in
 *   timestamptz       ISO 8601 in UTC, +00:00; timestamp, date: ISO 8601
 *   bytea             base64
 *   composite         an object, member by member, at any depth
 *   arrays            JSON arrays of the above
 *   enums, and types of extensions: a string, by the type's output function (concat() calls it; a
 * cast would look for one that the type's owner may have made, and run it as us) the rest a string,
 * as the type prints itself
 *
 * Text is put together by array_to_string() of an ARRAY[], which writes null for what is NULL. A transaction of one row pays for
 * making an expression ready, not for what it does: some 400 instructions a node of it, and with concat() a look into the
 * catalogue for each argument. So nodes are what is saved here.
 */
#include "source/postgres/expression.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_USER_OID 16384 /* types below it came with the server, and so did their casts */

enum builtin {
	BOOL = 16,
	BYTEA = 17,
	INT8 = 20,
	INT2 = 21,
	INT4 = 23,
	TEXT = 25,
	JSON = 114,
	FLOAT4 = 700,
	FLOAT8 = 701,
	MONEY = 790,
	BPCHAR = 1042,
	VARCHAR = 1043,
	TIMESTAMPTZ = 1184,
	INTERVAL = 1186,
	TIMETZ = 1266,
	NUMERIC = 1700,
	UUID = 2950,
	JSONB = 3802
};

void sql_identifier(struct buf *sql, const char *name)
{
	buf_text(sql, "\"");
	for (; *name; name++) {
		if (*name == '"')
			buf_text(sql, "\"");
		buf_bytes(sql, name, 1);
	}
	buf_text(sql, "\"");
}

void sql_literal(struct buf *sql, const char *text)
{
	if (strchr(text, '\\'))
		buf_text(sql, "E");
	buf_text(sql, "'");
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			buf_bytes(sql, text, 1);
		buf_bytes(sql, text, 1);
	}
	buf_text(sql, "'");
}

/* The type under any number of domains. */
static const struct pg_type *base_type(const struct pg_catalog *catalog, pg_oid oid)
{
	const struct pg_type *type = catalog_type(catalog, oid);

	while (type && type->kind == 'd')
		type = catalog_type(catalog, type->base);
	return type;
}

/* Whole numbers of any size are written the same way: a key or routing column that grows stays readable. */
static bool is_whole_number(pg_oid oid)
{
	return oid == INT2 || oid == INT4 || oid == INT8;
}

void expression_typed(
	struct buf *sql, const struct pg_catalog *catalog, pg_oid oid, const char *value)
{
	const struct pg_type *type = base_type(catalog, oid);
	const struct pg_type *element = type && type->element ? base_type(catalog, type->element) : NULL;
	const struct pg_type *row = element && element->kind == 'c' ? element : type;
	const struct pg_columns *members =
		row && row->kind == 'c' ? catalog_composite(catalog, row->relation) : NULL;

	if (is_whole_number(oid))
		buf_printf(sql,
			"pg_catalog.pg_typeof(%s) OPERATOR(pg_catalog.=) ANY "
			"('{20,21,23}'::pg_catalog.oid[])",
			value);
	else
		buf_printf(sql, "pg_catalog.pg_typeof(%s) OPERATOR(pg_catalog.=) %u::pg_catalog.oid",
			value, oid);
	for (size_t i = 0; members && i < members->count; i++) {
		AUTO_BUF struct buf member = buf_init(BUF_NO_MAX);

		buf_printf(&member, row == type ? "(%s)." : "((%s)[1]).", value);
		sql_identifier(&member, members->list[i].name);
		buf_text(sql, " AND ");
		expression_typed(sql, catalog, members->list[i].type, member.bytes);
	}
}

/* One of pg_catalog's own: information_schema has types below FIRST_USER_OID as well, domains and their arrays. */
static bool is_builtin(const struct pg_type *type)
{
	return type && type->oid < FIRST_USER_OID && (type->kind == 'b' || type->kind == 'r' || type->kind == 'm');
}

bool expression_same_is_planned(const struct pg_catalog *catalog, pg_oid oid)
{
	const struct pg_type *type = catalog_type(catalog, oid);

	return is_builtin(type) && (!type->element || is_builtin(catalog_type(catalog, type->element)));
}

void expression_same(
	struct buf *sql, const struct pg_catalog *catalog, pg_oid oid, const char *value)
{
	if (!expression_same_is_planned(catalog, oid)) {
		expression_typed(sql, catalog, oid, value);
		return;
	}
	buf_printf(sql, "esink.same(%s, NULL::pg_catalog.", value);
	sql_identifier(sql, catalog_type(catalog, oid)->name);
	buf_text(sql, ") IS NULL");
}

void expression_users_now(struct buf *sql, const struct pg_catalog *catalog, pg_oid oid,
	const char *value)
{
	const struct pg_type *type = base_type(catalog, oid);

	if (type && type->element)
		buf_printf(sql,
			"ARRAY(SELECT CASE WHEN u.e IS NULL THEN NULL ELSE pg_catalog.concat(u.e) END "
			"FROM (SELECT pg_catalog.unnest(%s) AS e) u)",
			value);
	else
		buf_printf(sql,
			"ARRAY[CASE WHEN %s IS NULL THEN NULL ELSE pg_catalog.concat(%s) END]", value,
			value);
}

static bool depends_on_session(const struct pg_type *type)
{
	return type->kind == 'r' || type->kind == 'm' || type->oid == MONEY ||
	       type->oid == INTERVAL || type->oid == FLOAT4 || type->oid == FLOAT8 ||
	       type->oid == TIMESTAMPTZ || type->oid == TIMETZ;
}

/* `{"name":` or `,"name":` as an SQL literal. */
static void member_name(struct buf *sql, const char *name, bool first)
{
	AUTO_BUF struct buf json = buf_init(BUF_NO_MAX); /* bounded by the catalogue's names */

	buf_text(&json, first ? "{" : ",");
	buf_json_string(&json, span_of(name));
	buf_text(&json, ":");
	sql_literal(sql, json.bytes);
}

/* NULL for null, where that is cheaper than the word. */
static void json_or_null(struct buf *sql, const struct pg_catalog *catalog, pg_oid oid,
	const char *value, bool *settings);

void expression_object(struct buf *sql, const struct pg_catalog *catalog,
	const struct pg_columns *columns, const char *row,
	bool (*wanted)(const void *context, size_t index), const void *context, bool *settings)
{
	bool first = true;

	buf_text(sql, "pg_catalog.array_to_string(ARRAY[");
	for (size_t i = 0; i < columns->count; i++) {
		AUTO_BUF struct buf value = buf_init(BUF_NO_MAX);

		if (wanted && !wanted(context, i))
			continue;
		buf_printf(&value, "%s.", row);
		sql_identifier(&value, columns->list[i].name);
		member_name(sql, columns->list[i].name, first);
		buf_text(sql, ", ");
		json_or_null(sql, catalog, columns->list[i].type, value.bytes, settings);
		buf_text(sql, ", ");
		first = false;
	}
	buf_text(sql, first ? "'{}'" : "'}'");
	buf_text(sql, "]::pg_catalog.text[], '', 'null')");
}

static void composite(struct buf *sql, const struct pg_catalog *catalog, const struct pg_type *type,
	const char *value, bool *settings)
{
	const struct pg_columns *columns = catalog_composite(catalog, type->relation);
	char *row = mem_format("(%s)", value);

	buf_printf(sql, "CASE WHEN %s IS NOT DISTINCT FROM NULL THEN 'null' ELSE ", value);
	if (columns)
		expression_object(sql, catalog, columns, row, NULL, NULL, settings);
	else
		buf_text(sql, "'null'");
	buf_text(sql, " END");
	free(row);
}

static void array(struct buf *sql, const struct pg_catalog *catalog, const struct pg_type *type,
	const char *value, bool *settings)
{
	const struct pg_type *element = base_type(catalog, type->element);

	if (element && (element->kind == 'c' || element->oid == BYTEA || element->element)) {
		/* Element by element, which makes one dimension of several. In FROM unnest() would take a
		 * composite apart; as a column it does not. */
		buf_printf(sql,
			"CASE WHEN %s IS NULL THEN 'null' ELSE pg_catalog.concat('[', (SELECT "
			"pg_catalog.string_agg(",
			value);
		buf_text(sql, "coalesce(");
		json_or_null(sql, catalog, type->element, "u.e", settings);
		buf_text(sql, ", 'null'), ',' ORDER BY u.i) FROM ");
		if (element->kind == 'c')
			buf_printf(sql,
				"(SELECT pg_catalog.unnest(%s) AS e, "
				"pg_catalog.generate_series(1, pg_catalog.cardinality(%s)) AS i) u",
				value, value);
		else
			buf_printf(sql, "pg_catalog.unnest(%s) WITH ORDINALITY u(e, i)", value);
		buf_text(sql, "), ']') END");
		return;
	}
	if (element && element->oid < FIRST_USER_OID) {
		*settings |= depends_on_session(element);
		buf_printf(sql, "pg_catalog.to_json(%s)::pg_catalog.text", value);
		return;
	}
	*settings = true; /* array_nulls = off would read a null back as the word */
	buf_printf(sql,
		"pg_catalog.to_json(pg_catalog.textin(pg_catalog.array_out(%s))::pg_"
		"catalog.text[])::pg_catalog.text",
		value);
}

static void scalar(struct buf *sql, const struct pg_type *type, const char *value)
{
	switch (type->oid) {
	case BOOL:
	case INT2:
	case INT4:
	case INT8:
	case JSON:
	case JSONB:
		buf_printf(sql, "%s::pg_catalog.text", value);
		return;
	case BYTEA:
		buf_printf(sql,
			"CASE WHEN %s IS NULL THEN 'null' ELSE pg_catalog.concat('\"', "
			"pg_catalog.translate(pg_catalog.encode(%s, 'base64'), pg_catalog.chr(10), "
			"''), '\"') END",
			value, value);
		return;
	case TIMESTAMPTZ:
		buf_printf(sql,
			"CASE WHEN %s IS NULL THEN 'null' WHEN pg_catalog.isfinite(%s) THEN "
			"pg_catalog.concat(pg_catalog.rtrim("
			"pg_catalog.to_json(pg_catalog.timezone('UTC', %s))::pg_catalog.text, "
			"'\"'), '+00:00\"') "
			"ELSE pg_catalog.to_json(%s)::pg_catalog.text END",
			value, value, value, value);
		return;
	default:
		buf_printf(sql, "pg_catalog.to_json(%s)::pg_catalog.text", value);
	}
}

static void json_or_null(struct buf *sql, const struct pg_catalog *catalog, pg_oid oid,
	const char *value, bool *settings)
{
	const struct pg_type *type = base_type(catalog, oid);

	if (type && type->element) {
		array(sql, catalog, type, value, settings);
	} else if (type && type->kind == 'c') {
		composite(sql, catalog, type, value, settings);
	} else if (type && type->kind == 'b' && type->oid < FIRST_USER_OID) {
		/* A column of timestamptz is made independent by its expression; only arrays of it
		 * are not. */
		*settings |= depends_on_session(type) && type->oid != TIMESTAMPTZ &&
			     type->oid != TIMETZ && type->oid != FLOAT4 && type->oid != FLOAT8;
		scalar(sql, type, value);
	} else {
		*settings |= !type || depends_on_session(type);
		buf_printf(sql,
			"CASE WHEN %s IS NULL THEN 'null' ELSE "
			"pg_catalog.to_json(pg_catalog.concat(%s))::pg_catalog.text END",
			value, value);
	}
}

/* Those whose cast to text gives what their output function does, whatever the session has set; and char(n), whose padding
 * is no part of a user's id. */
static bool casts_to_text(const struct pg_type *type)
{
	static const pg_oid all[] = {INT2, INT4, INT8, TEXT, VARCHAR, BPCHAR, NUMERIC, UUID};

	for (size_t i = 0; type && i < sizeof(all) / sizeof(*all); i++)
		if (type->oid == all[i])
			return true;
	return false;
}

static void users_of_array(struct buf *sql, const struct pg_type *element, const char *value,
	bool flat, bool *settings)
{
	AUTO_BUF struct buf users = buf_init(BUF_NO_MAX); /* bounded by the catalogue's names */

	if (casts_to_text(element)) {
		buf_printf(&users, "%s::pg_catalog.text[]", value);
	} else {
		*settings = true; /* array_nulls = off would make a null the user called NULL */
		buf_printf(&users, "pg_catalog.textin(pg_catalog.array_out(%s))::pg_catalog.text[]",
			value);
	}
	if (flat)
		buf_printf(sql,
			"CASE WHEN pg_catalog.array_ndims(%s) OPERATOR(pg_catalog.>) 1 THEN "
			"ARRAY(SELECT pg_catalog.unnest(%s)) ELSE %s END",
			value, users.bytes, users.bytes);
	else
		buf_text(sql, users.bytes);
}

void expression_users(struct buf *sql, const struct pg_catalog *catalog, pg_oid oid,
	const char *value, bool flat, bool *settings)
{
	const struct pg_type *type = base_type(catalog, oid);

	if (type && type->element) {
		users_of_array(sql, base_type(catalog, type->element), value, flat, settings);
		return;
	}
	/* A session may spell nearly all of the rest in its own way, as the members of a composite type. */
	*settings |= !casts_to_text(type) && !(type && (type->oid == BOOL || type->kind == 'e'));
	/* char(n) as text loses its padding, and so does the user's id. */
	if (casts_to_text(type))
		buf_printf(sql, "ARRAY[%s::pg_catalog.text]", value);
	else
		buf_printf(sql, "ARRAY[CASE WHEN %s IS NULL THEN NULL ELSE pg_catalog.concat(%s) END]", value, value);
}

bool expression_users_null(const struct pg_catalog *catalog, pg_oid oid)
{
	const struct pg_type *type = base_type(catalog, oid);

	return type && type->element;
}

/* Types whose values are the same where <> says so. */
static bool compares_by_bytes(pg_oid oid)
{
	return is_whole_number(oid) || oid == BOOL || oid == UUID;
}

void expression_differ(struct buf *sql, const struct pg_columns *columns, const size_t *list, size_t count)
{
	static const char *const rows[] = {"OLD", "NEW"};

	if (count == 1 && compares_by_bytes(columns->list[list[0]].type)) {
		AUTO_BUF struct buf name = buf_init(BUF_NO_MAX);

		sql_identifier(&name, columns->list[list[0]].name);
		buf_printf(sql, "coalesce(OLD.%s OPERATOR(pg_catalog.<>) NEW.%s, (OLD.%s IS NULL) OPERATOR(pg_catalog.<>) (NEW.%s IS NULL))",
			name.bytes, name.bytes, name.bytes, name.bytes);
		return;
	}
	buf_text(sql, "pg_catalog.record_image_ne(");
	for (size_t r = 0; r < 2; r++) {
		buf_text(sql, r ? ", ROW(" : "ROW(");
		for (size_t i = 0; i < count; i++) {
			buf_printf(sql, "%s%s.", i ? ", " : "", rows[r]);
			sql_identifier(sql, columns->list[list[i]].name);
		}
		buf_text(sql, ")");
	}
	buf_text(sql, ")");
}
