/* Prevents: text that is no JSON, or more than one value, spliced into an event; a pack, or a chunk of the journal, that is read
 * beyond its end; a number with zeros before it, a float with six digits, a time that is no ISO 8601; a row told whole that columns
 * have traded names under; moves that become small, since each walks over what somebody's snapshot still needs. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/mysql/chunk.h"
#include "source/mysql/fit.h"
#include "source/mysql/json.h"
#include "source/mysql/mysql.h"
#include "source/mysql/pack.h"
#include "source/mysql/text.h"
#include "source/mysql/value.h"

static void json(void **state)
{
	static const struct {
		const char *text, *out; /* NULL: refused */
	} cases[] = {{"1", "1"}, {" [ 1 , -0.50 ] ", "[1,-0.50]"}, {"{\"a\" : {\"b\":[]}, \"c\":{}}", "{\"a\":{\"b\":[]},\"c\":{}}"}, {"\"\\u00e4\\n\"", "\"\\u00e4\\n\""},
		{"true", "true"}, {"null", "null"}, {"1e9", "1e9"}, {"", NULL}, {"01", NULL}, {"1.", NULL}, {".5", NULL}, {"+1", NULL}, {"nul", NULL},
		{"1,\"x\":2", NULL}, {"1]", NULL}, {"[1", NULL}, {"[1,]", NULL}, {"{\"a\"}", NULL}, {"{\"a\":}", NULL}, {"{a:1}", NULL}, {"{\"a\":1,}", NULL},
		{"'a'", NULL}, {"\"\\x\"", NULL}, {"\"\\u12g4\"", NULL}, {"\"a", NULL}, {"\"\n\"", NULL}, {"\"\xff\"", NULL}, {"[1}", NULL}, {"{\"a\":1]", NULL}, {"1 2", NULL},
		{"NaN", NULL}, {"/* */ 1", NULL}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		AUTO_BUF struct buf out = buf_init(BUF_NO_MAX);

		buf_text(&out, "");
		assert_int_equal(my_json_add(&out, span_of(cases[i].text)), cases[i].out != NULL);
		assert_string_equal(out.bytes, cases[i].out ? cases[i].out : "");
	}
}

static void deep(void **state)
{
	AUTO_BUF struct buf text = buf_init(BUF_NO_MAX), out = buf_init(BUF_NO_MAX);

	(void)state;
	for (int i = 0; i < 2048; i++)
		buf_text(&text, "[");
	buf_text(&text, "1");
	for (int i = 0; i < 2048; i++)
		buf_text(&text, "]");
	assert_true(my_json_add(&out, buf_as_span(&text)));
	buf_clear(&text);
	for (int i = 0; i < 100000; i++)
		buf_text(&text, "[");
	assert_false(my_json_add(&out, buf_as_span(&text)));
}

static void add_user(void *context, struct span user)
{
	buf_span(context, user);
	buf_text(context, ";");
}

static void users(void **state)
{
	static const struct {
		const char *text, *users;
	} cases[] = {{"[\"1\",2,-3.5]", "1;2;-3.5;"}, {"\"a\\\"\\u00e4\"", "a\"\xc3\xa4;"}, {"[\"\\ud83d\\ude00\\t\"]", "\xf0\x9f\x98\x80\t;"}, {"{\"1\":2}", ""}, {"[[1],{\"2\":\"3\"},4]", "4;"},
		{"[\"\\ud800\",\"\\udc00x\",\"�\"]", "�;"}, {"[true,null]", ""}, {"7", "7;"}, {"[]", ""}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		AUTO_BUF struct buf out = buf_init(BUF_NO_MAX), scratch = buf_init(BUF_NO_MAX);

		buf_text(&out, "");
		buf_reserve(&scratch, 1000);
		my_json_each(span_of(cases[i].text), &scratch, add_user, &out);
		assert_string_equal(out.bytes, cases[i].users);
	}
}

static void packs(void **state)
{
	static const char *const bad[] = {"1", ":5:abc", ":x:a", ":", ":1", ":99999999999:a", ":-1:a"};
	struct my_pack pack = my_pack_of((struct span){"1,,:0::::3:a,b-7,", 17});

	(void)state;
	assert_true(span_is(my_pack_next(&pack), "1"));
	assert_null(my_pack_next(&pack).p);
	assert_true(span_is(my_pack_next(&pack), ""));
	assert_null(my_pack_next(&pack).p);
	assert_false(pack.bad);
	assert_true(span_is(my_pack_next(&pack), "a,b"));
	assert_int_equal(my_pack_next_number(&pack), -7);
	assert_false(pack.bad);
	assert_null(my_pack_next(&pack).p);
	assert_true(pack.bad);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		pack = my_pack_of(span_of(bad[i]));
		assert_null(my_pack_next(&pack).p);
		assert_true(pack.bad);
	}
}

