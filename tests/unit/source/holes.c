/* Prevents: sessions that are not sent away for one table because another one's triggers wait for a lock, or that are sent away again and
 * again while they do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "source/holes.h"

/* What a driver does at each look: *count and *below as they are then. */
static void look(struct hole_watch *watch, const char *lacking, uint64_t head, uint32_t count, uint64_t below)
{
	if (holes_over(watch, lacking))
		holes_add(watch, head);
	holes_seen(watch, "test", lacking);
	assert_int_equal(watch->holes.count, count);
	assert_int_equal(watch->holes.below, below);
}

static void a_hole_ends_with_its_table(void **state)
{
	struct hole_watch watch = {0};

	(void)state;
	look(&watch, "", 5, 0, 0);
	look(&watch, "orders, users", 6, 0, 0);
	look(&watch, "users", 7, 1, 8); /* orders has its triggers; users waits for a lock */
	look(&watch, "users", 8, 1, 8);
	look(&watch, "all users, users, users2", 9, 1, 8); /* others have lost them, too */
	look(&watch, "all users, users", 9, 2, 10);
	look(&watch, "", 9, 3, 10);
	look(&watch, "", 12, 3, 10);
	look(&watch, "users", 12, 3, 10);
	look(&watch, "", 9, 4, 10); /* the count tells where nothing was written */
	holes_forget(&watch);
	look(&watch, "", 0, 4, 0);
	look(&watch, "orders", 0, 4, 0);
	look(&watch, "users", 0, 5, 1);
	look(&watch, "", 3, 6, 4);
	holes_finish(&watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_hole_ends_with_its_table)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
