/* What clients send, checked: messages, resume points, published events. Everything here meets
 * hostile bytes: no text of the client's gets into an error sentence unless it is a name that it
 * chose for a key, and never into a log.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "wire/wire.h"

#define NAME_CHARS_MAX 64
#define TIMESTAMP_MAX 253402300799999 /* the last millisecond of the year 9999 */

static void describe(const json_error_t *error, struct err *err)
{
	const char *what = "is not valid JSON";

	if (json_error_code(error) == json_error_duplicate_key)
		what = "has an object with the same key twice";
	else if (json_error_code(error) == json_error_numeric_overflow)
		what = "has a number that is too large";
	else if (json_error_code(error) == json_error_invalid_utf8)
		what = "is not valid UTF-8";
	else if (json_error_code(error) == json_error_null_character)
		what = "has a NUL character in a string";
	err_set(err, STATUS_INVALID, "The text %s, near line %d, column %d.", what, error->line,
		error->column);
}

json_t *wire_load(struct span text, struct err *err)
{
	json_error_t error;
	json_t *root;

	if (!text.len) {
		err_set(err, STATUS_INVALID, "There is no text: it must be JSON.");
		return NULL;
	}
	/* jansson reads over a NUL that follows a number. */
	if (memchr(text.p, 0, text.len)) {
		err_set(err, STATUS_INVALID, "The text holds a NUL byte, which JSON does not allow.");
		return NULL;
	}
	root = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, &error);

	/* A number(20) is a fair thing to publish, and it is passed on as text: only reading it
	 * here needs the real. */
	if (!root && json_error_code(&error) == json_error_numeric_overflow)
		root = json_loadb(
			text.p, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
	if (!root)
		describe(&error, err);
	return root;
}

static enum client_message_kind kind_of(const char *name)
{
	static const struct {
		const char *name;
		enum client_message_kind kind;
	} kinds[] = {
		{"auth", CLIENT_AUTH},
		{"subscribe", CLIENT_SUBSCRIBE},
		{"unsubscribe", CLIENT_UNSUBSCRIBE},
		{"event", CLIENT_EVENT},
		{"ready", CLIENT_READY},
		{"ack", CLIENT_ACK},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(name, kinds[i].name) == 0)
			return kinds[i].kind;
	return CLIENT_UNKNOWN;
}

enum status wire_parse(struct span text, struct client_message *message, struct err *err)
{
	json_t *root = wire_load(text, err), *data;
	const char *name;

	if (!root)
		return STATUS_INVALID;
	name = json_string_value(json_object_get(root, "event"));
	data = json_object_get(root, "data");
	if (json_is_null(data) || !data) {
		data = json_object();
		json_object_set_new(root, "data", data);
	}
	if (!name || !json_is_object(data)) {
		json_decref(root);
		return err_set(err, STATUS_INVALID,
			"A message must be {\"event\":NAME,\"data\":{...}}; %s.",
			name ? "\"data\" is not an object" : "\"event\" is not a string");
	}
	*message = (struct client_message){kind_of(name), root, data};
	return STATUS_OK;
}

void client_message_finish(struct client_message *message)
{
	json_decref(message->root);
	*message = (struct client_message){0};
}

static bool parse_id(struct span text, uint64_t *id)
{
	uint64_t value = 0;

	if (text.len == 0 || text.len > 20)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = (unsigned)(unsigned char)text.p[i] - '0';

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*id = value;
	return true;
}

bool wire_parse_position(struct span text, char journal[JOURNAL_LEN + 1], uint64_t *id)
{
	const char *colon = text.len ? memchr(text.p, ':', text.len) : NULL;
	size_t before = colon ? (size_t)(colon - text.p) : 0;

	if (!colon) {
		if (!parse_id(text, id))
			return false;
		journal[0] = 0;
		return true;
	}
	if (before != JOURNAL_LEN)
		return false;
	for (size_t i = 0; i < JOURNAL_LEN; i++)
		if (!strchr("0123456789abcdef", text.p[i]) || !text.p[i])
			return false;
	if (!parse_id((struct span){colon + 1, text.len - before - 1}, id))
		return false;
	memcpy(journal, text.p, JOURNAL_LEN);
	journal[JOURNAL_LEN] = 0;
	return true;
}

/* -- published events -- */

static size_t characters(const char *text, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; count++) {
		size_t n = utf8_sequence(text + i, len - i);

		i += n ? n : 1;
	}
	return count;
}

static enum status bad(const char **key, const char *name, struct err *err, const char *sentence)
{
	*key = name;
	return err_set(err, STATUS_INVALID, "%s", sentence);
}

/* user_id and userid for userId, but not userId itself. */
static bool nearly(const char *text, const char *name)
{
	if (!strcmp(text, name))
		return false;
	for (; *text; text++) {
		if (strchr("_- ", *text))
			continue;
		if (!*name || tolower((unsigned char)*text) != tolower((unsigned char)*name))
			return false;
		name++;
	}
	return !*name;
}

/* Which of `auth`'s members is meant by one that it does not have, and NULL for none. `type` may be anything: of a client, of a token. */
static const char *meant_by(const char *key, bool subscribes)
{
	static const struct {
		const char *name, *single;
		bool subscribes;
	} names[] = {{"after", "after", false}, {"topics", "topic", true}, {"types", NULL, true}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!strcmp(key, names[i].name))
			return names[i].subscribes && !subscribes ? names[i].name : NULL;
		if (nearly(key, names[i].name) || (names[i].single && (nearly(key, names[i].single) || !strcmp(key, names[i].single))))
			return names[i].name;
	}
	return NULL;
}