/* A row of the journal: events 41 and 42, as it is and cut off, and one that claims more events than there are ids. */
static void chunks(void **state)
{
	AUTO_BUF struct buf data = buf_init(BUF_NO_MAX);
	struct my_cells cells = {.seq = 7, .shape = 3, .at = 1764368640123, .kind = 5, .actor = {NULL, 0}, .data = {"1,:3:a,b", 8}}, big = cells;
	char *row[] = {(char *)"42", (char *)"2", NULL, (char *)"large"};
	unsigned long lengths[] = {2, 1, 0, 5};
	struct my_chunk chunk;

	(void)state;
	big.actor = span_of("anna");
	big.data = (struct span){NULL, 0};
	my_chunk_add(&data, &cells);
	my_chunk_add(&data, &big);
	row[2] = data.bytes;
	lengths[2] = data.len;
	chunk = my_chunk_of(row, lengths);
	assert_true(my_chunk_next(&chunk, &cells));
	assert_int_equal(cells.id, 41);
	assert_int_equal(cells.seq, 7);
	assert_int_equal(cells.shape, 3);
	assert_int_equal(cells.kind, 5);
	assert_int_equal(cells.at, 1764368640123);
	assert_null(cells.actor.p);
	assert_true(span_is(cells.data, "1,:3:a,b"));
	assert_true(my_chunk_next(&chunk, &cells));
	assert_int_equal(cells.id, 42);
	assert_true(span_is(cells.actor, "anna"));
	assert_true(span_is(cells.data, "large"));
	assert_false(my_chunk_next(&chunk, &cells));
	for (unsigned long cut = 0; cut < data.len; cut++) {
		lengths[2] = cut;
		chunk = my_chunk_of(row, lengths);
		assert_true(my_chunk_next(&chunk, &cells));
		assert_true(my_chunk_next(&chunk, &cells));
		assert_int_equal(cells.id, 42);
		assert_int_equal(cells.shape, 0);
		assert_false(my_chunk_next(&chunk, &cells));
	}
	row[1] = (char *)"99";
	chunk = my_chunk_of(row, lengths);
	assert_int_equal(chunk.next, 1);
}

