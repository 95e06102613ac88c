/* From the environment to struct config: defaults first, then every variable of the table or the file that its _FILE names,
 * then what one variable demands of another (config_check.c), then warnings about names that look like misspelt ones of ours.
 * The only place of the program that looks at the environment.
 */
#include "app/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"

#define MAX_SECRET_FILE 65536 /* a PEM key or a connection string is a few kB */

extern char **environ;

const char *const *config_environment(void)
{
	return (const char *const *)environ;
}

const struct setting *config_setting(const char *name)
{
	for (size_t i = 0; i < setting_count; i++)
		if (!strcmp(settings[i].name, name))
			return &settings[i];
	return NULL;
}

/* NULL: not there. The last one wins, as execve() lets names repeat. */
static const char *lookup(const char *const *environment, const char *name)
{
	size_t len = strlen(name);
	const char *value = NULL;

	for (size_t i = 0; environment[i]; i++)
		if (!strncmp(environment[i], name, len) && environment[i][len] == '=')
			value = environment[i] + len + 1;
	return value;
}

bool config_given(const char *const *environment, const char *name)
{
	const char *value = lookup(environment, name);

	return value && *value;
}

/* COLUMNS is also where shells keep the width of the terminal; a number is never table.column, so it is not meant for us. */
static bool is_terminal_width(const struct setting *setting, const char *value)
{
	return !strcmp(setting->name, "COLUMNS") && value[strspn(value, "0123456789")] == 0;
}

static bool is_text(const struct setting *setting)
{
	return setting->type <= SETTING_JSON || setting->type == SETTING_WORD;
}

/* The whole file less one trailing newline, into content. False: errno tells, 0 for what is not text or too long. */
static bool read_file(const char *path, struct buf *content)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[4096];
	ssize_t n;

	if (fd < 0)
		return false;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		bool fits = buf_bytes(content, chunk, (size_t)n);

		explicit_bzero(chunk, sizeof(chunk));
		if (!fits) {
			errno = 0;
			return false;
		}
	}
	if (n < 0)
		return false;
	if (content->len && content->bytes[content->len - 1] == '\n')
		content->bytes[--content->len] = 0;
	errno = 0;
	return !content->len || !memchr(content->bytes, 0, content->len);
}

/* NAME_FILE of a secret. */
static enum status set_from_file(
	struct config *config, const struct setting *setting, const char *path, struct err *err)
{
	struct setting file = *setting; /* the path is no secret: it may be shown */
	AUTO_FREE char *name = mem_format("%s_FILE", setting->name);
	struct buf content = buf_init(MAX_SECRET_FILE);
	char complaint[128];
	enum status status;

	file.name = name;
	file.flags = 0;
	if (read_file(path, &content)) {
		status = content.len ? config_set(config, setting, content.bytes, err) :
				       config_complain(&file, path, "a file with a value in it: it is empty", err);
	} else {
		snprintf(complaint, sizeof(complaint), "a readable text file of at most 64 kB%s%s", errno ? ": " : "",
			errno ? strerror(errno) : "");
		status = config_complain(&file, path, complaint, err);
	}
	if (content.bytes)
		explicit_bzero(content.bytes, content.len);
	buf_finish(&content);
	return status;
}

static enum status load_one(struct config *config, const struct setting *setting, const char *const *environment,
	struct err *err)
{
	const char *value = lookup(environment, setting->name), *path = NULL;
	bool given = value && (*value || setting->type == SETTING_BOOL || (setting->flags & SETTING_EMPTY)) &&
		!is_terminal_width(setting, value);

	if (setting->flags & SETTING_SECRET) {
		AUTO_FREE char *name = mem_format("%s_FILE", setting->name);

		path = lookup(environment, name);
	}
	if (path && *path && given)
		return err_set(err, STATUS_INVALID, "%s_FILE: \"%.80s\" is not usable while %s is set too: keep one of them",
			setting->name, path, setting->name);
	if (path && *path)
		return set_from_file(config, setting, path, err);
	if (given)
		return config_set(config, setting, value, err);
	return setting->fallback ? config_set(config, setting, setting->fallback, err) : STATUS_OK;
}

/* At most one letter too many, too few or different, or two neighbours swapped. */
static bool one_slip(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), head = 0, tail = 0;

	while (head < la && head < lb && a[head] == b[head])
		head++;
	while (tail < la - head && tail < lb - head && a[la - 1 - tail] == b[lb - 1 - tail])
		tail++;
	la -= head + tail;
	lb -= head + tail;
	if (la == 2 && lb == 2)
		return a[head] == b[head + 1] && a[head + 1] == b[head];
	return la <= 1 && lb <= 1;
}

/* One letter twice, or two neighbours swapped: PORTT, HSOT. Of short names that alone is no word of anybody else's. */
static bool one_stumble(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), head = 0;

	while (a[head] && a[head] == b[head])
		head++;
	return one_slip(a, b) && (la == lb + 1 ? head && a[head] == a[head - 1] : la == lb && a[head] && a[head] == b[head + 1]);
}