enum status wire_check_auth(const json_t *auth, bool subscribes, struct err *err)
{
	const char *key, *meant;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)auth, key, value)
	{
		meant = json_is_null(value) || (json_is_array(value) && !json_array_size(value)) ? NULL : meant_by(key, subscribes);
		if (meant && !subscribes && strcmp(meant, "after") != 0)
			return err_set(err, STATUS_INVALID, "auth takes token and after, and no %s: ask for what to receive in the address (?%s=), or "
				"with subscribe.", meant, meant);
		if (meant)
			return err_set(err, STATUS_INVALID, "%s must be written exactly so in auth: there is a member whose name is almost that.", meant);
	}
	return STATUS_OK;
}

/* Which member a publisher meant by one that is none, and NULL for none. Others pass, as ever: publishers send on whole events, whose
 * `id` and `source_type` say nothing here. But one that is meant and passed over makes another event of it, and nobody hears of it. */
static const char *misspelt(const json_t *body)
{
	static const char *const names[] = {"data", "type", "table", "userId", "securityToken", "timestamp", "source", "version"};
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)body, key, value)
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (nearly(key, names[i]))
				return names[i];
	return NULL;
}

static bool is_name(const json_t *value)
{
	size_t count;

	if (!json_is_string(value))
		return false;
	count = characters(json_string_value(value), json_string_length(value));
	return count >= 1 && count <= NAME_CHARS_MAX;
}

/* As the shortest text that reads back as the same double: 1.5, not 1.5000000000000000. */
static void real_text(double value, char *text, size_t room)
{
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, room, "%.*g", digits, value);
		if (strtod(text, NULL) >= value && strtod(text, NULL) <= value)
			return;
	}
}

static bool whole(const json_t *value, int64_t *number)
{
	double real;

	if (json_is_integer(value)) {
		*number = json_integer_value(value);
		return true;
	}
	real = json_real_value(value);
	if (!json_is_real(value) || floor(real) < real || fabs(real) > 9007199254740992.0)
		return false;
	*number = (int64_t)real;
	return true;
}

static bool parse_user(const json_t *value, struct published *out)
{
	int64_t number;

	if (json_is_string(value)) {
		size_t len = json_string_length(value);

		if (len == 0 || len >= sizeof(out->user))
			return false;
		out->broadcast = strcmp(json_string_value(value), "*") == 0;
		memcpy(out->user, out->broadcast ? "" : json_string_value(value),
			out->broadcast ? 1 : len + 1);
	} else if (whole(value, &number)) {
		snprintf(out->user, sizeof(out->user), "%lld", (long long)number);
	} else if (json_is_real(value)) {
		real_text(json_real_value(value), out->user, sizeof(out->user));
	} else {
		return false;
	}
	out->has_user = true;
	return true;
}

static bool given(const json_t *value)
{
	return value && !json_is_null(value);
}

static enum status parse_optional(
	const json_t *body, struct published *out, const char **key, struct err *err)
{
	const json_t *timestamp = json_object_get(body, "timestamp"),
		     *source = json_object_get(body, "source"),
		     *version = json_object_get(body, "version");
	int64_t number;

	if (given(timestamp)) {
		if (!whole(timestamp, &number) || number < 1 || number > TIMESTAMP_MAX)
			return bad(key, "timestamp", err,
				"timestamp must be milliseconds since 1970, a whole number above "
				"0.");
		out->timestamp = number;
	}
	if (given(source)) {
		if (!is_name(source))
			return bad(key, "source", err,
				"source must be a string of 1 to 64 characters.");
		out->source = json_string_value(source);
	}
	if (given(version)) {
		if (!whole(version, &number) || number < 0 || number > INT32_MAX)
			return bad(key, "version", err,
				"version must be a whole number from 0 to 2147483647.");
		out->version = (int32_t)number;
	}
	return STATUS_OK;
}

enum status wire_parse_published(const json_t *body, bool needs_user, struct published *published,
	const char **key, struct err *err)
{
	struct published out = {.version = 1};
	const json_t *user = json_object_get(body, "userId");
	const char *meant = needs_user ? misspelt(body) : NULL;
	enum status status;

	if (meant) {
		*key = meant;
		return err_set(err, STATUS_INVALID, "%s must be written exactly so: there is a member whose name differs from it only in "
			"case, underscores, hyphens or spaces.", meant);
	}
	out.data = json_object_get(body, "data");
	if (!json_is_object(out.data))
		return bad(key, "data", err, "data must be an object.");
	if (!is_name(json_object_get(body, "type")))
		return bad(key, "type", err, "type must be a string of 1 to 64 characters.");
	if (!is_name(json_object_get(body, "table")))
		return bad(key, "table", err, "table must be a string of 1 to 64 characters.");
	if (needs_user && !parse_user(user, &out))
		return bad(key, "userId", err,
			"userId must be a string of 1 to 255 bytes, a number, or \"*\" for every "
			"session.");
	out.type = json_string_value(json_object_get(body, "type"));
	out.table = json_string_value(json_object_get(body, "table"));
	status = parse_optional(body, &out, key, err);
	if (status == STATUS_OK)
		*published = out;
	return status;
}
