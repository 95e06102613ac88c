/* Formats a line into one buffer and writes it at once, so that lines of several threads never mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

static enum log_level threshold = LOG_INFO;
static int as_json;
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

static void write_out(const char *line, size_t len)
{
	while (len) {
		ssize_t n = write(STDERR_FILENO, line, len);

		if (n <= 0)
			return; /* nowhere left to say so */
		line += n;
		len -= (size_t)n;
	}
}

void log_line(enum log_level level, const char *domain, const char *format, ...)
{
	char message[2048], when[32];
	AUTO_BUF struct buf line = buf_init(16384);
	va_list args;

	if (!log_enabled(level))
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	stamp(when);
	if (as_json) {
		buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"domain\":\"%s\",\"message\":", when, level_names[level],
			domain);
		buf_json_string(&line, span_of(message));
		buf_text(&line, "}\n");
	} else {
		for (char *c = message; *c; c++)
			if ((unsigned char)*c < 0x20 || *c == 0x7f)
				*c = *c == '\t' ? ' ' : '?';
		buf_printf(&line, "%s %-5s %s: %s\n", when, level_names[level], domain, message);
	}
	write_out(line.bytes, line.len);
}
