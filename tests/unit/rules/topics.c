/* Prevents: a browser's pattern that stops a network thread, and a subscription that receives what
 * it did not ask for or misses what it did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "base/clock.h"
#include "rules/topics.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define SPAN(text) ((struct span){text, sizeof(text) - 1})
/* Where it is not the time that is looked at, the few milliseconds are enough on a slow machine, with a sanitizer too. */
#define LITTLE 50

static enum status subscribe(const char *topic, const char *type, size_t max_bytes,
	struct subscription **ret, struct err *err)
{
	struct span topics[] = {span_of(topic)}, types[] = {span_of(type)};

	return subscription_create(
		topics, topic ? 1 : 0, types, type ? 1 : 0, 4, max_bytes, ret, err);
}

static void test_matching(void **state)
{
	const struct {
		const char *pattern;
		struct span topic;
		bool wanted;
	} cases[] = {
		{NULL, SPAN("orders"), true},
		{"", SPAN("orders"), true},
		{"orders", SPAN("orders"), true},
		{"orders", SPAN("orders_archive"), true}, /* anchored at the start alone */
		{"orders$", SPAN("orders_archive"), false},
		{"orders$", SPAN("orders\n"), false},
		{"orders", SPAN("shop.orders"), false},
		{"a|orders", SPAN("shop.orders"), false},
		{".*orders", SPAN("shop.orders"), true},
		{"Orders", SPAN("orders"), false},
		{"(?i)Orders", SPAN("orders"), true},
		{"..$", SPAN("\xc3\xa9t"), true}, /* characters, not bytes */
		{"or", SPAN("or\xff"), true},
		{"or.", SPAN("or\xff"), false},
		{".*", SPAN("\xff\xfe"), true},
		{"x*$", SPAN(""), true},
		{"o", SPAN(""), false},
		{"a\\x00b", SPAN("a\0b"), true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct subscription *s = NULL;
		struct err err = {""};

		if (subscribe(cases[i].pattern, NULL, 256, &s, &err) != STATUS_OK)
			fail_msg("%s: %s", cases[i].pattern, err.text);
		for (int again = 0; again < 2; again++)
			if (subscription_wants(s, cases[i].topic, span_of("insert")) !=
				cases[i].wanted)
				fail_msg("%s against %s", cases[i].pattern, cases[i].topic.p);
		subscription_destroy(s);
	}
}

static void test_types(void **state)
{
	struct subscription *s = NULL;
	const struct span *list;

	(void)state;
	assert_int_equal(subscribe(NULL, "insert", 256, &s, NULL), STATUS_OK);
	assert_true(subscription_wants(s, span_of("a"), span_of("insert")));
	assert_false(subscription_wants(s, span_of("a"), span_of("inserts")));
	assert_false(subscription_wants(s, span_of("a"), span_of("Insert")));
	assert_int_equal(subscription_topics(s, &list), 0);
	assert_int_equal(subscription_types(s, &list), 1);
	assert_true(span_is(list[0], "insert"));
	subscription_destroy(s);
}

static void test_refusals(void **state)
{
	const struct {
		const char *pattern, *says;
	} cases[] = {
		{"(", "topic pattern \"(\" is not valid at character 2: missing closing "
		      "parenthesis"},
		{"[z-a]", "topic pattern \"[z-a]\" is not valid"},
		{"\\C", "topic pattern \"\\C\" is not valid"},
		{"\xff", "topic pattern \"\" is not valid"},
		{"12345678901234567890123456789012345678901",
			"has 41 bytes, at most 40 are allowed"},
		{"(a+)+$", "topic pattern \"(a+)+$\" is too costly"},
		{"(\\w+)*x$", "is too costly"},
		{"(z|z|zz)*$", "is too costly"},
		{"(.*)*\\x02", "is too costly"},
		{"(a+)+b", "is too costly"},
		{"(?:(?:(?:a{99}){99}){99}){99}", "too large"},
		{"(?:.{0,99}){0,99}q", "too "},
		{"(?R)", "too costly"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct subscription *s = NULL;
		struct err err = {""};

		if (subscribe(cases[i].pattern, NULL, 40, &s, &err) != STATUS_INVALID || s ||
			!strstr(err.text, cases[i].says))
			fail_msg("%s: %s", cases[i].pattern, s ? "accepted" : err.text);
	}
}

static void test_too_many(void **state)
{
	struct span five[5] = {SPAN("a"), SPAN("a"), SPAN("a"), SPAN("a"), SPAN("a")};
	struct subscription *s = NULL;
	struct err err = {""};

	(void)state;
	assert_int_equal(subscription_create(five, 5, NULL, 0, 4, 40, &s, &err), STATUS_TOO_MANY);
	assert_string_equal(err.text, "5 topic patterns given, at most 4 are allowed");
	assert_int_equal(subscription_create(NULL, 0, five, 5, 4, 40, &s, &err), STATUS_TOO_MANY);
	assert_int_equal(subscription_create(five, 4, five, 4, 4, 40, &s, &err), STATUS_OK);
	subscription_destroy(s);
}

/* One bad pattern among good ones: nothing may be left behind, which the sanitizer watches. */
static void test_half_built(void **state)
{
	struct span topics[] = {SPAN("a"), SPAN("("), SPAN("b")};
	struct subscription *s = NULL;

	(void)state;
	assert_int_equal(subscription_create(topics, 3, NULL, 0, 4, 40, &s, NULL), STATUS_INVALID);
	assert_null(s);
	subscription_destroy(NULL);
}

/* Passes the trial at the start, and explodes on a topic that only its author knows. */
static void test_catastrophe(void **state)
{
	struct subscription *s = NULL;
	char topic[128];
	int64_t began;

	(void)state;
	clock_work_costs(1);
	began = clock_thread_us();
	assert_int_equal(subscribe("(?:\\x{40}+)+\\x{21}", NULL, 40, &s, NULL), STATUS_OK);
	for (int i = 0; i < 100; i++) {
		int len = snprintf(topic, sizeof(topic), "%.60s?%d",
			"@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@", i);

		memcpy(topic + len, "!",
			2); /* so that no optimisation sees at once that it cannot match */
		assert_false(subscription_wants(s, span_of(topic), span_of("x")));
	}
	assert_true(clock_thread_us() - began < 5000000);
	clock_work_costs(LITTLE);
	subscription_destroy(s);
}

/* Many more topics than are remembered, twice over, and some too long to remember. */
static void test_memo(void **state)
{
	struct subscription *s = NULL;
	char topic[400];

	(void)state;
	assert_int_equal(subscribe("t[0-9]*[02468]$", NULL, 40, &s, NULL), STATUS_OK);
	for (int i = 0; i < 4000; i++) {
		int len = snprintf(topic, sizeof(topic), "t%0*d", i % 3 ? 4 : 390, i % 2000);

		if (subscription_wants(s, (struct span){topic, (size_t)len}, span_of("x")) !=
			(i % 2 == 0))
			fail_msg("%s", topic);
	}
	subscription_destroy(s);
}

/* -- all patterns of a subscription together -- */

#define MANY 100

/* The same pattern over and over, as a browser may send it with the limits that are the usual ones. */
static enum status subscribe_many(const char *pattern, size_t count, struct subscription **ret, struct err *err)
{
	struct span topics[MANY];

	for (size_t i = 0; i < count; i++)
		topics[i] = span_of(pattern);
	return subscription_create(topics, count, NULL, 0, MANY, 1000, ret, err);
}

/* A class of so many properties that to look one character up is slow, and four repeats of it. Good enough alone. */
static void costly_pattern(char pattern[1000])
{
	char class[240];

	snprintf(class, sizeof(class), "[%s]", "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{Mn}\\p{Mc}\\p{Me}\\p{Nl}\\p{No}\\p{Pc}\\p{Po}\\p{Ps}\\p{Pe}"
		"\\p{Pi}\\p{Pf}\\p{Sm}\\p{Sc}\\p{Sk}\\p{So}\\p{Zs}\\p{Zl}\\p{Zp}\\p{Cf}\\p{Cn}\\p{Co}\\p{Cs}\\p{Thai}\\p{Ll}\\p{Nd}\\p{Pd}");
	snprintf(pattern, 1000, "%s+%s+%s+%s{1,2}!", class, class, class, class);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SOON_US 100000
#define PLAIN_COSTS 10
#else
#define SOON_US 20000
#define PLAIN_COSTS 1
#endif

/* Soon, as work costs here; `costs` is what it is shown as. */
static void assert_refused_soon(const char *pattern, size_t count, int costs, const char *says)
{
	struct subscription *s = NULL;
	struct err err = {""};
	int64_t began;
	enum status status;

	clock_work_costs(costs);
	began = clock_thread_us();
	status = subscribe_many(pattern, count, &s, &err);
	assert_true((clock_thread_us() - began) * costs < SOON_US);
	clock_work_costs(LITTLE);
	assert_int_equal(status, STATUS_INVALID);
	assert_null(s);
	if (!strstr(err.text, says))
		fail_msg("%s", err.text);
}

static void test_costly_together(void **state)
{
	char pattern[1000];

	(void)state;
	costly_pattern(pattern);
	assert_refused_soon(pattern, 8, 1, "took longer than the 5 ms allowed");
}

static void test_large_together(void **state)
{
	struct subscription *s = NULL;

	(void)state;
	assert_int_equal(subscribe_many("(?:ab){3262}", 2, &s, NULL), STATUS_OK);
	subscription_destroy(s);
	assert_refused_soon("(?:ab){3262}", 3, LITTLE, "take 98289 bytes once their repeats are written out, at most 65536 are allowed");
	assert_refused_soon("(?:ab){3262}", MANY, LITTLE, "at most 65536");
}

static void test_long_together(void **state)
{
	struct subscription *s = NULL;
	struct err err = {""};
	char word[91];
	struct span types[MANY];

	(void)state;
	memset(word, 'w', 90);
	word[90] = 0;
	assert_int_equal(subscribe_many(word, 91, &s, &err), STATUS_OK);
	subscription_destroy(s);
	s = NULL;
	assert_int_equal(subscribe_many(word, 92, &s, &err), STATUS_TOO_MANY);
	assert_string_equal(err.text, "the 92 topic patterns have 8280 bytes together, at most 8192 are allowed");
	for (size_t i = 0; i < MANY; i++)
		types[i] = span_of(word);
	assert_int_equal(subscription_create(NULL, 0, types, MANY, MANY, 1000, &s, &err), STATUS_TOO_MANY);
	assert_string_equal(err.text, "the 100 types have 9000 bytes together, at most 8192 are allowed");
	/* More where more patterns are allowed, and one that is as long as it may be always fits. */
	assert_int_equal(subscription_create(NULL, 0, types, MANY, 2 * MANY, 1000, &s, &err), STATUS_OK);
	subscription_destroy(s);
	assert_int_equal(subscription_create(NULL, 0, types, MANY, MANY, 9000, &s, &err), STATUS_OK);
	subscription_destroy(s);
}

/* A consumer's, which were good enough when it was registered: nothing that comes later may lose it its events. */
static void test_accepted_once(void **state)
{
	struct subscription *s = NULL;
	char pattern[1000];
	struct span topics[20];

	(void)state;
	costly_pattern(pattern);
	for (size_t i = 0; i < COUNT(topics); i++)
		topics[i] = span_of(pattern);
	assert_int_equal(subscription_create(topics, COUNT(topics), NULL, 0, SIZE_MAX, SIZE_MAX, &s, NULL), STATUS_OK);
	subscription_destroy(s);
}

/* A hundred that are plain are far from the bounds. */
static void test_many_that_are_plain(void **state)
{
	static const char *const plain[] = {"public.customer_invoices$", "(?:orders|customers|invoices)_archive$", "\\w+\\.orders.*",
		".*_invoices_.*", "[a-z]+_[0-9]{4}_[0-9]{2}$"};

	(void)state;
	clock_work_costs(PLAIN_COSTS);
	for (size_t i = 0; i < COUNT(plain); i++) {
		struct subscription *s = NULL;
		struct err err = {""};

		if (subscribe_many(plain[i], MANY, &s, &err) != STATUS_OK)
			fail_msg("%s", err.text);
		subscription_destroy(s);
	}
	clock_work_costs(LITTLE);
}

/* Cheap on the made-up topics and dear on a long one, which a client may have sent itself. */
static void test_a_long_topic(void **state)
{
	struct subscription *s = NULL;
	char *topic = malloc(100000);
	int64_t began;

	(void)state;
	memset(topic, 'a', 100000);
	assert_int_equal(subscribe_many("(?:(?>[\\p{Lu}\\p{Greek}\\p{Ll}]+)b|(?>[\\p{Lu}\\p{Ll}]+)c|a)*!", 10, &s, NULL), STATUS_OK);
	clock_work_costs(1);
	began = clock_thread_us();
	assert_false(subscription_wants(s, (struct span){topic, 100000}, span_of("x")));
	assert_true(clock_thread_us() - began < SOON_US);
	clock_work_costs(LITTLE);
	subscription_destroy(s);
	/* Its beginning is looked at, and where that ends is not the topic's end. */
	assert_int_equal(subscribe("a+", NULL, 40, &s, NULL), STATUS_OK);
	assert_true(subscription_wants(s, (struct span){topic, 100000}, span_of("x")));
	subscription_destroy(s);
	assert_int_equal(subscribe("a+$", NULL, 40, &s, NULL), STATUS_OK);
	assert_false(subscription_wants(s, (struct span){topic, 100000}, span_of("x")));
	subscription_destroy(s);
	free(topic);
}

/* For whom it is not known yet: nothing is compiled, also not what could not be. */
static void test_a_draft(void **state)
{
	struct span bad[] = {SPAN("(")}, good[] = {SPAN("orders$")};
	struct subscription *s = NULL;
	struct err err = {""};

	(void)state;
	assert_int_equal(subscription_draft(bad, 1, NULL, 0, 4, 40, &s, &err), STATUS_OK);
	assert_int_equal(subscription_compile(s, &err), STATUS_INVALID);
	assert_non_null(strstr(err.text, "is not valid at character 2"));
	subscription_destroy(s);
	assert_int_equal(subscription_draft(good, 1, good, 1, 4, 4, &s, &err), STATUS_INVALID);
	assert_int_equal(subscription_draft(good, 1, NULL, 0, 4, 40, &s, &err), STATUS_OK);
	assert_int_equal(subscription_compile(s, &err), STATUS_OK);
	assert_int_equal(subscription_compile(s, &err), STATUS_OK);
	assert_true(subscription_wants(s, span_of("orders"), span_of("x")));
	assert_false(subscription_wants(s, span_of("order"), span_of("x")));
	subscription_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matching),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_half_built),
		cmocka_unit_test(test_catastrophe),
		cmocka_unit_test(test_memo),
		cmocka_unit_test(test_costly_together),
		cmocka_unit_test(test_large_together),
		cmocka_unit_test(test_long_together),
		cmocka_unit_test(test_accepted_once),
		cmocka_unit_test(test_many_that_are_plain),
		cmocka_unit_test(test_a_long_topic),
		cmocka_unit_test(test_a_draft),
	};

	clock_work_costs(LITTLE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
