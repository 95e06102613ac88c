/* What clients send: a message, a published event, a resume point. */
#include "fuzz.h"

#include "wire/wire.h"

static void check_published(const json_t *body, bool needs_user)
{
	struct published published = {0};
	const char *key = NULL;
	struct err err = {""};

	if (wire_parse_published(body, needs_user, &published, &key, &err) != STATUS_OK) {
		MUST(key && *err.text);
		return;
	}
	MUST(*published.table && *published.type && json_is_object(published.data));
	MUST(!needs_user || published.has_user || published.broadcast);
	MUST(memchr(published.user, 0, sizeof(published.user)));
}

static void check_raw(struct span text)
{
	static const char *const path[] = {"data", "data", NULL};
	struct span raw;
	json_t *value;

	if (!wire_raw_member(text, path, &raw))
		return;
	MUST(raw.p >= text.p && raw.p + raw.len <= text.p + text.len);
	value = json_loadb(raw.p, raw.len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
	MUST(value);
	json_decref(value);
}

static void check_message(struct span text)
{
	struct client_message message = {0};
	struct err err = {""};

	if (wire_parse(text, &message, &err) != STATUS_OK) {
		MUST(*err.text);
		return;
	}
	MUST(json_is_object(message.data));
	check_published(message.data, false);
	check_published(message.data, true);
	check_raw(text);
	client_message_finish(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span text = fuzz_exact((struct span){(const char *)bytes, size});
	char journal[JOURNAL_LEN + 1] = "";
	const char *key;
	struct err err;
	uint64_t id;
	json_t *body = wire_load(text, &err);
	struct published published;

	if (body && wire_parse_published(body, true, &published, &key, &err) == STATUS_OK)
		check_published(body, true);
	json_decref(body);
	check_message(text);
	if (wire_parse_position(text, journal, &id))
		MUST(strlen(journal) == 0 || strlen(journal) == JOURNAL_LEN);
	free((char *)(uintptr_t)text.p);
	return 0;
}
