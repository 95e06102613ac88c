/* A row of a trigger is bytes; its shape says what they are. Here they become JSON text, users and an event.
 *
 * The database is the application's, and whoever may write to it may have put anything into the outbox by hand: nothing here
 * trusts a row to be well formed, and what cannot be understood is told as an event without data. Nor by what may be users in it: a text
 * with a comma in a column that was a number's when the trigger was made stands where they should.
 *
 * A shape that was not seen yet is asked for on a connection of its own, since rows are still coming on the reader's.
 */
#include "source/mysql/reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "source/mysql/error.h"
#include "source/mysql/json.h"
#include "source/mysql/pack.h"

enum { INSERT, UPDATE, DELETE, KEY_ALONE = 4, PUBLISHED = 8, EMITTED, NOTHING = 16 };

void my_reader_init(struct my_reader *reader, const struct source_config *config)
{
	struct buf *bufs[] = {&reader->data, &reader->old, &reader->old_key, &reader->texts};

	*reader = (struct my_reader){.config = config, .today.rules = config->rules};
	for (size_t i = 0; i < sizeof(bufs) / sizeof(*bufs); i++)
		*bufs[i] = buf_init(BUF_NO_MAX); /* bounded by max_allowed_packet */
}

void my_reader_forget(struct my_reader *reader)
{
	for (size_t i = 0; i < reader->shape_count; i++)
		my_form_finish(&reader->shapes[i]);
	reader->shape_count = 0;
}

void my_reader_finish(struct my_reader *reader)
{
	my_reader_forget(reader);
	free(reader->shapes);
	free(reader->users.items);
	free(reader->old_users.items);
	free(reader->values.items);
	buf_finish(&reader->data);
	buf_finish(&reader->old);
	buf_finish(&reader->old_key);
	buf_finish(&reader->texts);
	today_finish(&reader->today);
}

/* Newest first: one shape after the other is in use. *ret NULL: nobody wrote it down. */
static enum status shape_of(struct my_reader *reader, int64_t id, const struct my_form_shape **ret, struct err *err)
{
	struct my_db db = {.config = reader->config, .nudge_fd = -1};
	struct my_form_shape shape = {0};
	enum status status;

	*ret = NULL;
	for (size_t i = reader->shape_count; i-- > 0;)
		if (reader->shapes[i].id == id) {
			*ret = &reader->shapes[i];
			return STATUS_OK;
		}
	status = my_connect(&db, MY_CONNECT_TIMEOUT_MS, 0, err);
	if (status == STATUS_OK)
		status = my_form_load(&db, id, &shape, err);
	my_close(&db);
	if (status == STATUS_NOT_FOUND && db.error != MY_NO_TABLE)
		return STATUS_OK;
	if (status != STATUS_OK)
		return status;
	mem_grow(&reader->shapes, &reader->shape_room, reader->shape_count, sizeof(*reader->shapes));
	reader->shapes[reader->shape_count] = shape;
	*ret = &reader->shapes[reader->shape_count++];
	return STATUS_OK;
}

/* -- users ------------------------------------------------------------------------------------------------------------ */

static bool is_user(struct span user)
{
	return user.p && !memchr(user.p, 0, user.len) && utf8_valid(user.p, user.len);
}

/* Offsets into texts, which still grows, until the row is done. */
struct collector {
	struct span_list *list;
	struct buf *texts;
};

static void take_user(void *context, struct span user)
{
	struct collector *collector = context;
	size_t at = collector->texts->len;

	if (!is_user(user))
		return;
	buf_span(collector->texts, user);
	buf_bytes(collector->texts, "", 1);
	span_list_add(collector->list, (struct span){(const char *)at, user.len});
}

static void settle(struct span_list *list, const struct buf *texts)
{
	for (size_t i = 0; i < list->count; i++)
		list->items[i].p = texts->bytes + (size_t)list->items[i].p;
}

static void take_json(struct collector *collector, struct span text)
{
	AUTO_BUF struct buf compact = buf_init(BUF_NO_MAX), scratch = buf_init(BUF_NO_MAX); /* bounded by the text */

	buf_reserve(&scratch, text.len + 1); /* what it says is never longer, so that nothing moves */
	if (my_json_add(&compact, text))
		my_json_each(buf_as_span(&compact), &scratch, take_user, collector);
}

