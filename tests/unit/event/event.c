/* Prevents: a user who lost a row still seeing it, or who gained one seeing how it was before; a
 * user named twice getting an event twice; an event freed while somebody reads it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "esink/event.h"
#include "esink/source.h"

#define NOBODY (-1)

/* Comma lists; what user 7 is shown. */
static const struct merge_case {
	const char *name, *users, *old_users;
	bool rerouted, broadcast;
	int class;
	uint32_t receivers;
} merges[] = {
	{"insert of the user's row", "7", "", false, false, CLASS_BOTH, 1},
	{"insert of another's row", "8", "", false, false, NOBODY, 1},
	{"nobody named", "", "", false, false, NOBODY, 0},
	{"named twice", "7,7,7", "", false, false, CLASS_BOTH, 1},
	{"old users are ignored unless rerouted", "8", "7", false, false, NOBODY, 1},
	{"the row entered", "7", "8", true, false, CLASS_ENTERED, 2},
	{"the row left", "8", "7", true, false, CLASS_LEFT, 2},
	{"in both", "7,9", "8,7", true, false, CLASS_BOTH, 3},
	{"in both, named twice in each", "7,7", "7,7", true, false, CLASS_BOTH, 1},
	{"left, to nobody", "", "7", true, false, CLASS_LEFT, 1},
	{"entered from nobody", "7", "", true, false, CLASS_ENTERED, 1},
	{"broadcast", "", "", false, true, CLASS_BOTH, 0},
	{"broadcast wins over leaving", "8", "7", true, true, CLASS_BOTH, 2},
	{"a prefix is another user", "77", "", false, false, NOBODY, 1},
	{"star is a string", "*", "", false, false, NOBODY, 1},
};

static size_t split(const char *list, struct span *spans)
{
	size_t count = 0;

	while (*list) {
		size_t len = strcspn(list, ",");

		spans[count++] = (struct span){list, len};
		list += len + (list[len] == ',');
	}
	return count;
}

static int class_for(const struct event *event, const char *user)
{
	enum event_class class;

	return event_visible(event, hash_bytes(user, strlen(user)), span_of(user), &class)
		       ? (int)class
		       : NOBODY;
}

static void test_merge(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(merges) / sizeof(*merges); i++) {
		const struct merge_case *c = &merges[i];
		struct span users[8], old_users[8];
		struct event_parts parts = {.users = users,
			.old_users = old_users,
			.rerouted = c->rerouted,
			.broadcast = c->broadcast,
			.data = span_of("{}")};
		struct event *event;

		parts.user_count = split(c->users, users);
		parts.old_user_count = split(c->old_users, old_users);
		event = event_create(&parts);
		if (class_for(event, "7") != c->class || event->receiver_count != c->receivers)
			fail_msg("%s: class %d, %u receivers", c->name, class_for(event, "7"),
				event->receiver_count);
		event_unref(event);
	}
}

static void test_many_receivers_are_found(void **state)
{
	enum { COUNT = 1000 };
	char ids[COUNT][8];
	struct span users[COUNT];
	struct event_parts parts = {.users = users, .user_count = COUNT};
	struct event *event;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		snprintf(ids[i], sizeof(ids[i]), "%d", i);
		users[i] = span_of(ids[i]);
	}
	event = event_create(&parts);
	memset(ids, 'x', sizeof(ids)); /* borrowed for the call only */
	for (uint32_t i = 1; i < event->receiver_count; i++)
		assert_true(event->receivers[i - 1].hash <= event->receivers[i].hash);
	for (int i = 0; i < COUNT; i++) {
		char id[8];

		snprintf(id, sizeof(id), "%d", i);
		assert_int_equal(class_for(event, id), CLASS_BOTH);
	}
	assert_int_equal(class_for(event, "1000"), NOBODY);
	event_unref(event);
}

static void test_texts_are_copied_and_absent_stays_absent(void **state)
{
	char text[] = "orders";
	struct event_parts parts = {.id = 7,
		.topic = span_of(text),
		.type = span_of("update"),
		.journal = span_of("0123456789abcdef"),
		.actor = {"", 0}};
	struct event *event = event_create(&parts), *same = event_ref(event);

	(void)state;
	text[0] = 'x';
	event_unref(event);
	assert_true(span_is(same->topic, "orders"));
	assert_string_equal(same->journal, "0123456789abcdef");
	assert_null(same->old.p);
	assert_non_null(same->actor.p);
	assert_true(same->size >= sizeof(struct event) + 12);
	assert_true(span_is(event_type_shown(same, CLASS_LEFT), "delete"));
	assert_true(span_is(event_type_shown(same, CLASS_ENTERED), "update"));
	event_unref(same);
	event_unref(NULL);
}

static void test_batch_and_jobs(void **state)
{
	struct event_batch batch = {0};
	struct event_parts parts = {.id = 1};

	(void)state;
	for (int i = 0; i < 20; i++)
		event_batch_add(&batch, event_create(&parts));
	assert_int_equal(batch.count, 20);
	event_batch_clear(&batch);
	assert_int_equal(batch.count, 0);
	event_batch_add(&batch, event_create(&parts));
	event_batch_finish(&batch);
	lookup_job_free(NULL);
	publish_job_free(NULL);
	read_job_free(NULL);
	lookup_job_free(calloc(1, sizeof(struct lookup_job)));
	publish_job_free(calloc(1, sizeof(struct publish_job)));
	read_job_free(calloc(1, sizeof(struct read_job)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_many_receivers_are_found),
		cmocka_unit_test(test_texts_are_copied_and_absent_stays_absent),
		cmocka_unit_test(test_batch_and_jobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
