/* Prevents: a slip in one of the five variables that starts anyway and then sends what should have
 * been kept back, or a complaint from which nobody can tell what to mend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "rules/ruleset.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

struct refusal {
	struct ruleset_text text;
	const char *sentence; /* the error begins so */
};

static const struct refusal refusals[] = {
	{{.filters = "password"}, "FILTERS: \"password\" is not table.column"},
	{{.filters = "users.password, name"}, "FILTERS: \"name\" is not table.column"},
	{{.filters = "a.b.c.d"}, "FILTERS: \"a.b.c.d\" is not table.column: it has too many dots"},
	{{.filters = "users."}, "FILTERS: \"users.\" is not table.column: a name is empty"},
	{{.filters = ".users"}, "FILTERS: \".users\" is not table.column: a name is empty"},
	{{.filters = "*.password"},
		"FILTERS: \"*.password\" is not table.column: * is no wildcard here"},
	{{.filters = "users.*"}, "FILTERS: \"users.*\" is not table.column: * is no wildcard here"},
	{{.filters = "\"users.password"},
		"FILTERS: \"\"users.password\" is not table.column: a double quote is not closed"},
	{{.filters = "\"a\"b.c"},
		"FILTERS: \"\"a\"b.c\" is not table.column: a dot or a comma is missing after"},
	{{.filters = "\"\".c"}, "FILTERS: \"\"\".c\" is not table.column: a name is empty"},
	{{.filters = "a\"b\".c"},
		"FILTERS: \"a\"b\".c\" is not table.column: a double quote stands inside a name"},
	{{.filters = "users.password orders.price"},
		"FILTERS: \"users.password orders.price\" is not table.column: a comma is missing"},
	{{.filters = "users.\xff"},
		"FILTERS: \"users...\" is not table.column: it is not valid UTF-8"},
	{{.columns = "name"}, "COLUMNS: \"name\" is not table.column"},
	{{.table_names = "a.b.c"},
		"TABLE_NAMES: \"a.b.c\" is not table or schema.table: it has too many dots"},
	{{.table_names = "orders games"},
		"TABLE_NAMES: \"orders games\" is not table or schema.table: a comma is missing"},
	{{.table_names = "*"},
		"TABLE_NAMES: \"*\" is not table or schema.table: * is no wildcard here"},
	{{.old_rows = "a.*"},
		"OLD_ROWS: \"a.*\" is not table, schema.table or *: * is no wildcard here"},
	{{.auth_table = "a.b.c", .auth_column = "token"},
		"AUTH_TABLE: \"a.b.c\" is not table or schema.table"},
	{{.auth_table = "", .auth_column = "token"},
		"AUTH_TABLE: \"\" is not table or schema.table"},
	{{.routing = "{"}, "TABLE_AUTH_COLUMN_ROUTING: not JSON:"},
	{{.routing = "orders"}, "TABLE_AUTH_COLUMN_ROUTING: not JSON:"},
	{{.routing = "'{}'"},
		"TABLE_AUTH_COLUMN_ROUTING: not JSON: invalid token near ''' (line 1, column 1). The quotes around it"},
	{{.routing = "\"{\"orders\": \"customer\"}\""},
		"TABLE_AUTH_COLUMN_ROUTING: not JSON: end of file expected near 'orders' (line 1, column 9). The quotes around it"},
	{{.routing = "[]"}, "TABLE_AUTH_COLUMN_ROUTING: not a JSON object"},
	{{.routing = "\"orders\""}, "TABLE_AUTH_COLUMN_ROUTING: not a JSON object"},
	{{.routing = "{\"orders\":1}"},
		"TABLE_AUTH_COLUMN_ROUTING: \"orders\" is neither a string nor a list"},
	{{.routing = "{\"orders\":null}"},
		"TABLE_AUTH_COLUMN_ROUTING: \"orders\" is neither a string nor a list"},
	{{.routing = "{\"orders\":\"\"}"},
		"TABLE_AUTH_COLUMN_ROUTING: \"orders\" names a column \"\""},
	{{.routing = "{\"orders\":[]}"}, "TABLE_AUTH_COLUMN_ROUTING: \"orders\" is an empty list"},
	{{.routing = "{\"orders\":[\"a\",2]}"},
		"TABLE_AUTH_COLUMN_ROUTING: \"orders\" names a column that is not a string"},
	{{.routing = "{\"orders\":[\"a\",\"*\"]}"},
		"TABLE_AUTH_COLUMN_ROUTING: \"orders\" has * in a list"},
	{{.routing = "{\"orders\":[\"a\",\"a\"]}"},
		"TABLE_AUTH_COLUMN_ROUTING: \"orders\" names a column twice"},
	{{.routing = "{\"orders\":\"a\",\"orders\":\"b\"}"},
		"TABLE_AUTH_COLUMN_ROUTING: not JSON: duplicate object key"},
	{{.routing = "{\"orders\":\"a\",\" orders \":\"b\"}"},
		"TABLE_AUTH_COLUMN_ROUTING: \"orders\" and \" orders \" are the same table"},
	{{.routing = "{\"Orders\":\"a\",\"orders\":\"b\"}", .table_names = "orders"},
		"TABLE_AUTH_COLUMN_ROUTING: \"Orders\" and \"orders\" are the same table"},
	{{.routing = "{\"a.b.c\":\"a\"}"},
		"TABLE_AUTH_COLUMN_ROUTING: \"a.b.c\" is not table or schema.table"},
	{{.routing = "{\"\":\"a\"}"},
		"TABLE_AUTH_COLUMN_ROUTING: \"\" is not table or schema.table"},
	{{.table_names = "users", .filters = "user.password"},
		"FILTERS: table \"user\" is not in TABLE_NAMES, which has \"users\": one of the two is "
		"misspelt."},
	{{.table_names = "orders,users", .columns = "Usesr.name"},
		"COLUMNS: table \"Usesr\" is not in TABLE_NAMES, which has \"users\": one of the two is "
		"misspelt."},
	{{.table_names = "orders", .old_rows = "ordres"},
		"OLD_ROWS: table \"ordres\" is not in TABLE_NAMES, which has \"orders\": one of the two is "
		"misspelt."},
	{{.table_names = "orders", .routing = "{\"order\":\"a\"}"},
		"TABLE_AUTH_COLUMN_ROUTING: table \"order\" is not in TABLE_NAMES, which has \"orders\": one of the two is "
		"misspelt."},
	{{.table_names = "shop.orders", .filters = "shpo.orders.price"},
		"FILTERS: table \"shpo.orders\" is not in TABLE_NAMES, which has \"shop.orders\": one of the two is "
		"misspelt."},
	{{.table_names = "shop.orders", .filters = "orders.price"},
		"FILTERS: \"orders\" is a table of the default schema, but TABLE_NAMES has only "
		"\"shop.orders\""},
	{{.table_names = "shop.orders", .filters = "\"orders\".price"},
		"FILTERS: \"\"orders\"\" is a table of the default schema, but TABLE_NAMES has "
		"only \"shop.orders\""},
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refusals); i++) {
		struct err err = {""};
		struct ruleset *set = ruleset_create(&refusals[i].text, &err);

		if (set ||
			strncmp(err.text, refusals[i].sentence, strlen(refusals[i].sentence)) != 0)
			fail_msg("expected: %s\n     got: %s", refusals[i].sentence,
				set ? "no error" : err.text);
	}
}

