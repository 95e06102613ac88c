/* Rows of MySQL's journal: what the triggers packed, or whoever may write to the table. Put into a chunk, it comes out of it as it was;
 * taken as a chunk itself, it is as many events as the row says. Whatever it is, it becomes an event whose envelope is JSON for each class; a column that is not sent is in none, and every receiver is a name in UTF-8.
 *
 * Fields: the row's kind as a number; the layout, three letters a slot (side; s, r, k: sent, routes, key; form); flags (b: broadcast,
 * w: whole, o: old rows); then the packed values, whole. */
#include "fuzz.h"

#include <jansson.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "rules/ruleset.h"
#include "source/mysql/chunk.h"
#include "source/mysql/form.h"
#include "source/mysql/reader.h"
#include "wire/wire.h"

#define SECRET_NAME "not sent"

static struct my_form_shape shape_of(struct span letters, const char *flags)
{
	struct my_form_shape shape = {.id = 1, .topic = mem_text("orders"), .in_default_schema = true, .broadcast = strchr(flags, 'b'),
		.whole = strchr(flags, 'w'), .old_rows = strchr(flags, 'o')};

	shape.slots = mem_zero(letters.len / 3 + 1, sizeof(*shape.slots));
	for (size_t at = 0; at + 3 <= letters.len; at += 3) {
		char letter = letters.p[at + 1], name[24];
		struct my_form_slot *slot = &shape.slots[shape.count];

		*slot = (struct my_form_slot){.side = letters.p[at] & 1, .sent = letter == 's' || letter == 'k', .route = letter == 'r', .key = letter == 'k',
			.form = (enum my_form)((unsigned char)letters.p[at + 2] % (FORM_GEOMETRY + 1))};
		snprintf(name, sizeof(name), "c%zu", shape.count++);
		slot->name = mem_text(slot->sent ? name : SECRET_NAME);
	}
	return shape;
}

static void check(struct event *event, bool published)
{
	for (int class = 0; class < CLASS_COUNT; class++) {
		AUTO_BUF struct buf envelope = buf_init(BUF_NO_MAX);
		json_error_t error;
		json_t *json;

		MUST(envelope_write(&envelope, event, (enum event_class)class));
		json = json_loadb(envelope.bytes, envelope.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
		MUST(json || json_error_code(&error) == json_error_numeric_overflow); /* more than a double has, which is JSON */
		MUST(!json || json_is_object(json_object_get(json, "data")));
		MUST(!json || published || !json_object_get(json_object_get(json, "data"), SECRET_NAME));
		MUST(!json_object_get(json_object_get(json, "old"), SECRET_NAME));
		json_decref(json);
	}
	for (uint32_t i = 0; i < event->receiver_count; i++)
		MUST(utf8_valid(event->receivers[i].id, event->receivers[i].len) && !memchr(event->receivers[i].id, 0, event->receivers[i].len));
}

static struct my_chunk chunk_of(const char *events, struct span bytes)
{
	char *row[] = {(char *)(uintptr_t)"7", (char *)(uintptr_t)events, (char *)(uintptr_t)bytes.p, NULL};
	unsigned long lengths[] = {1, strlen(events), bytes.len, 0};

	return my_chunk_of(row, lengths);
}

static void read_back(struct my_reader *reader, int kind, struct span data)
{
	struct my_cells in = {.seq = 8, .shape = 1, .at = INT64_C(1700000000000), .kind = kind, .data = data}, out;
	AUTO_BUF struct buf bytes = buf_init(BUF_NO_MAX); /* as long as the input */
	struct my_chunk chunk;
	struct event *event = NULL;
	struct err err = {""};

	my_chunk_add(&bytes, &in);
	chunk = chunk_of("1", (struct span){bytes.bytes, bytes.len});
	MUST(my_chunk_next(&chunk, &out));
	MUST(out.id == 7 && out.seq == 8 && out.shape == 1 && out.at == in.at && out.kind == kind && span_equal(out.data, data));
	MUST(my_reader_event(reader, &out, "0123456789abcdef", &event, &err) == STATUS_OK);
	check(event, kind == 8 || kind == 9);
	event_unref(event);
	MUST(!my_chunk_next(&chunk, &out));
}

static void read_raw(struct span bytes)
{
	struct my_chunk chunk = chunk_of("5", bytes);
	struct my_cells cells;

	for (uint64_t id = 3; id <= 7; id++)
		MUST(my_chunk_next(&chunk, &cells) && cells.id == id);
	MUST(!my_chunk_next(&chunk, &cells));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct source_config config = {.database = "shop"};
	struct span input = {(const char *)bytes, size}, letters, data;
	struct my_reader reader;
	struct err err;
	char *kind = fuzz_text(fuzz_field(&input)), *flags;

	if (!config.rules)
		config.rules = ruleset_create(&(struct ruleset_text){.table_names = "orders", .routing = "{\"orders\":\"c0\"}", .filters = "orders.c5",
						      .auth_table = "auth", .auth_column = "token"},
			&err);
	letters = fuzz_field(&input);
	flags = fuzz_text(fuzz_field(&input));
	data = fuzz_exact(input);
	my_reader_init(&reader, &config);
	reader.shapes = mem_zero(1, sizeof(*reader.shapes));
	reader.shapes[reader.shape_count++] = shape_of(letters, flags);
	reader.shape_room = 1;
	read_back(&reader, (int)strtol(kind, NULL, 10), data);
	read_raw(data);
	my_reader_finish(&reader);
	free(kind);
	free(flags);
	free((char *)(uintptr_t)data.p);
	return 0;
}
