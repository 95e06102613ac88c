/* Prevents: a rule that is read well and then meets the wrong table or column, so that a filtered
 * column leaves, or a row reaches somebody whom no rule names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "rules/ruleset.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define COLUMNS_MAX 8

struct bind_case {
	const char *about;
	struct ruleset_text text;
	const char *schema, *table; /* schema NULL: public, the default one */
	const char *columns[COLUMNS_MAX];
	const char *sent;  /* names of what leaves, a comma after each */
	const char *route; /* names of routing columns likewise, or `everyone` */
	const char *missing;
	bool missing_filter, old_rows;
};

/* clang-format off */
#define USERS {"id", "name", "password"}
/* clang-format on */

static const struct bind_case cases[] = {
	{"no rule: nobody", {.table_names = "users"}, NULL, "users", USERS, "id,name,password,",
		""},
	{"a route", {.routing = "{\"users\":\"id\"}"}, NULL, "users", USERS, "id,name,password,",
		"id,"},
	{"routes in configured order", {.routing = "{\"users\":[\"name\",\"id\"]}"}, NULL, "users",
		USERS, "id,name,password,", "name,id,"},
	{"broadcast", {.routing = "{\"users\":\"*\"}"}, NULL, "users", USERS, "id,name,password,",
		"everyone"},
	{"a route with its schema", {.routing = "{\"public.users\":\"id\"}"}, NULL, "users", USERS,
		"id,name,password,", "id,"},
	{"both ways to write one table merge",
		{.routing = "{\"public.users\":\"id\",\"users\":[\"name\",\"id\"]}"}, NULL, "users",
		USERS, "id,name,password,", "id,name,"},
	{"a bare name stays in the default schema",
		{.routing = "{\"users\":\"id\"}", .filters = "users.password"}, "shop", "users",
		USERS, "id,name,password,", ""},
	{"another schema", {.routing = "{\"shop.users\":\"id\"}"}, NULL, "users", USERS,
		"id,name,password,", ""},
	{"a route folds", {.routing = "{\"Users\":\"ID\"}"}, NULL, "users", USERS,
		"id,name,password,", "id,"},
	{"a route does not unfold the table", {.routing = "{\"users\":\"id\"}"}, NULL, "Users",
		USERS, "id,name,password,", ""},
	{"exact before folded",
		{.table_names = "Users,users", .routing = "{\"Users\":\"name\",\"users\":\"id\"}"},
		NULL, "users", USERS, "id,name,password,", "id,"},
	{"a route for Users is not for users when both are watched",
		{.table_names = "Users,users", .routing = "{\"Users\":\"*\"}"}, NULL, "users",
		USERS, "id,name,password,", ""},
	{"column: exact before folded", {.routing = "{\"t\":\"ID\"}"}, NULL, "t", {"id", "ID"},
		"id,ID,", "ID,"},
	{"column: folded", {.routing = "{\"t\":\"Id\"}"}, NULL, "t", {"ID", "id"}, "ID,id,", "id,"},
	{"column: the only one that is alike", {.routing = "{\"t\":\"userid\"}"}, NULL, "t",
		{"id", "userId"}, "id,userId,", "userId,"},
	{"column: two alike, neither meant", {.routing = "{\"t\":\"userid\"}"}, NULL, "t",
		{"userId", "UserId"}, "userId,UserId,", "", "TABLE_AUTH_COLUMN_ROUTING: t.userid"},
	{"a filter", {.filters = "users.password"}, NULL, "users", USERS, "id,name,", ""},
	{"a filter folds", {.filters = "USERS.Password"}, NULL, "users", USERS, "id,name,", ""},
	{"a filter holds for a quoted table too", {.filters = "users.password"}, NULL, "Users",
		USERS, "id,name,", ""},
	{"a filter takes every column that is alike", {.filters = "t.pin"}, NULL, "t",
		{"id", "Pin", "PIN"}, "id,", ""},
	{"a filter takes the exact column alone", {.filters = "t.Pin"}, NULL, "t",
		{"id", "pin", "Pin"}, "id,pin,", ""},
	{"a filter with accents",
		{.filters = "t.gr\xc3\xb6\xc3\x9f"
			    "e"},
		NULL, "t",
		{"id", "GR\xc3\x96\xc3\x9f"
		       "E"},
		"id,", ""},
	{"quoted names", {.filters = "\"My.Table\".\"the pin\""}, NULL, "My.Table",
		{"id", "the pin"}, "id,", ""},
	{"a filtered routing column still routes",
		{.filters = "users.id", .routing = "{\"users\":\"id\"}"}, NULL, "users", USERS,
		"name,password,", "id,"},
	{"the token is always filtered", {.auth_table = "auth", .auth_column = "token"}, NULL,
		"auth", {"id", "token"}, "id,", ""},
	{"the token column is gone", {.auth_table = "auth", .auth_column = "token"}, NULL, "auth",
		{"id", "tok"}, "id,tok,", "", "AUTH_COLUMN: auth.token", true},
	{"only COLUMNS leave", {.columns = "users.id,users.name"}, NULL, "users", USERS, "id,name,",
		""},
	{"COLUMNS of another table", {.columns = "orders.id"}, NULL, "users", USERS,
		"id,name,password,", ""},
	{"COLUMNS hold for a quoted table too", {.columns = "users.id"}, NULL, "Users", USERS,
		"id,", ""},
	{"COLUMNS: the better fit alone", {.columns = "users.id,Users.name"}, NULL, "Users", USERS,
		"name,", ""},
	{"a filter wins", {.columns = "users.id,users.password", .filters = "users.password"}, NULL,
		"users", USERS, "id,", ""},
	{"a filter that misses", {.filters = "users.pasword"}, NULL, "users", USERS,
		"id,name,password,", "", "FILTERS: users.pasword", true},
	{"a filter that misses is told first", {.filters = "users.pasword", .columns = "users.nam"},
		NULL, "users", USERS, "", "", "FILTERS: users.pasword", true},
	{"COLUMNS that miss", {.columns = "users.nam"}, NULL, "users", USERS, "", "",
		"COLUMNS: users.nam"},
	{"a route that misses", {.routing = "{\"public.users\":[\"id\",\"usr\"]}"}, NULL, "users",
		USERS, "id,name,password,", "id,", "TABLE_AUTH_COLUMN_ROUTING: public.users.usr"},
	{"a filter for Users does not miss in users when both are watched",
		{.table_names = "Users,users", .filters = "Users.pin"}, NULL, "users", USERS,
		"id,name,password,", ""},
	{"old rows", {.old_rows = "users"}, NULL, "users", USERS, "id,name,password,", "", NULL,
		false, true},
	{"old rows of all", {.old_rows = "*"}, NULL, "users", USERS, "id,name,password,", "", NULL,
		false, true},
	{"old rows of another", {.old_rows = "orders"}, NULL, "users", USERS, "id,name,password,",
		""},
	{"a table without columns", {.filters = "t.x"}, NULL, "t", {NULL}, "", "", "FILTERS: t.x",
		true},
};

