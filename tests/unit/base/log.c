/* Prevents: a line of the log that is two, or moves a terminal's cursor, because of what a client, a row or a server's message
 * held; and one in which words run together, or a ? stands for a mere space: libpq's messages have tabs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* What a line says behind its time. */
static void expect(int json, const char *message, const char *shown)
{
	FILE *file = tmpfile();
	int before = dup(STDERR_FILENO);
	char line[512];

	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	log_init(LOG_INFO, json);
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

static void control_characters(void **state)
{
	(void)state;
	expect(0, "plain", " warn  test: plain");
	expect(0, "refused \tIs the server", " warn  test: refused  Is the server");
	expect(0, "a\nb\rc\x1b[2Jd\x7f", " warn  test: a?b?c?[2Jd?");
	expect(1, "a\tb\nc", "\"domain\":\"test\",\"message\":\"a\\tb\\nc\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(control_characters)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