/* Ours less one of its words, with three left: TABLE_AUTH_ROUTING. Fewer may be anybody's: SSL_CERT, MYSQL_TABLE. */
static bool lacks_word(const char *name, const char *ours)
{
	const char *at = ours;
	size_t words = 1;

	for (const char *c = name; *c; c++)
		words += *c == '_';
	for (; words >= 3 && at; at = strchr(at, '_') ? strchr(at, '_') + 1 : NULL) {
		size_t head = (size_t)(at - ours), word = strcspn(at, "_");
		const char *rest = at[word] ? at + word + 1 : at + word;

		if (*rest ? !strncmp(name, ours, head) && !strcmp(name + head, rest) :
			    strlen(name) == head - 1 && !strncmp(name, ours, head - 1))
			return true;
	}
	return false;
}

/* Short names are one slip away from too much that is not ours. */
static const char *misspelt(const char *name)
{
	size_t len = strlen(name);
	bool is_short = len < 6;

	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *setting = &settings[i];
		AUTO_FREE char *file = mem_format("%s_FILE", setting->name);

		if (is_short ? one_stumble(name, setting->name) :
			       one_slip(name, setting->name) || lacks_word(name, setting->name) ||
				(setting->flags & SETTING_SECRET && one_slip(name, file)))
			return setting->name;
	}
	return NULL;
}

static bool is_ours(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < setting_count; i++) {
		size_t own = strlen(settings[i].name);

		if (!strcmp(name, settings[i].name))
			return true;
		if (settings[i].flags & SETTING_SECRET && len == own + 5 && !strncmp(name, settings[i].name, own) &&
			!strcmp(name + own, "_FILE"))
			return true;
	}
	return false;
}

void config_warn(struct config *config, char *sentence)
{
	mem_grow(&config->warnings, &config->warning_room, config->warning_count, sizeof(*config->warnings));
	config->warnings[config->warning_count++] = sentence;
}

/* NAME_FILE of what is no secret: it would be ignored, and whoever wrote it would not know why. */
static bool warn_of_file(struct config *config, const char *name)
{
	size_t len = strlen(name);
	AUTO_FREE char *base = NULL;

	if (len <= 5 || strcmp(name + len - 5, "_FILE") != 0)
		return false;
	base = mem_text_n(name, len - 5);
	if (!config_setting(base) || !strchr(base, '_')) /* HOST_FILE, PORT_FILE: anybody's */
		return false;
	config_warn(config, mem_format("%s is ignored: only secrets can be read from a file; set %s", name, base));
	return true;
}

/* A text may have quotes, so it is taken: but a token that nobody knows with its quotes refuses everybody. */
static void warn_of_quotes(struct config *config)
{
	for (size_t i = 0; i < setting_count; i++) {
		const char *const *text = (const char *const *)((const char *)config + settings[i].field);

		if (settings[i].type < SETTING_JSON && *text && config_quoted(*text))
			config_warn(config, mem_format("%s begins and ends with quotes: they are part of the value", settings[i].name));
	}
}

static void warn_of_names(struct config *config, const char *const *environment)
{
	for (size_t i = 0; environment[i]; i++) {
		const char *end = strchr(environment[i], '=');
		AUTO_FREE char *name = NULL;
		const char *ours;
		size_t len = end ? (size_t)(end - environment[i]) : 0;

		if (!len || strspn(environment[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != len)
			continue;
		name = mem_text_n(environment[i], len);
		if (is_ours(name) || warn_of_file(config, name))
			continue;
		ours = misspelt(name);
		if (ours)
			config_warn(config, mem_format("%s is not a variable of esink: did you mean %s?", name, ours));
	}
}

enum status config_load(struct config *config, const char *const *environment, struct err *err)
{
	const char *node_env = lookup(environment, "NODE_ENV");
	enum status status;

	config->production = node_env && !strcasecmp(node_env, "production");
	config->allow_test_token = !config->production; /* the default of its line */
	for (size_t i = 0; i < setting_count; i++) {
		status = load_one(config, &settings[i], environment, err);
		if (status != STATUS_OK)
			return status;
	}
	warn_of_names(config, environment);
	warn_of_quotes(config);
	return config_check(config, environment, err);
}

void config_finish(struct config *config)
{
	for (size_t i = 0; i < setting_count; i++) {
		char **field = (char **)((char *)config + settings[i].field);

		if (!is_text(&settings[i]))
			continue;
		mem_wipe_free(*field);
		*field = NULL;
	}
	for (size_t i = 0; i < config->warning_count; i++)
		free(config->warnings[i]);
	for (size_t i = 0; i < config->origin_count; i++)
		free(config->origins[i]);
	free(config->warnings);
	free(config->origins);
	*config = (struct config){0};
}
