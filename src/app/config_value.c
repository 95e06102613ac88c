/* One value of one type: from the text that a user wrote to the field, and back to text for the help. Nothing here knows
 * where the text came from.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/config.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

struct unit {
	const char *name;
	int64_t factor;
};

/* Smallest first; the first of a factor is how it is shown. */
static const struct unit durations[] = {
	{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit sizes[] = {{"", 1}, {"B", 1}, {"kB", 1000}, {"KiB", 1024}, {"MB", 1000000}, {"MiB", 1 << 20},
	{"GB", 1000000000}, {"GiB", 1 << 30}, {NULL, 0}};

/* What --env-file of Docker makes of what a shell would take quotes off. */
bool config_quoted(const char *value)
{
	size_t len = strlen(value);

	return len > 1 && (*value == '"' || *value == '\'') && value[len - 1] == *value;
}

enum status config_complain(const struct setting *setting, const char *value, const char *complaint, struct err *err)
{
	AUTO_BUF struct buf shown = buf_init(128);
	const char *hint = config_quoted(value) ? ". The quotes are part of the value: take them away" : "";

	if (setting->flags & SETTING_SECRET)
		return err_set(err, STATUS_INVALID, "%s: the value (not shown, it is a secret) is not %s%s", setting->name,
			complaint, hint);
	for (size_t i = 0, n; value[i]; i += n ? n : 1) {
		n = utf8_sequence(value + i, strlen(value + i));
		if (shown.len > 80) {
			buf_text(&shown, "...");
			break;
		}
		if (!n || iscntrl((unsigned char)value[i]))
			buf_text(&shown, "?");
		else
			buf_bytes(&shown, value + i, n);
	}
	return err_set(err, STATUS_INVALID, "%s: \"%s\" is not %s%s", setting->name, shown.len ? shown.bytes : "", complaint, hint);
}

void config_show_number(const struct setting *setting, int64_t number, char text[32])
{
	const struct unit *best = NULL;
	const struct unit *units = setting->type == SETTING_DURATION ? durations :
		setting->type == SETTING_BYTES                       ? sizes :
								       NULL;

	for (const struct unit *unit = units; unit && unit->name; unit++)
		if (number % unit->factor == 0 && number >= unit->factor && !strstr(unit->name, "iB"))
			if (!best || unit->factor > best->factor)
				best = unit;
	if (best && !strcmp(best->name, "d") && number < 2 * best->factor)
		best--; /* 24h, as people say it */
	snprintf(text, 32, "%lld%s", (long long)(best ? number / best->factor : number), best ? best->name : "");
}

static bool in_range(const struct setting *setting, int64_t number)
{
	if (number == 0 && (setting->flags & SETTING_ZERO_IS_OFF))
		return true;
	return number >= setting->min && number <= setting->max;
}

/* Digits, then one of units (NULL: none), case-insensitively; without a unit the number counts in `bare`. */
static bool parse_number(const char *value, const struct unit *units, int64_t bare, int64_t *ret)
{
	int64_t number = 0, factor = bare;
	const char *c = value;

	if (!isdigit((unsigned char)*c))
		return false;
	for (; isdigit((unsigned char)*c); c++)
		if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *c - '0', &number))
			return false;
	if (*c) {
		while (units && units->name && strcasecmp(units->name, c) != 0)
			units++;
		if (!units || !units->name)
			return false;
		factor = units->factor;
	}
	return !__builtin_mul_overflow(number, factor, ret);
}

static enum status set_number(
	int64_t *field, const struct setting *setting, const char *value, struct err *err)
{
	static const char *const what[] = {
		[SETTING_INT] = "a whole number", [SETTING_DURATION] = "a duration", [SETTING_BYTES] = "a size"};
	static const char *const hint[] = {[SETTING_INT] = "",
		[SETTING_DURATION] = ", such as 250ms, 90s, 15m, 24h or 7d",
		[SETTING_BYTES] = ", such as 65536, 100kB, 64MB or 2MiB"};
	const struct unit *units = setting->type == SETTING_DURATION ? durations :
		setting->type == SETTING_BYTES                       ? sizes :
								       NULL;
	char min[32], max[32], complaint[160];
	int64_t number;

	if (parse_number(value, units, setting->type == SETTING_DURATION ? 1000 : 1, &number) &&
		in_range(setting, number)) {
		*field = number;
		return STATUS_OK;
	}
	config_show_number(setting, setting->min, min);
	config_show_number(setting, setting->max, max);
	snprintf(complaint, sizeof(complaint), "%s from %s to %s%s%s", what[setting->type], min, max,
		setting->flags & SETTING_ZERO_IS_OFF ? " (or 0: no limit)" : "", hint[setting->type]);
	return config_complain(setting, value, complaint, err);
}

static enum status set_bool(bool *field, const struct setting *setting, const char *value, struct err *err)
{
	static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0", "no", "off", ""};

	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
		if (!strcasecmp(value, yes[i])) {
			*field = true;
			return STATUS_OK;
		}
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
		if (!strcasecmp(value, no[i])) {
			*field = false;
			return STATUS_OK;
		}
	return config_complain(setting, value, "a boolean: true, 1, yes or on; false, 0, no or off", err);
}

/* ret: the index of the word. Case does not matter. */
static enum status find_word(const struct setting *setting, const char *value, size_t *ret, struct err *err)
{
	AUTO_BUF struct buf complaint = buf_init(400);

	buf_text(&complaint, "one of");
	for (size_t i = 0; setting->words[i]; i++) {
		if (!strcasecmp(setting->words[i], value)) {
			*ret = i;
			return STATUS_OK;
		}
		buf_printf(&complaint, "%s %s", i ? "," : "", setting->words[i]);
	}
	return config_complain(setting, value, complaint.bytes, err);
}

static void replace(char **field, const char *value)
{
	mem_wipe_free(*field);
	*field = mem_text(value);
}

static enum status set_text(char **field, const struct setting *setting, const char *value, struct err *err)
{
	char complaint[64];

	if (setting->max && strlen(value) > (size_t)setting->max) {
		snprintf(complaint, sizeof(complaint), "at most %d bytes long", (int)setting->max);
		return config_complain(setting, value, complaint, err);
	}
	if (!utf8_valid(value, strlen(value)))
		return config_complain(setting, value, "UTF-8 text", err);
	for (const char *c = value; *c && !(setting->flags & SETTING_SECRET) && setting->type != SETTING_JSON; c++)
		if (iscntrl((unsigned char)*c) && *c != '\n' && *c != '\t')
			return config_complain(setting, value, "free of control characters", err);
	replace(field, value);
	return STATUS_OK;
}

enum status config_set(struct config *config, const struct setting *setting, const char *value, struct err *err)
{
	void *field = (char *)config + setting->field;
	enum status status;
	size_t word;

	switch (setting->type) {
	case SETTING_BOOL:
		return set_bool(field, setting, value, err);
	case SETTING_INT:
	case SETTING_DURATION:
	case SETTING_BYTES:
		return set_number(field, setting, value, err);
	case SETTING_WORD:
		status = find_word(setting, value, &word, err);
		if (status == STATUS_OK)
			replace(field, setting->words[word]);
		return status;
	case SETTING_INDEX:
		status = find_word(setting, value, &word, err);
		if (status == STATUS_OK)
			*(int64_t *)field = (int64_t)word;
		return status;
	default:
		return set_text(field, setting, value, err);
	}
}
