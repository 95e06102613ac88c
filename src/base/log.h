/* Log lines: level, domain (`hub`, `postgres`, `http`), message. Written to stderr, line by line, from any thread. A reader
 * that has stopped holds us up for a second, and then costs lines, which are counted in the next one that is read. Nothing that
 * a client or a row said goes in unescaped: a tab is shown as a space, other control characters as ?. Never log a token, a payload or a value. */
#ifndef ESINK_LOG_H
#define ESINK_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_init(enum log_level level, int json); /* before the first thread */
int log_enabled(enum log_level level);
void log_line(enum log_level level, const char *domain, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, with what it is about also as fields of LOG_FORMAT=json, behind `message`, under names that it has not; the last one's
 * name is NULL. */
struct log_field {
	const char *name, *value;
};
void log_fields(enum log_level level, const char *domain, const struct log_field *fields, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#define log_error(domain, ...) log_line(LOG_ERROR, domain, __VA_ARGS__)
#define log_warn(domain, ...) log_line(LOG_WARN, domain, __VA_ARGS__)
#define log_info(domain, ...) log_line(LOG_INFO, domain, __VA_ARGS__)
#define log_debug(domain, ...)                                                                               \
	do {                                                                                                 \
		if (log_enabled(LOG_DEBUG))                                                                  \
			log_line(LOG_DEBUG, domain, __VA_ARGS__);                                            \
	} while (0)

#endif
