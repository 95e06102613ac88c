/* Patterns of a consumer, as the body of a request and as the database keeps them. What is taken must come back from the
 * database as what was asked for: the same lists, that compile. The kept texts may also be anything that somebody wrote there. */
#include "fuzz.h"

#include "rules/wants.h"
#include "wire/wire.h"

static void both_ways(const json_t *body)
{
	const json_t *types = json_object_get(body, "types"), *source_types = json_object_get(body, "source_types");
	char *topics_text = NULL, *types_text = NULL, *list = NULL, *sources = NULL;
	struct wants *wants = NULL;
	const char *key = NULL;
	struct err err = {""};

	if (wants_texts(json_object_get(body, "topics"), types, source_types, 4, 256, &topics_text, &types_text, &key, &err) != STATUS_OK) {
		MUST(*err.text && key && !topics_text && !types_text);
		return;
	}
	MUST(wants_create(topics_text, types_text, 4, 256, &wants, &err) == STATUS_OK);
	wants_split(types_text, &list, &sources);
	MUST(list && (sources != NULL) == (json_array_size(source_types) > 0));
	wants_destroy(wants);
	free(topics_text);
	free(types_text);
	free(list);
	free(sources);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span input = {(const char *)bytes, size};
	struct event event = {.topic = span_of("orders"), .type = span_of("insert"), .source_type = span_of("database")};
	char *texts[2], *list, *sources;
	struct wants *wants = NULL;
	struct err err = {""};
	json_t *body;

	texts[0] = fuzz_text(fuzz_field(&input));
	texts[1] = fuzz_text(fuzz_field(&input));
	if (wants_create(texts[0], texts[1], 4, 256, &wants, &err) == STATUS_OK)
		wants_event(wants, &event);
	wants_destroy(wants);
	wants_split(texts[1], &list, &sources);
	free(list);
	free(sources);
	free(texts[0]);
	free(texts[1]);
	body = input.len ? wire_load(input, &err) : NULL;
	if (json_is_object(body))
		both_ways(body);
	json_decref(body);
	return 0;
}
