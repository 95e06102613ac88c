/* Prevents: a time that is read as another one, a day too early or an hour too late; a question about the past with a part that
 * is passed over, so that more is told than was asked for; a number that wraps round; a refusal that repeats what was sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/wire.h"

static const struct {
	const char *text;
	int64_t ms;
} times[] = {
	{"0", 0},
	{"1700000000000", 1700000000000},
	{"0000000000000001", -1},
	{"253402300799999", 253402300799999},
	{"253402300800000", -1},
	{"999999999999999", -1},
	{"1970-01-01", 0},
	{"1970-01-01T00:00:00.001Z", 1},
	{"2000-02-29", 951782400000},
	{"2023-11-14T22:13:20Z", 1700000000000},
	{"2023-11-14T22:13:20", 1700000000000},
	{"2023-11-14 22:13:20", 1700000000000},
	{"2023-11-14t22:13:20z", 1700000000000},
	{"2023-11-14T22:13", 1699999980000},
	{"2023-11-14T22:13Z", 1699999980000},
	{"2023-11-14T22:13:20.5Z", 1700000000500},
	{"2023-11-14T22:13:20,250Z", 1700000000250},
	{"2023-11-14T22:13:20.123456789Z", 1700000000123},
	{"2023-11-15T00:13:20+02:00", 1700000000000},
	{"2023-11-15T00:13:20 02:00", 1700000000000}, /* a plus in a query is a space */
	{"2023-11-15T00:13:20+0200", 1700000000000},
	{"2023-11-15T00:13:20+02", 1700000000000},
	{"2023-11-14T16:43:20-05:30", 1700000000000},
	{"9999-12-31T23:59:59.999Z", 253402300799999},
	{"9999-12-31T23:59:59.999-01:00", -1},
	{"2100-03-01", 4107542400000},
	{"2100-02-29", -1},
	{"2023-02-29", -1},
	{"2023-04-31", -1},
	{"2023-08-31", 1693440000000},
	{"2023-00-01", -1},
	{"2023-13-01", -1},
	{"2023-01-00", -1},
	{"2023-1-1", -1},
	{"20230101", 20230101},
	{"2023-01-01T", -1},
	{"2023-01-01T24:00", -1},
	{"2023-01-01T00:60", -1},
	{"2023-01-01T00:00:60", -1},
	{"2023-01-01T00:00:00.", -1},
	{"2023-01-01T00:00:00.Z", -1},
	{"2023-01-01T00:00:00Zx", -1},
	{"2023-01-01T00:00:00+24:00", -1},
	{"2023-01-01T00:00:00+", -1},
	{"2023-01-01T00:00:00+01:", -1},
	{"2023-01-01T00:00:00+01:6", -1},
	{"2023-01-01x", -1},
	{"2023-01-01Z", -1},
	{"-1", -1},
	{"+1", -1},
	{" 1", -1},
	{"1e3", -1},
	{"", -1},
	{"now", -1},
};

static void test_times(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		int64_t ms = -1;
		bool read = wire_parse_time(span_of(times[i].text), &ms);

		print_message("%s\n", times[i].text);
		assert_int_equal(ms, times[i].ms);
		assert_int_equal(read, times[i].ms != -1);
	}
}

/* Every day of four centuries follows the one before. */
static void test_days(void **state)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t expected = -11676096000000, ms; /* 1600-01-01 */
	char text[48];

	(void)state;
	for (int year = 1600; year < 2000; year++) {
		bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

		for (int month = 1; month <= 12; month++) {
			for (int day = 1; day <= lengths[month - 1] + (month == 2 && leap); day++, expected += 86400000) {
				snprintf(text, sizeof(text), "%04d-%02d-%02d", year, month, day);
				assert_true(wire_parse_time(span_of(text), &ms));
				assert_int_equal(ms, expected);
			}
		}
	}
}

static void finish(struct history_job *job)
{
	free(job->table);
	free(job->type);
	free(job->transaction_id);
}

/* Parts between &, as a query has them. The key that is wrong, or NULL. */
static const char *read(struct wire_history *asked, const char *query)
{
	static struct err err;
	const char *key = NULL;

	*asked->job = (struct history_job){0};
	wire_history_begin(asked);
	for (const char *at = query; *at; at += strspn(at, "&")) {
		size_t len = strcspn(at, "&"), name = strcspn(at, "=&");
		struct span value = {at + name + (name < len), len - name - (name < len)};

		err.text[0] = 0;
		if (wire_history_part(asked, (struct span){at, name}, value, &key, &err) != STATUS_OK) {
			assert_true(strlen(err.text) > 10);
			return key;
		}
		at += len;
	}
	return NULL;
}

static void test_what_is_asked(void **state)
{
	struct history_job job;
	struct wire_history asked = {.job = &job, .limit_max = 1000};

	(void)state;
	assert_null(read(&asked, ""));
	assert_true(!job.has_after && !job.before && job.since == INT64_MIN && job.until == INT64_MAX && job.limit == 100 && !job.table);
	assert_null(read(&asked, "after=7&before=12&since=5&until=2023-11-14T22:13:20Z&table=shop.notes&type=update&transaction_id=77&limit=1000&token=x"));
	assert_true(job.has_after && job.after == 7 && job.before == 12 && job.since == 5 && job.until == 1700000000000 && job.limit == 1000);
	assert_string_equal(job.table, "shop.notes");
	assert_string_equal(job.type, "update");
	assert_string_equal(job.transaction_id, "77");
	finish(&job);
	assert_null(read(&asked, "after=0&before=0"));
	assert_true(job.has_after && job.after == 0 && job.before == 1); /* before none is before the first */
	assert_null(read(&asked, "after=0123456789abcdef:18446744073709551615&before=3"));
	assert_true(job.after == UINT64_MAX);
	assert_string_equal(job.journal, "0123456789abcdef");
	asked.limit_max = 10;
	assert_null(read(&asked, ""));
	assert_int_equal(job.limit, 10);
}

static void test_what_is_no_question(void **state)
{
	static const struct {
		const char *query, *key;
	} cases[] = {
		{"limit=0", "limit"},
		{"limit=1001", "limit"},
		{"limit=99999999999999999999999", "limit"},
		{"limit=10x", "limit"},
		{"limit=-1", "limit"},
		{"limit=", "limit"},
		{"limit", "limit"},
		{"after=-1", "after"},
		{"after=18446744073709551616", "after"},
		{"after=", "after"},
		{"after=0123456789abcdeF:1", "after"},
		{"before=x", "before"},
		{"after=0123456789abcdef:1&before=fedcba9876543210:2", "before"},
		{"since=x", "since"},
		{"until=1.5", "until"},
		{"table=", "table"},
		{"type=a\xff", "type"},
		{"transaction_id", "transaction_id"},
		{"table=a&table=a", "table"},
		{"since=1&since=1", "since"},
		{"Table=a", "query"},
		{"topics=a", "query"},
		{"=", "query"},
		{"limit=1&x=1", "query"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct history_job job;
		struct wire_history asked = {.job = &job, .limit_max = 1000};
		const char *key = read(&asked, cases[i].query);

		print_message("%s\n", cases[i].query);
		assert_non_null(key);
		assert_string_equal(key, cases[i].key);
		finish(&job);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_what_is_asked),
		cmocka_unit_test(test_what_is_no_question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
