/* Prevents: a consumer that was registered anew with other patterns being served by the ones before, or taken for one that this relay has
 * just noted; a memory that grows with the consumers that come and go; one whose patterns are broken taking another's place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "source/consumer_memory.h"

#define MANY 1000 /* what it remembers */

static enum status recall_as(struct consumer_memory *memory, const char *name, const char *topics, struct remembered **ret)
{
	const struct consumer row = {.name = (char *)(uintptr_t)name, .topics = (char *)(uintptr_t)topics, .types = (char *)(uintptr_t)"[]"};
	struct err err;

	return consumer_memory_recall(memory, &row, ret, &err);
}

static struct remembered *recall(struct consumer_memory *memory, const char *name, const char *topics)
{
	struct remembered *slot = NULL;

	assert_int_equal(recall_as(memory, name, topics, &slot), STATUS_OK);
	assert_non_null(slot->wants);
	return slot;
}

static void as_long_as_the_patterns_are_the_same(void **state)
{
	struct consumer_memory *memory = consumer_memory_create();
	struct remembered *slot = recall(memory, "billing", "[\"orders\"]");
	const struct wants *wants = slot->wants;

	(void)state;
	assert_int_equal(slot->touched, 0);
	slot->touched = 7;
	slot = recall(memory, "billing", "[\"orders\"]");
	assert_ptr_equal(slot->wants, wants);
	assert_int_equal(slot->touched, 7);
	slot = recall(memory, "billing", "[\"users\"]");
	assert_int_equal(slot->touched, 0);
	assert_string_equal(slot->topics, "[\"users\"]");
	consumer_memory_destroy(memory);
}

static void whoever_was_asked_for_longest_ago_makes_room(void **state)
{
	struct consumer_memory *memory = consumer_memory_create();
	char name[16];

	(void)state;
	recall(memory, "first", "[]")->touched = 1;
	recall(memory, "second", "[]")->touched = 2;
	for (int i = 0; i < MANY - 2; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		recall(memory, name, "[]");
	}
	assert_int_equal(recall(memory, "first", "[]")->touched, 1);
	recall(memory, "one-more", "[]");
	assert_int_equal(recall(memory, "first", "[]")->touched, 1);
	assert_int_equal(recall(memory, "second", "[]")->touched, 0);
	consumer_memory_destroy(memory);
}

static void broken_patterns_take_no_place(void **state)
{
	struct consumer_memory *memory = consumer_memory_create();
	struct remembered *slot = NULL;

	(void)state;
	recall(memory, "billing", "[]")->touched = 1;
	assert_int_equal(recall_as(memory, "broken", "[7]", &slot), STATUS_FAILED);
	assert_null(slot);
	assert_int_equal(recall_as(memory, "billing", "[7]", &slot), STATUS_FAILED);
	assert_int_equal(recall(memory, "billing", "[]")->touched, 1);
	consumer_memory_destroy(memory);
	consumer_memory_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(as_long_as_the_patterns_are_the_same),
		cmocka_unit_test(whoever_was_asked_for_longest_ago_makes_room), cmocka_unit_test(broken_patterns_take_no_place)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