static void list_sent(
	const struct relation *relation, const struct table_rule *rule, char *text, size_t room)
{
	size_t at = 0;

	text[0] = 0;
	for (size_t i = 0; i < relation->column_count; i++)
		if (rule->sent[i])
			at += (size_t)snprintf(text + at, room - at, "%s,", relation->columns[i]);
}

static void list_route(
	const struct relation *relation, const struct table_rule *rule, char *text, size_t room)
{
	size_t at = (size_t)snprintf(text, room, "%s", rule->broadcast ? "everyone" : "");

	for (size_t i = 0; i < rule->route_count; i++)
		at += (size_t)snprintf(
			text + at, room - at, "%s,", relation->columns[rule->route[i]]);
}

static void check(const struct bind_case *c)
{
	struct relation relation = {
		c->schema ? c->schema : "public", c->table, !c->schema, c->columns, 0};
	struct err err = {""};
	struct ruleset *set = ruleset_create(&c->text, &err);
	struct table_rule rule;
	char sent[256], route[256];

	if (!set)
		fail_msg("%s: %s", c->about, err.text);
	while (relation.column_count < COLUMNS_MAX && c->columns[relation.column_count])
		relation.column_count++;
	ruleset_bind(set, &relation, &rule);
	list_sent(&relation, &rule, sent, sizeof(sent));
	list_route(&relation, &rule, route, sizeof(route));
	if (strcmp(sent, c->sent) || strcmp(route, c->route) ||
		rule.missing_filter != c->missing_filter ||
		strcmp(rule.missing ? rule.missing : "", c->missing ? c->missing : "") ||
		rule.old_rows != c->old_rows)
		fail_msg("%s: sent %s route %s missing %s %d old %d", c->about, sent, route,
			rule.missing, rule.missing_filter, rule.old_rows);
	table_rule_finish(&rule);
	ruleset_destroy(set);
}

static void test_bind(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		check(&cases[i]);
}

