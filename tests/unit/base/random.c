/* Prevents: two ids that are the same, or share a part of what was drawn for them, within a thread or between threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#define WORDS 20000
#define WORD 12
#define THREADS 3

static char words[THREADS][WORDS][WORD + 1];

static void *draw(void *list)
{
	char(*own)[WORD + 1] = list;

	for (size_t i = 0; i < WORDS; i++) {
		unsigned char odd[7], large[100];

		random_word(own[i], WORD);
		random_bytes(odd, i % sizeof(odd)); /* so that words begin at any place of the stock */
		if (i % 100 == 0)
			random_bytes(large, sizeof(large));
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void test_different(void **state)
{
	pthread_t threads[THREADS];
	char(*all)[WORD + 1] = words[0];

	(void)state;
	for (size_t t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, draw, words[t]), 0);
	for (size_t t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	qsort(all, (size_t)THREADS * WORDS, WORD + 1, compare);
	for (size_t i = 0; i + 1 < (size_t)THREADS * WORDS; i++) {
		assert_int_equal(strlen(all[i]), WORD);
		assert_int_not_equal(strcmp(all[i], all[i + 1]), 0);
	}
}

/* Each place of a hundred thousand draws takes each value about as often: none is left at zero, as what was wiped would be. */
static void test_spread(void **state)
{
	static unsigned counts[64][256];
	const unsigned draws = 100000;

	(void)state;
	for (unsigned i = 0; i < draws; i++) {
		unsigned char bytes[64];

		random_bytes(bytes, sizeof(bytes));
		for (size_t at = 0; at < sizeof(bytes); at++)
			counts[at][bytes[at]]++;
	}
	for (size_t at = 0; at < 64; at++)
		for (size_t value = 0; value < 256; value++)
			assert_in_range(counts[at][value], draws / 256 - 200, draws / 256 + 200); /* ten deviations */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_different),
		cmocka_unit_test(test_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
