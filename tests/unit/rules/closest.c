/* Prevents: «did you mean» that suggests nonsense, or that is silent at the commonest slips. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "rules/names.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void test_distance(void **state)
{
	const struct {
		const char *a, *b;
		size_t distance;
	} cases[] = {
		{"", "", 0},
		{"orders", "orders", 0},
		{"ORDERS", "orders", 0},
		{"order", "orders", 1},
		{"orders", "order", 1},
		{"ordres", "orders", 1}, /* neighbours swapped */
		{"orxers", "orders", 1},
		{"rodres", "orders", 2},
		{"", "ab", 2},
		{"abc", "xyz", 3},
		{"kitten", "sitting", 3},
		{"ca", "abc", 3},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(name_distance(cases[i].a, cases[i].b, 9), cases[i].distance);
		assert_int_equal(name_distance(cases[i].b, cases[i].a, 9), cases[i].distance);
		assert_int_equal(name_distance(cases[i].a, cases[i].b, 1),
			cases[i].distance > 1 ? 2 : cases[i].distance);
	}
}

static void test_long(void **state)
{
	char *a = malloc(100001);

	(void)state;
	memset(a, 'a', 100000);
	a[100000] = 0;
	assert_int_equal(name_distance(a, a, 2), 3); /* not computed */
	a[256] = 0;
	assert_int_equal(name_distance(a, a, 2), 0);
	free(a);
}

static void test_closest(void **state)
{
	static const char *const names[] = {"users", "orders", "order_items", "id", "ip"};
	const struct {
		const char *text, *closest;
	} cases[] = {
		{"user", "users"},
		{"oders", "orders"},
		{"order_itmes", "order_items"},
		{"USERS", "users"},
		{"payments", NULL},
		{"ix", NULL}, /* two characters are near to everything */
		{"ID", "id"},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *closest = closest_name(cases[i].text, names, COUNT(names));

		if (!cases[i].closest != !closest ||
			(closest && strcmp(closest, cases[i].closest) != 0))
			fail_msg("%s: %s", cases[i].text, closest);
	}
	assert_null(closest_name("users", NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_closest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