/* /ready said «keys alone» of a table that reached nobody any more. */
static void test_complains(void **state)
{
	static const struct {
		const char *routing, *filters, *says;
	} lost[] = {
		{"{\"users\":\"gone\"}", NULL, "TABLE_AUTH_COLUMN_ROUTING: users.gone: the table has lost that column; its events reach no user, and the "
			"operator and consumers with keys alone, until the column is back or the configuration is mended"},
		{"{\"users\":[\"id\",\"gone\"]}", NULL, "TABLE_AUTH_COLUMN_ROUTING: users.gone: the table has lost that column; its events reach only users "
			"whom its other routing columns name, with keys alone, until the column is back or the configuration is mended"},
		{"{\"users\":\"id\"}", "users.gone", "FILTERS: users.gone: the table has lost that column; its events carry keys alone until the column is "
			"back or the configuration is mended"},
		{"{\"users\":\"*\"}", "users.gone", "FILTERS: users.gone: the table has lost that column; its events carry keys alone until the column is "
			"back or the configuration is mended"},
		{"{\"users\":\"lost\"}", "users.gone", "FILTERS: users.gone: the table has lost that column; its events reach no user, and the operator and "
			"consumers with keys alone, until the column is back or the configuration is mended"},
		{NULL, "users.gone", "FILTERS: users.gone: the table has lost that column; its events reach no user, and the operator and "
			"consumers with keys alone, until the column is back or the configuration is mended"},
	};
	static const char *const columns[] = {"id", "name"};
	const struct relation relation = {"public", "users", true, columns, COUNT(columns)};

	(void)state;
	for (size_t i = 0; i < COUNT(lost); i++) {
		const struct ruleset_text text = {.table_names = "users", .routing = lost[i].routing, .filters = lost[i].filters};
		struct err err = {""};
		struct ruleset *set = ruleset_create(&text, &err);
		struct table_rule rule;

		assert_non_null(set);
		ruleset_bind(set, &relation, &rule);
		assert_int_equal(table_rule_complain(&rule, &err), STATUS_FAILED);
		assert_string_equal(err.text, lost[i].says);
		table_rule_finish(&rule);
		ruleset_destroy(set);
	}
}

static void test_matches(void **state)
{
	const struct {
		const char *name, *schema, *table;
		bool in_default, matches;
	} names[] = {
		{"orders", "public", "orders", true, true},
		{"Orders", "public", "Orders", true, true},
		{"ORDERS", "public", "orders", true, true},
		{"orders", "public", "Orders", true, false},
		{"orders", "shop", "orders", false, false},
		{"shop.orders", "shop", "orders", false, true},
		{"Shop.Orders", "shop", "orders", false, true},
		{"shop.orders", "public", "orders", true, false},
		{"\"My.Table\"", "public", "My.Table", true, true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		struct relation relation = {
			names[i].schema, names[i].table, names[i].in_default, NULL, 0};
		struct table_name name;

		assert_int_equal(
			table_name_parse("AUTH_TABLE", names[i].name, &name, NULL), STATUS_OK);
		if (table_name_matches(&name, &relation) != names[i].matches)
			fail_msg(
				"%s against %s.%s", names[i].name, names[i].schema, names[i].table);
		table_name_finish(&name);
	}
}

/* Prevents: a start that takes minutes because each route of each table goes through all tables: with the third power of their
 * number this test would outlast its time. */
static void test_a_thousand_tables(void **state)
{
	enum { TABLES = 2000 };
	AUTO_BUF struct buf names = buf_init(BUF_NO_MAX), routing = buf_init(BUF_NO_MAX);
	const char *columns[] = {"id", "owner"};
	struct ruleset *rules;
	struct err err;

	(void)state;
	for (int i = 0; i < TABLES; i++) {
		buf_printf(&names, "t%d,", i);
		buf_printf(&routing, "%s\"t%d\":\"owner\"", i ? "," : "{", i);
	}
	buf_text(&routing, "}");
	rules = ruleset_create(&(struct ruleset_text){.table_names = names.bytes, .routing = routing.bytes}, &err);
	assert_non_null(rules);
	for (int i = 0; i < TABLES; i++) {
		char name[16];
		struct relation relation = {"public", name, true, columns, COUNT(columns)};
		struct table_rule rule;

		snprintf(name, sizeof(name), "t%d", i);
		ruleset_bind(rules, &relation, &rule);
		assert_int_equal(rule.route_count, 1);
		table_rule_finish(&rule);
	}
	ruleset_destroy(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_thousand_tables),
		cmocka_unit_test(test_bind), cmocka_unit_test(test_complains),
		cmocka_unit_test(test_matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
