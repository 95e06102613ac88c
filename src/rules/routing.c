/* TABLE_AUTH_COLUMN_ROUTING: one JSON object, table -> "column" | ["column", ..] | "*".
 *
 * Who may see a row hangs on this text, so nothing in it is guessed: a repeated key (of which JSON
 * parsers silently keep the last), an empty list, a repeated column or a star among columns is
 * refused, with the table it stands at.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rules/names.h"

#define VARIABLE "TABLE_AUTH_COLUMN_ROUTING"

static enum status refuse(const char *key, const char *what, struct err *err)
{
	return err_set(err, STATUS_INVALID,
		VARIABLE ": \"%.*s\" %s; expected \"column\", [\"column\", ..] or \"*\"",
		name_shown(key), key, what);
}

static enum status take_column(const char *key, const json_t *value, struct route_entry *route,
	size_t count, struct err *err)
{
	const char *column = json_string_value(value);

	if (!column)
		return refuse(key, "names a column that is not a string", err);
	if (!*column)
		return refuse(key, "names a column \"\"", err);
	if (strcmp(column, "*") == 0)
		return refuse(key,
			"has * in a list: everyone stands alone, and a column called * cannot be "
			"routed",
			err);
	for (size_t i = 0; i < count; i++)
		if (strcmp(route->columns[i], column) == 0)
			return refuse(key, "names a column twice", err);
	route->columns[count] = mem_text(column);
	return STATUS_OK;
}

static enum status take_list(
	const char *key, const json_t *list, struct route_entry *route, struct err *err)
{
	if (!json_array_size(list))
		return refuse(key,
			"is an empty list, which routes to nobody (leave the table out for that)",
			err);
	route->columns = mem_zero(json_array_size(list) + 1, sizeof(*route->columns));
	for (size_t i = 0; i < json_array_size(list); i++) {
		enum status status = take_column(key, json_array_get(list, i), route, i, err);

		if (status != STATUS_OK)
			return status;
	}
	return STATUS_OK;
}

static enum status take_value(
	const char *key, const json_t *value, struct route_entry *route, struct err *err)
{
	const char *text = json_string_value(value);

	if (json_is_array(value))
		return take_list(key, value, route, err);
	if (!text)
		return refuse(key, "is neither a string nor a list", err);
	route->broadcast = strcmp(text, "*") == 0;
	if (route->broadcast)
		return STATUS_OK;
	route->columns = mem_zero(2, sizeof(*route->columns));
	return take_column(key, value, route, 0, err);
}

static bool is_watched(const struct ruleset *set, const struct table_name *name)
{
	for (size_t i = 0; i < set->table_count; i++)
		if (table_name_same(&set->tables[i], name))
			return true;
	return false;
}

static bool same_but_for_case(const struct table_name *a, const struct table_name *b)
{
	return !a->schema == !b->schema &&
	       (!a->schema || name_alike(span_of(a->schema), span_of(b->schema))) &&
	       name_alike(span_of(a->table), span_of(b->table));
}

/* Two keys for one table would merge two audiences. Keys that differ in case are two tables only if
 * both are watched. */
static enum status check_new(
	const struct ruleset *set, const char *key, const struct table_name *name, struct err *err)
{
	for (size_t i = 0; i < set->route_count; i++) {
		const struct table_name *other = &set->routes[i].table;

		if (!same_but_for_case(other, name) ||
			(!table_name_same(other, name) && is_watched(set, other) &&
				is_watched(set, name)))
			continue;
		return err_set(err, STATUS_INVALID,
			VARIABLE ": \"%.*s\" and \"%.*s\" are the same table",
			name_shown(other->text), other->text, name_shown(key), key);
	}
	return STATUS_OK;
}

static enum status read_entry(
	struct ruleset *set, const char *key, const json_t *value, struct err *err)
{
	struct route_entry route = {0};
	enum status status = table_name_parse(VARIABLE, key, &route.table, err);

	if (status == STATUS_OK)
		status = check_new(set, key, &route.table, err);
	if (status == STATUS_OK)
		status = take_value(key, value, &route, err);
	if (status != STATUS_OK) {
		route_entry_finish(&route);
		return status;
	}
	set->routes[set->route_count++] = route;
	return STATUS_OK;
}

/* Where the value as a whole is quoted, as a shell wants it and other readers of environment files keep it. */
static const char quotes[] = ". The quotes around it are part of the value: take them away";

static enum status read_object(struct ruleset *set, json_t *root, struct err *err)
{
	enum status status = STATUS_OK;
	const char *key;
	json_t *value;

	if (!json_is_object(root))
		return err_set(err, STATUS_INVALID,
			VARIABLE ": not a JSON object; expected {\"table\": \"column\"} or {}%s", json_is_string(root) ? quotes : "");
	set->routes = mem_zero(json_object_size(root), sizeof(*set->routes));
	json_object_foreach(root, key, value) {
		if (status == STATUS_OK)
			status = read_entry(set, key, value, err);
	}
	return status;
}

enum status routing_read(struct ruleset *set, const char *text, struct err *err)
{
	enum status status;
	json_error_t error;
	json_t *root;

	if (!text[strspn(text, " \t\r\n")])
		return STATUS_OK;
	root = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!root)
		return err_set(err, STATUS_INVALID, VARIABLE ": not JSON: %s (line %d, column %d)%s",
			error.text, error.line, error.column, strchr("'\"", *text) ? quotes : "");
	status = read_object(set, root, err);
	json_decref(root);
	return status;
}

void route_entry_finish(struct route_entry *route)
{
	for (char **column = route->columns; column && *column; column++)
		free(*column);
	free(route->columns);
	table_name_finish(&route->table);
}