static void values(void **state)
{
	static const struct {
		enum my_form form;
		const char *value, *json;
	} cases[] = {{FORM_NUMBER, "00042", "42"}, {FORM_NUMBER, "0", "0"}, {FORM_NUMBER, "-0012.50", "-12.50"}, {FORM_NUMBER, "000.10", "0.10"}, {FORM_NUMBER, "1x", "\"1x\""},
		{FORM_BOOLEAN, "1", "true"}, {FORM_BOOLEAN, "2", "2"}, {FORM_DOUBLE, "0.30000000000000004", "0.30000000000000004"}, {FORM_DOUBLE, "1e300", "1e+300"},
		{FORM_DOUBLE, "nan", "\"nan\""}, {FORM_FLOAT, "0.10000000149011612", "0.1"}, {FORM_TIMESTAMP, "1709190000.250000", "\"2024-02-29T07:00:00.25+00:00\""},
		{FORM_TIMESTAMP, "0", "null"}, {FORM_TIMESTAMP, "x", "\"x\""}, {FORM_DATETIME, "2024-02-29 12:00:00.000000", "\"2024-02-29T12:00:00\""}, {FORM_TIME, "-01:00:00.10", "\"-01:00:00.1\""},
		{FORM_TEXT, "a\"b", "\"a\\\"b\""}, {FORM_JSON, "{\"a\": 1}", "{\"a\":1}"}, {FORM_JSON, "1,2", "\"1,2\""}, {FORM_BINARY, "foob", "\"Zm9vYg==\""}, {FORM_TEXT, NULL, "null"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		AUTO_BUF struct buf out = buf_init(BUF_NO_MAX);

		my_value_json(cases[i].form, span_of(cases[i].value), &out);
		assert_string_equal(out.bytes, cases[i].json);
	}
}

/* names: then, a withheld one with -, the key with =, one that routes with @; and now. */
static void read_shape(char *names, struct my_form_shape *shape)
{
	shape->columns = mem_zero(16, sizeof(*shape->columns));
	shape->slots = mem_zero(16, sizeof(*shape->slots));
	for (char *save = NULL, *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		size_t mark = strspn(name, "-=@");
		bool sent = !memchr(name, '-', mark), key = memchr(name, '=', mark), route = memchr(name, '@', mark);

		shape->columns[shape->column_count++] = (struct my_form_column){mem_text(name + mark), sent ? FORM_SENT : FORM_WITHHELD, false};
		if (sent || route)
			shape->slots[shape->count++] = (struct my_form_slot){mem_text(name + mark), 0, sent, route, key, FORM_TEXT};
	}
}

static void fits(void **state)
{
	static const struct {
		const char *then, *now;
		enum my_fit fit;
	} cases[] = {{"=id @o a -s b", "id o a s b", FIT_WHOLE}, {"=id @o a -s b", "ID O A S B", FIT_WHOLE}, {"=id @o a -s b", "x id y o z a s b v", FIT_WHOLE},
		{"=id @o a -s b", "id o s b", FIT_WHOLE}, {"=id @o a -s b", "id o s a b", FIT_KEY}, {"=id @o a -s b", "id o a b", FIT_KEY}, {"=id @o a -s b", "id o a t b", FIT_KEY},
		{"=id @o a -s b", "id o a b s", FIT_KEY}, {"=id @o a -s b", "id o s b a", FIT_KEY}, {"=id @o a -s b", "id o b", FIT_NOTHING},
		{"=id @o a -s b", "id s a o b", FIT_NOTHING}, {"=id @o a -s b", "s o a id b", FIT_NOTHING}, {"=id -s a", "id a", FIT_NOTHING},
		{"=id @o a b -s c", "id o b a c", FIT_NOTHING}, {"=id a b -s c @o", "id s a b c o", FIT_KEY}, {"=id -@o a -s", "id s a o", FIT_NOTHING}, {"=id a -s", "other", FIT_KEY},
		{"=id @o a -s b", "id o b a s", FIT_KEY}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		AUTO_FREE char *then = mem_text(cases[i].then), *now = mem_text(cases[i].now);
		struct my_form_shape shape = {0}, again = {0};
		AUTO_BUF struct buf layout = buf_init(BUF_NO_MAX);
		const char *names[16];
		size_t count = 0;

		read_shape(then, &shape);
		for (char *save = NULL, *name = strtok_r(now, " ", &save); name; name = strtok_r(NULL, " ", &save))
			names[count++] = name;
		assert_true(my_fit_withholds(&shape));
		assert_int_equal(my_fit_judge(&shape, names, count), cases[i].fit);
		/* Written down, and though the names are those of then again. */
		shape.topic = mem_text("t");
		my_form_write(&shape, &layout);
		my_form_read(buf_as_span(&layout), &again);
		for (count = 0; count < again.column_count; count++)
			names[count] = again.columns[count].name;
		if (strcmp(cases[i].now, "other") != 0)
			assert_int_equal(my_fit_judge(&again, names, count), cases[i].fit);
		my_form_finish(&shape);
		my_form_finish(&again);
	}
}

static void quoting(void **state)
{
	AUTO_BUF struct buf out = buf_init(BUF_NO_MAX);
	AUTO_FREE char *filled = my_text_fill("-- about it\nA @b@ @c@ @@ @d\n", (const char *const[]){"b", "@c@", "c", "x", NULL});

	(void)state;
	my_text_table(&out, "a`b", "c\\");
	buf_text(&out, " ");
	my_text_literal(&out, span_of("plain"));
	buf_text(&out, " ");
	my_text_literal(&out, span_of("it's\\"));
	buf_text(&out, " ");
	my_text_literal(&out, (struct span){NULL, 0});
	assert_string_equal(out.bytes, "`a``b`.`c\\` 'plain' _utf8mb4 x'697427735c' NULL");
	assert_string_equal(filled, "A @c@ x @@ @d");
}

static void moves(void **state)
{
	static const struct {
		int64_t walk, took, max, count, then;
	} cases[] = {{0, 10, 1000, 1000, 2000}, {0, 10, 1000, 500, 1000}, {0, 300, 1000, 1000, 1000}, {0, 500, 1000, 1000, 500}, {0, 500, 10, 10, 10},
		{600, 610, 1000, 1000, 2000}, {600, 900, 1000, 1000, 1000}, {600, 1100, 1000, 1000, 500}, {0, 10, 4000, 4000, 4000}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct source_config config = {.drain_max = 4000};
		struct mysql source = {.config = &config, .walk = cases[i].walk, .move_max = cases[i].max};

		my_move_adapt(&source, (size_t)cases[i].count, cases[i].took, false);
		assert_int_equal(source.move_max, cases[i].then);
		assert_int_equal(source.full, cases[i].count >= cases[i].max);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(json), cmocka_unit_test(deep), cmocka_unit_test(users), cmocka_unit_test(packs), cmocka_unit_test(chunks),
		cmocka_unit_test(values), cmocka_unit_test(fits), cmocka_unit_test(quoting), cmocka_unit_test(moves)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
