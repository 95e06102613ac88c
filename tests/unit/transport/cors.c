/* Prevents: a foreign page that reads answers or opens websockets because an origin was compared loosely, and our own page
 * that may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "transport/cors.h"

static const char *const origins[] = {"https://app.example", " http://localhost:3000/ ", "HTTPS://Upper.example:443"};

static const struct {
	const char *origin, *host;
	bool allowed;
} cases[] = {
	{NULL, NULL, true},
	{"https://app.example", "relay.example", true},
	{"https://APP.example", "relay.example", true},
	{"https://app.example:443", "relay.example", true},
	{"https://upper.example", "relay.example", true},
	{"http://localhost:3000", "relay.example", true},
	{"https://relay.example", "relay.example", true}, /* our own page */
	{"https://relay.example", "relay.example:443", true},
	{"http://relay.example:8080", "RELAY.example:8080", true},
	{"http://relay.example", "relay.example:80", true},
	{"https://relay.example", "relay.example:80", false},
	{"https://relay.example", NULL, false},
	{"http://app.example", "relay.example", false},
	{"https://app.example:8443", "relay.example", false},
	{"https://app.example.evil", "relay.example", false},
	{"https://evil.app.example", "relay.example", false},
	{"https://app.exampl", "relay.example", false},
	{"http://localhost:30000", "relay.example", false},
	{"http://localhost", "relay.example", false},
	{"null", "relay.example", false},
	{"", "relay.example", false},
	{"", "", false},
	{"http://", "", false},
	{"*", "relay.example", false},
	{"relay.example", "relay.example", false},
};

static void test_list(void **state)
{
	struct cors cors;

	(void)state;
	cors_init(&cors, origins, 3);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (cors_allows(&cors, span_of(cases[i].origin), span_of(cases[i].host)) != cases[i].allowed)
			fail_msg("%s at %s", cases[i].origin ? cases[i].origin : "-", cases[i].host ? cases[i].host : "-");
	}
	cors_finish(&cors);
}

static void test_all(void **state)
{
	static const char *const star[] = {"https://app.example", "*"};
	struct cors none, cors;

	(void)state;
	cors_init(&none, NULL, 0);
	cors_init(&cors, star, 2);
	assert_true(none.all && cors.all);
	assert_true(cors_allows(&cors, span_of("null"), span_of("relay.example")));
	cors_finish(&none);
	cors_finish(&cors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_list), cmocka_unit_test(test_all)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
