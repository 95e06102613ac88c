/* What MySQL's triggers packed, and JSON that its servers let pass: a pack is never read beyond its end, what is written into one
 * comes back, what is taken for JSON is just what jansson takes, and every value becomes JSON. */
#include "fuzz.h"

#include <jansson.h>

#include "base/utf8.h"
#include "source/mysql/json.h"
#include "source/mysql/pack.h"
#include "source/mysql/value.h"

static void take(void *context, struct span user)
{
	size_t *bytes = context;

	*bytes += user.len;
}

static bool is_json(struct span text)
{
	json_t *value = json_loadb(text.p, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);

	json_decref(value);
	return value != NULL;
}

static void one_json(struct span text)
{
	AUTO_BUF struct buf out = buf_init(BUF_NO_MAX), again = buf_init(BUF_NO_MAX), scratch = buf_init(BUF_NO_MAX);
	size_t bytes = 0;

	buf_text(&out, "before");
	if (!my_json_add(&out, text)) {
		MUST(out.len == 6);
		return;
	}
	MUST(my_json_add(&again, (struct span){out.bytes + 6, out.len - 6}));
	MUST(again.len == out.len - 6 && memcmp(again.bytes, out.bytes + 6, again.len) == 0);
	MUST(utf8_valid(again.bytes, again.len));
	buf_reserve(&scratch, again.len + 1);
	my_json_each(buf_as_span(&again), &scratch, take, &bytes);
	MUST(bytes <= again.len);
}

static void one_value(struct span value)
{
	for (int form = FORM_NUMBER; form <= FORM_GEOMETRY; form++) {
		AUTO_BUF struct buf out = buf_init(BUF_NO_MAX);

		my_value_json((enum my_form)form, value, &out);
		/* A string of its own in what jansson cannot: a number beyond a double. */
		MUST(form == FORM_NUMBER || form == FORM_BIT || form == FORM_BOOLEAN || form == FORM_JSON || form == FORM_GEOMETRY ||
			is_json(buf_as_span(&out)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span input = {(const char *)bytes, size}, all = fuzz_exact(input);
	struct my_pack pack = my_pack_of(all);
	AUTO_BUF struct buf copy = buf_init(BUF_NO_MAX);
	size_t count = 0;

	while (!pack.bad && pack.p < pack.end) {
		struct span value = my_pack_next(&pack);

		if (pack.bad)
			break;
		one_value(value);
		my_pack_add(&copy, value);
		count++;
	}
	pack = my_pack_of(buf_as_span(&copy));
	for (size_t i = 0; i < count; i++)
		my_pack_next(&pack);
	MUST(!pack.bad && pack.p == pack.end);
	pack = my_pack_of(all);
	while (!pack.bad && pack.p < pack.end)
		my_pack_next_number(&pack);
	one_json(all);
	free((void *)(uintptr_t)all.p);
	return 0;
}
