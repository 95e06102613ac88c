/* The environment: fields NAME=value. NAME@FILE=value puts the value into a file and its path into NAME_FILE. What is taken holds
 * together; what is refused is told in one line, without control characters and without a secret. */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "app/config.h"

#define FIELDS_MAX 16

struct input {
	char *environment[FIELDS_MAX + 1];
	char *secrets[FIELDS_MAX]; /* long enough to be known again */
	int files[FIELDS_MAX];
	size_t count, secret_count, file_count;
};

static char *path_of_file(struct input *input, const char *name, const char *value)
{
	int fd = memfd_create("value", MFD_CLOEXEC);
	size_t len = strlen(value), room = strlen(name) + 64;
	char *variable = malloc(room);

	MUST(fd >= 0 && write(fd, value, len) == (ssize_t)len);
	input->files[input->file_count++] = fd;
	snprintf(variable, room, "%s_FILE=/proc/self/fd/%d", name, fd);
	return variable;
}

static void note_secret(struct input *input, const char *name, const char *value)
{
	const struct setting *setting = config_setting(name);

	if (setting && setting->flags & SETTING_SECRET && strlen(value) >= 12)
		input->secrets[input->secret_count++] = strdup(value);
}

static bool is_secret(const char *entry)
{
	char name[64];
	const struct setting *setting;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(entry, "="), entry);
	setting = config_setting(name);
	return setting && setting->flags & SETTING_SECRET;
}

/* A path of anybody's would be read where it leads. */
static bool names_a_file(const char *name)
{
	size_t len = strlen(name);

	return len > 5 && strcmp(name + len - 5, "_FILE") == 0;
}

static void add(struct input *input, struct span field)
{
	char *text = fuzz_text(field), *equals = strchr(text, '='), *file = strstr(text, "@FILE=");

	if (file && file + 5 == equals) {
		*file = 0;
		note_secret(input, text, equals + 1);
		input->environment[input->count++] = path_of_file(input, text, equals + 1);
		free(text);
		return;
	}
	if (equals) {
		*equals = 0;
		note_secret(input, text, equals + 1);
		if (names_a_file(text))
			equals[1] = 0;
		*equals = '=';
	}
	input->environment[input->count++] = text;
}

/* One that also stands in a value that may be shown proves nothing. */
static bool stands_elsewhere(const struct input *input, const char *secret)
{
	for (size_t i = 0; i < input->count; i++)
		if (!is_secret(input->environment[i]) && strstr(input->environment[i], secret))
			return true;
	return false;
}

static void check_line(const struct input *input, const char *line)
{
	for (const char *c = line; *c; c++)
		MUST((unsigned char)*c >= ' ' && *c != 127);
	for (size_t i = 0; i < input->secret_count; i++)
		MUST(!strstr(line, input->secrets[i]) || stands_elsewhere(input, input->secrets[i]));
}

static void check(const struct input *input)
{
	struct config config = {0};
	struct err err = {""};

	if (config_load(&config, (const char *const *)input->environment, &err) == STATUS_OK)
		MUST(config.source && config.origin_count > 0 && !*err.text);
	else
		MUST(*err.text);
	check_line(input, err.text);
	for (size_t i = 0; i < config.warning_count; i++)
		check_line(input, config.warnings[i]);
	config_finish(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span fields = {(const char *)bytes, size};
	struct input input = {.count = 0};

	while (fields.len && input.count < FIELDS_MAX)
		add(&input, fuzz_field(&fields));
	check(&input);
	for (size_t i = 0; i < input.count; i++)
		free(input.environment[i]);
	for (size_t i = 0; i < input.secret_count; i++)
		free(input.secrets[i]);
	for (size_t i = 0; i < input.file_count; i++)
		close(input.files[i]);
	return 0;
}
