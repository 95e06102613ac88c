/* Formats a line into one buffer and writes it at once, so that lines of several threads never mix.
 *
 * Whoever reads the log may stop (a full disk behind a pipe, a terminal with Ctrl-S), and must not stop us: a line is written only
 * when it is taken. A reader that is merely slow is waited for, a second at once and a twentieth of the time in the long run. Then
 * lines are lost, and counted.
 */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define PATIENCE_US 1000000
#define PATIENCE_SHARE 20

static enum log_level threshold = LOG_INFO;
static int as_json;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long lost; /* lines, since the last that was written */
static bool torn;          /* the last one was not written to its end */
static int64_t patience = PATIENCE_US, looked; /* us that may be waited; when it was reckoned */
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(enum log_level level, int json)
{
	threshold = level;
	as_json = json;
}

int log_enabled(enum log_level level)
{
	return level >= threshold;
}

static void stamp(char text[32])
{
	int64_t now = clock_wall_ms();
	time_t seconds = (time_t)(now / 1000);
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, 32 - n, ".%03dZ", (int)(now % 1000));
}

static void write_json(struct buf *line, const char *when, enum log_level level, const char *domain, const char *message,
	const struct log_field *fields)
{
	buf_printf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"domain\":\"%s\",\"message\":", when, level_names[level], domain);
	buf_json_string(line, span_of(message));
	for (; fields && fields->name; fields++) {
		buf_printf(line, ",\"%s\":", fields->name);
		buf_json_string(line, span_of(fields->value));
	}
	buf_text(line, "}\n");
}

static void write_text(struct buf *line, const char *when, enum log_level level, const char *domain, char *message)
{
	for (char *c = message; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = *c == '\t' ? ' ' : '?';
	buf_printf(line, "%s %-5s %s: %s\n", when, level_names[level], domain, message);
}

static void format_line(struct buf *line, enum log_level level, const char *domain, const struct log_field *fields, char *message)
{
	char when[32];

	stamp(when);
	if (as_json)
		write_json(line, when, level, domain, message, fields);
	else
		write_text(line, when, level, domain, message);
}

/* -- writing ---------------------------------------------------------------------------------------------------------- */

/* A pipe that can be written to at all has room for PIPE_BUF bytes. */
static bool takes(void)
{
	int64_t begun = clock_us();
	struct pollfd fd = {STDERR_FILENO, POLLOUT, 0};
	int n;

	patience += (begun - looked) / PATIENCE_SHARE;
	if (patience > PATIENCE_US)
		patience = PATIENCE_US;
	do
		n = poll(&fd, 1, (int)(patience / 1000));
	while (n < 0 && errno == EINTR);
	looked = clock_us();
	patience = looked - begun < patience ? patience - (looked - begun) : 0;
	return n != 0;
}

/* False: nobody reads. */
static bool write_all(const char *bytes, size_t len)
{
	while (len) {
		ssize_t n;

		if (!takes())
			return false;
		n = write(STDERR_FILENO, bytes, len < PIPE_BUF ? len : PIPE_BUF);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false; /* it is not ours alone */
		if (n <= 0)
			return true; /* nowhere left to say so */
		bytes += n;
		len -= (size_t)n;
		torn = len;
	}
	return true;
}

static bool write_line(const char *line, size_t len)
{
	return (!torn || write_all("\n", 1)) && write_all(line, len);
}

/* What was lost, as soon as somebody reads again. */
static bool tell_lost(void)
{
	AUTO_BUF struct buf line = buf_init(1024);
	char message[128];

	snprintf(message, sizeof(message), "%lu lines of the log are lost: nobody read them", lost);
	format_line(&line, LOG_WARN, "log", NULL, message);
	if (!write_line(line.bytes, line.len))
		return false;
	lost = 0;
	return true;
}

static void put(const char *line, size_t len)
{
	pthread_mutex_lock(&lock);
	if ((lost && !tell_lost()) || !write_line(line, len))
		lost++;
	pthread_mutex_unlock(&lock);
}

__attribute__((format(printf, 4, 0))) static void say(
	enum log_level level, const char *domain, const struct log_field *fields, const char *format, va_list args)
{
	char message[2048];
	AUTO_BUF struct buf line = buf_init(16384);

	vsnprintf(message, sizeof(message), format, args);
	format_line(&line, level, domain, fields, message);
	put(line.bytes, line.len);
}

void log_line(enum log_level level, const char *domain, const char *format, ...)
{
	va_list args;

	if (!log_enabled(level))
		return;
	va_start(args, format);
	say(level, domain, NULL, format, args);
	va_end(args);
}

void log_fields(enum log_level level, const char *domain, const struct log_field *fields, const char *format, ...)
{
	va_list args;

	if (!log_enabled(level))
		return;
	va_start(args, format);
	say(level, domain, fields, format, args);
	va_end(args);
}