/* The value as text is the id of a user; of a JSON column each that its array has; NULL and binary are nobody's. */
static void collect_users(struct my_reader *reader, const struct my_form_shape *shape, int side, struct span_list *list)
{
	struct collector collector = {list, &reader->texts};
	AUTO_BUF struct buf number = buf_init(BUF_NO_MAX); /* a number */

	list->count = 0;
	for (size_t i = 0; i < reader->values.count; i++) {
		const struct my_form_slot *slot = &shape->slots[i];
		struct span value = reader->values.items[i];

		if (slot->side != side || !slot->route || !value.p || slot->form == FORM_BINARY || slot->form == FORM_GEOMETRY)
			continue;
		if (slot->form == FORM_JSON) {
			take_json(&collector, value);
		} else if (slot->form == FORM_NUMBER || slot->form == FORM_BIT) { /* without ZEROFILL's zeros */
			buf_clear(&number);
			my_value_json(slot->form, value, &number);
			take_user(&collector, buf_as_span(&number));
		} else {
			take_user(&collector, value);
		}
	}
}

/* -- a table's change -------------------------------------------------------------------------------------------------- */

/* False: the bytes are not what the shape says. */
static bool take_values(struct my_reader *reader, const struct my_form_shape *shape, bool update, struct span data)
{
	struct my_pack pack = my_pack_of(data);

	reader->values.count = 0;
	for (size_t i = 0; i < shape->count && (update || !shape->slots[i].side); i++)
		span_list_add(&reader->values, my_pack_next(&pack));
	return !pack.bad && pack.p == pack.end;
}

/* A part of a key is never NULL: where it is, its column was gone when the trigger ran, or it was too long. The other parts are no key. */
static bool lacks_key(const struct my_reader *reader, const struct my_form_shape *shape, int side)
{
	for (size_t i = 0; i < reader->values.count; i++)
		if (shape->slots[i].side == side && shape->slots[i].sent && shape->slots[i].key && !reader->values.items[i].p)
			return true;
	return false;
}

/* The columns of one side as a JSON object; only those of the key, or all. */
static void add_row(struct my_reader *reader, const struct my_form_shape *shape, int side, bool key_alone, struct buf *out)
{
	size_t count = key_alone && lacks_key(reader, shape, side) ? 0 : reader->values.count;

	buf_clear(out);
	buf_text(out, "{");
	for (size_t i = 0; i < count; i++) {
		const struct my_form_slot *slot = &shape->slots[i];

		if (slot->side != side || !slot->sent || (key_alone && !slot->key))
			continue;
		if (out->len > 1)
			buf_text(out, ",");
		buf_json_string(out, span_of(slot->name));
		buf_text(out, ":");
		my_value_json(slot->form, reader->values.items[i], out);
	}
	buf_text(out, "}");
}

/* Of a row in which even the key or the users may be another column's (fit.c), or are not known: that there was one, to nobody. */
static void fill_nothing(const struct my_form_shape *shape, const char *type, struct event_parts *parts)
{
	parts->topic = span_of(shape->topic);
	parts->type = span_of(type);
	parts->data = span_of("{}");
	parts->incomplete = true;
}

static void fill_change(struct my_reader *reader, const struct my_form_shape *shape, int kind, struct span data, struct event_parts *parts)
{
	static const char *const types[] = {"insert", "update", "delete", "update"};
	bool update = (kind & 3) == UPDATE, key_alone;

	if (kind & NOTHING || !take_values(reader, shape, update, data)) {
		fill_nothing(shape, types[kind & 3], parts);
		parts->broadcast = !(kind & NOTHING) && shape->broadcast;
		return;
	}
	parts->incomplete = !shape->whole || kind & KEY_ALONE;
	key_alone = parts->incomplete;
	parts->topic = span_of(shape->topic);
	parts->type = span_of(types[kind & 3]);
	parts->broadcast = shape->broadcast;
	add_row(reader, shape, 0, key_alone, &reader->data);
	parts->data = buf_as_span(&reader->data);
	if (update && !key_alone && shape->old_rows) {
		add_row(reader, shape, 1, false, &reader->old);
		parts->old = buf_as_span(&reader->old);
	}
	buf_clear(&reader->texts);
	collect_users(reader, shape, 0, &reader->users);
	collect_users(reader, shape, 1, &reader->old_users);
	settle(&reader->users, &reader->texts);
	settle(&reader->old_users, &reader->texts);
	parts->users = reader->users.items;
	parts->user_count = reader->users.count;
	parts->rerouted = update && !span_list_same(&reader->users, &reader->old_users);
	if (!parts->rerouted)
		return;
	add_row(reader, shape, 1, true, &reader->old_key);
	parts->old_users = reader->old_users.items;
	parts->old_user_count = reader->old_users.count;
	parts->old_key = buf_as_span(&reader->old_key);
}