static const struct ruleset_text fine[] = {
	{0},
	{.table_names = "", .routing = " ", .filters = "", .columns = "", .old_rows = ""},
	{.table_names = "a,,b,", .routing = "{}", .filters = " , "},
	{.table_names = "users", .filters = "users.password,Users.secret,public.users.x"},
	{.table_names = "users", .filters = "payments.iban"},     /* a topic of published events */
	{.table_names = "users", .filters = "\"user\".password"}, /* said on purpose */
	{.table_names = "a1", .filters = "a2.x"},                 /* too short to be a slip */
	{.table_names = "Users,users", .routing = "{\"Users\":\"a\",\"users\":\"b\"}"},
	{.table_names = "public.users", .filters = "public.users.password"},
	{.table_names = "USERS", .filters = "users.password"},
	{.table_names = "authy", .auth_table = "auth", .auth_column = "token"},
	{.routing = "{\"order items\":\"user_id\",\"a, b\":\"*\"}"},
};

static void test_fine(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(fine); i++) {
		struct err err = {""};
		struct ruleset *set = ruleset_create(&fine[i], &err);

		if (!set)
			fail_msg("case %zu: %s", i, err.text);
		ruleset_destroy(set);
	}
}

static void check_table(
	const struct table_name *name, const char *schema, const char *table, const char *text)
{
	if (schema)
		assert_string_equal(name->schema, schema);
	else
		assert_null(name->schema);
	assert_string_equal(name->table, table);
	assert_string_equal(name->text, text);
}

