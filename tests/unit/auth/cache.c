/* Prevents: a cache of tokens that grows with every token ever seen, forgets the ones in use, or
 * hands one user's claims to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "auth/cache.h"
#include "base/mem.h"

static void digest_of(unsigned number, unsigned char digest[DIGEST_LEN])
{
	memset(digest, 0, DIGEST_LEN);
	memcpy(digest + 7, &number, sizeof(number));
}

static void put(struct cache *cache, unsigned number)
{
	unsigned char digest[DIGEST_LEN];
	struct claims claims = {
		.user = mem_format("u%u", number), .expires = number, .numeric = number % 2};

	digest_of(number, digest);
	cache_put(cache, digest, &claims);
	claims_finish(&claims);
}

static bool has(struct cache *cache, unsigned number)
{
	unsigned char digest[DIGEST_LEN];
	struct claims claims = {0};
	char *expected;

	digest_of(number, digest);
	if (!cache_get(cache, digest, &claims))
		return false;
	expected = mem_format("u%u", number);
	if (strcmp(claims.user, expected) || claims.expires != number ||
		claims.numeric != (number % 2 == 1))
		abort(); /* also called from threads, where cmocka cannot fail */
	free(expected);
	claims_finish(&claims);
	return true;
}

static void test_order_of_use(void **state)
{
	struct cache *cache = cache_create(3);

	(void)state;
	put(cache, 1);
	put(cache, 2);
	put(cache, 3);
	assert_true(has(cache, 1)); /* 2 is now the oldest */
	put(cache, 4);
	assert_false(has(cache, 2));
	assert_true(has(cache, 1) && has(cache, 3) && has(cache, 4));
	put(cache, 3); /* again: replaces */
	assert_int_equal(cache_count(cache), 3);
	cache_destroy(cache);
}

static void test_drop(void **state)
{
	struct cache *cache = cache_create(3);
	unsigned char digest[DIGEST_LEN];

	(void)state;
	put(cache, 1);
	digest_of(1, digest);
	cache_drop(cache, digest);
	cache_drop(cache, digest);
	assert_false(has(cache, 1));
	assert_int_equal(cache_count(cache), 0);
	cache_destroy(cache);
	cache_destroy(NULL);
}

static void test_bound(void **state)
{
	struct cache *cache = cache_create(100);

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		put(cache, i);
	assert_int_equal(cache_count(cache), 100);
	for (unsigned i = 0; i < 5000; i++)
		assert_true(has(cache, i) == (i >= 4900));
	cache_destroy(cache);
}

static void *work(void *context)
{
	for (unsigned i = 0; i < 20000; i++) {
		if (!has(context, i % 97))
			put(context, i % 97);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct cache *cache = cache_create(50);
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, cache), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(cache_count(cache), 50);
	cache_destroy(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_of_use),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
