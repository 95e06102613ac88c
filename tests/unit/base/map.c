/* Prevents: an index that loses a user's sessions, or finds a stranger's, after some deletion moved
 * entries about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

#define KEYS 200

/* The reference: key number -> value number, 0 when absent. */
struct reference {
	char keys[KEYS][8];
	size_t lens[KEYS];
	uint64_t hashes[KEYS];
	int present[KEYS];
	int values[KEYS];
	size_t count;
};

static struct span key_of(const struct reference *ref, size_t i)
{
	return (struct span){ref->keys[i], ref->lens[i]};
}

static void check_all(const struct map *map, const struct reference *ref)
{
	size_t at = 0, seen = 0;

	assert_int_equal(map->count, ref->count);
	for (size_t i = 0; i < KEYS; i++) {
		const int *value = map_get(map, ref->hashes[i], key_of(ref, i));

		assert_int_equal(value != NULL, ref->present[i]);
		assert_true(!value || value == &ref->values[i]);
	}
	for (const int *value; (value = map_next(map, &at)); seen++)
		assert_int_equal(ref->present[value - ref->values], 1);
	assert_int_equal(seen, ref->count);
}

static void change(struct map *map, struct reference *ref, size_t i, int put)
{
	if (put) {
		map_put(map, ref->hashes[i], key_of(ref, i), &ref->values[i]);
		ref->count += !ref->present[i];
		ref->present[i] = 1;
	} else {
		assert_true(map_remove(map, ref->hashes[i], key_of(ref, i)) ==
			    (ref->present[i] ? &ref->values[i] : NULL));
		ref->count -= (size_t)ref->present[i];
		ref->present[i] = 0;
	}
}

/* hash_mask: how many different hashes there are; 0: all collide. */
static void run_random(uint64_t hash_mask, unsigned seed)
{
	struct reference *ref = calloc(1, sizeof(*ref));
	struct map map = {0};

	for (size_t i = 0; i < KEYS; i++) { /* of one to eight bytes, mostly NULs, all different */
		ref->keys[i][0] = (char)i;
		ref->lens[i] = 1 + i % 8;
		ref->hashes[i] = ((uint64_t)rand_r(&seed) * 2654435761u) & hash_mask;
	}
	for (int step = 0; step < 20000; step++) {
		change(&map, ref, (size_t)rand_r(&seed) % KEYS,
			rand_r(&seed) % 100 < (step / 4000 % 2 ? 30 : 70));
		if (step % 50 == 0)
			check_all(&map, ref);
	}
	check_all(&map, ref);
	map_finish(&map);
	free(ref);
}

static void test_random(void **state)
{
	(void)state;
	run_random(UINT64_MAX, 1);
	run_random(255, 2); /* long runs */
	run_random(0xf0, 3);
	run_random(0, 4); /* one run */
}

/* Runs that wrap around the end of the table are where backward shifts go wrong. */
static void test_wrap(void **state)
{
	static const char keys[] = "abcdefg";
	struct map map = {0};

	(void)state;
	for (size_t i = 0; i < 7; i++)
		map_put(&map, 14 + i % 2, (struct span){keys + i, 1},
			(void *)(uintptr_t)(keys + i));
	for (size_t gone = 0; gone < 7; gone++) {
		assert_ptr_equal(map_remove(&map, 14 + gone % 2, (struct span){keys + gone, 1}),
			keys + gone);
		for (size_t i = 0; i < 7; i++)
			assert_ptr_equal(map_get(&map, 14 + i % 2, (struct span){keys + i, 1}),
				i > gone ? keys + i : NULL);
	}
	map_finish(&map);
}

static void test_empty(void **state)
{
	struct map map = {0};
	size_t at = 0;

	(void)state;
	assert_null(map_get(&map, 1, span_of("x")));
	assert_null(map_remove(&map, 1, span_of("x")));
	assert_null(map_next(&map, &at));
	map_put(&map, 1, span_of(""), &map); /* an empty key is a key */
	assert_ptr_equal(map_get(&map, 1, span_of("")), &map);
	map_put(&map, 1, span_of(""), &at);
	assert_ptr_equal(map_get(&map, 1, span_of("")), &at);
	assert_int_equal(map.count, 1);
	map_finish(&map);
	map_finish(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