static void test_tables(void **state)
{
	const struct ruleset_text text = {
		.table_names = " orders ,\tshop.orders,\"My.Table\",\n\"a\"\"b\".\"c, d\", orders, "
			       "\"orders\"",
		.old_rows = "* , orders"};
	struct ruleset *set = ruleset_create(&text, NULL);

	(void)state;
	assert_non_null(set);
	assert_int_equal(set->table_count, 4);
	check_table(&set->tables[0], NULL, "orders", "orders");
	check_table(&set->tables[1], "shop", "orders", "shop.orders");
	check_table(&set->tables[2], NULL, "My.Table", "\"My.Table\"");
	check_table(&set->tables[3], "a\"b", "c, d", "\"a\"\"b\".\"c, d\"");
	assert_true(set->old_rows_all);
	assert_int_equal(set->old_row_count, 1);
	ruleset_destroy(set);
}

static void test_columns(void **state)
{
	const struct ruleset_text text = {.filters = "users.password,shop.orders.\"the price\"",
		.columns = "\"x.y\".z",
		.auth_table = "app.auth",
		.auth_column = "token"};
	struct ruleset *set = ruleset_create(&text, NULL);

	(void)state;
	assert_non_null(set);
	assert_int_equal(set->filter_count, 3);
	check_table(&set->filters[0].table, NULL, "users", "users");
	assert_string_equal(set->filters[0].column, "password");
	assert_false(set->filters[0].implied);
	check_table(&set->filters[1].table, "shop", "orders", "shop.orders");
	assert_string_equal(set->filters[1].column, "the price");
	check_table(&set->filters[2].table, "app", "auth", "app.auth");
	assert_string_equal(set->filters[2].column, "token");
	assert_true(set->filters[2].implied);
	assert_int_equal(set->column_count, 1);
	check_table(&set->columns[0].table, NULL, "x.y", "\"x.y\"");
	ruleset_destroy(set);
}

static void test_routes(void **state)
{
	const struct ruleset_text text = {.routing = "{\"orders\":\"user_id\",\"shop.games\":["
						     "\"a\",\"b c\"],\"\\\"My.News\\\"\":\"*\"}"};
	struct ruleset *set = ruleset_create(&text, NULL);

	(void)state;
	assert_non_null(set);
	assert_int_equal(set->route_count, 3);
	check_table(&set->routes[0].table, NULL, "orders", "orders");
	assert_string_equal(set->routes[0].columns[0], "user_id");
	assert_null(set->routes[0].columns[1]);
	check_table(&set->routes[1].table, "shop", "games", "shop.games");
	assert_string_equal(set->routes[1].columns[1], "b c");
	check_table(&set->routes[2].table, NULL, "My.News", "\"My.News\"");
	assert_true(set->routes[2].broadcast);
	assert_null(set->routes[2].columns);
	ruleset_destroy(set);
}

/* A value of megabytes must not overflow the sentence nor cut a character in two. */
static void test_long_names(void **state)
{
	char *names = malloc(100001);
	struct ruleset_text text = {.filters = names};
	struct err err = {""};

	(void)state;
	for (size_t i = 0; i < 100000; i += 2)
		memcpy(names + i, "\xc3\xa9", 2);
	names[100000] = 0;
	assert_null(ruleset_create(&text, &err));
	assert_non_null(strstr(err.text, "\xc3\xa9..\" is not table.column"));
	free(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_fine),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