/* -- published events -------------------------------------------------------------------------------------------------- */

/* NUL-terminated and kept until the next event: what is behind looks at topics as strings. */
static struct span keep(struct my_reader *reader, struct span text, const char *otherwise)
{
	struct span span = text.p ? text : span_of(otherwise);
	size_t at = reader->texts.len;

	span.len = strnlen(span.p, span.len);
	buf_span(&reader->texts, span);
	buf_bytes(&reader->texts, "", 1);
	return (struct span){(const char *)at, span.len};
}

/* What SQL emitted was looked at by the server's parser alone: only what a strict one takes may go into an envelope. */
static void check_data(struct my_reader *reader, struct event_parts *parts)
{
	buf_clear(&reader->data);
	if (!parts->data.p || !my_json_add(&reader->data, parts->data) || reader->data.bytes[0] != '{') {
		buf_clear(&reader->data);
		buf_text(&reader->data, "{}");
		parts->incomplete = true;
	}
	parts->data = buf_as_span(&reader->data);
}

static void fill_published(struct my_reader *reader, bool emitted, struct span data, struct event_parts *parts)
{
	struct my_pack pack = my_pack_of(data);
	struct collector collector = {&reader->users, &reader->texts};
	struct span *texts[] = {&parts->topic, &parts->type, &parts->source, &parts->source_type};
	struct span audience;
	int64_t at;

	buf_clear(&reader->texts);
	reader->users.count = 0;
	parts->topic = keep(reader, my_pack_next(&pack), "?");
	parts->type = keep(reader, my_pack_next(&pack), "?");
	parts->data = my_pack_next(&pack);
	audience = my_pack_next(&pack);
	if (emitted) {
		parts->source = keep(reader, (struct span){NULL, 0}, reader->config->database);
		parts->source_type = keep(reader, (struct span){NULL, 0}, "sql");
		parts->broadcast = span_is(audience, "true") || span_is(audience, "1");
		if (audience.p && audience.len && audience.p[0] == '[')
			take_json(&collector, audience);
	} else {
		if (audience.p)
			take_user(&collector, audience);
		parts->broadcast = my_pack_next_number(&pack);
		parts->source = keep(reader, my_pack_next(&pack), reader->config->database);
		parts->source_type = keep(reader, my_pack_next(&pack), "api");
		parts->version = (int32_t)my_pack_next_number(&pack);
		parts->ref = my_pack_next(&pack);
		at = my_pack_next_number(&pack); /* when the publisher says that it was */
		if (at > 0)
			parts->timestamp = at;
	}
	check_data(reader, parts);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		texts[i]->p = reader->texts.bytes + (size_t)texts[i]->p;
	settle(&reader->users, &reader->texts);
	parts->users = reader->users.items;
	parts->user_count = reader->users.count;
}

/* -- all of it --------------------------------------------------------------------------------------------------------- */

enum status my_reader_event(struct my_reader *reader, const struct my_cells *cells, const char *journal, struct event **ret,
	struct err *err)
{
	const struct my_form_shape *shape = NULL;
	int kind = cells->kind;
	struct event_parts parts = {.id = cells->id,
		.key = cells->seq,
		.timestamp = cells->at,
		.version = 1,
		.journal = span_of(journal),
		.source = span_of(reader->config->database),
		.source_type = span_of("database"),
		.actor = cells->actor};
	enum status status = STATUS_OK;

	if (!parts.actor.len)
		parts.actor.p = NULL;
	if (kind == PUBLISHED || kind == EMITTED) {
		fill_published(reader, kind == EMITTED, cells->data, &parts);
		today_published(&reader->today, &parts);
	} else {
		status = shape_of(reader, cells->shape, &shape, err);
		if (status == STATUS_OK && shape && shape->topic) {
			fill_change(reader, shape, kind, cells->data, &parts);
			today_row(&reader->today, &parts, reader->config->database);
		} else {
			parts.topic = parts.type = span_of("?");
			parts.data = span_of("{}");
			parts.incomplete = true;
		}
	}
	if (status == STATUS_OK)
		*ret = event_create(&parts);
	return status;
}
