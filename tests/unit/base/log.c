/* Prevents: a line of the log that is two, or moves a terminal's cursor, because of what a client, a row or a server's message
 * held; and one in which words run together, or a ? stands for a mere space: libpq's messages have tabs. A relay that stands still
 * because nobody reads its log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* What a line says behind its time. */
static void expect_fields(int json, const struct log_field *fields, const char *message, const char *shown)
{
	FILE *file = tmpfile();
	int before = dup(STDERR_FILENO);
	char line[512];

	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	log_init(LOG_INFO, json);
	if (fields)
		log_fields(LOG_WARN, "test", fields, "%s", message);
	else
		log_line(LOG_WARN, "test", "%s", message);
	dup2(before, STDERR_FILENO);
	close(before);
	rewind(file);
	assert_non_null(fgets(line, sizeof(line), file));
	assert_non_null(strchr(line, '\n'));
	*strchr(line, '\n') = 0;
	assert_true(strlen(line) > strlen(shown));
	assert_string_equal(line + strlen(line) - strlen(shown), shown);
	assert_null(fgets(line, sizeof(line), file));
	fclose(file);
}

static void expect(int json, const char *message, const char *shown)
{
	expect_fields(json, NULL, message, shown);
}

static void fields_of_json(void **state)
{
	static const struct log_field fields[] = {{"session", "a\"b"}, {"reason", "slow"}, {NULL, NULL}};

	(void)state;
	expect_fields(0, fields, "session ended", " warn  test: session ended");
	expect_fields(1, fields, "session ended", "\"message\":\"session ended\",\"session\":\"a\\\"b\",\"reason\":\"slow\"}");
}

static void control_characters(void **state)
{
	(void)state;
	expect(0, "plain", " warn  test: plain");
	expect(0, "refused \tIs the server", " warn  test: refused  Is the server");
	expect(0, "a\nb\rc\x1b[2Jd\x7f", " warn  test: a?b?c?[2Jd?");
	expect(1, "a\tb\nc", "\"domain\":\"test\",\"message\":\"a\\tb\\nc\"}");
}

static void nobody_reads(void **state)
{
	enum { LINES = 5000 };
	int ends[2], before = dup(STDERR_FILENO), seen = 0;
	unsigned long lost = 0;
	int64_t begun;
	char line[4096];
	FILE *file;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	log_init(LOG_INFO, 0);
	begun = clock_ms();
	for (int i = 0; i < LINES; i++)
		log_info("test", "line %d, which is long enough to fill a pipe of the usual size some time before the last one", i);
	assert_true(clock_ms() - begun < 10000);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	file = fdopen(ends[0], "r");
	while (fgets(line, sizeof(line), file) && strstr(line, "test: line "))
		seen++;
	assert_true(seen > 100 && seen < LINES);
	log_info("test", "the last one");
	dup2(before, STDERR_FILENO);
	close(before);
	clearerr(file);
	while (fgets(line, sizeof(line), file) && !strstr(line, "the last one"))
		if (strstr(line, " warn  log: "))
			lost = strtoul(strstr(line, "log: ") + 5, NULL, 10);
	assert_non_null(strstr(line, "the last one"));
	assert_int_equal(lost + (unsigned long)seen, LINES);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_characters), cmocka_unit_test(fields_of_json), cmocka_unit_test(nobody_reads)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
