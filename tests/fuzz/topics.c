/* Patterns of a browser against topics: fields are pattern, pattern, type, then topics. Nothing may
 * take long (the run has a time-out of its own, and a topic must not take half a second even under
 * sanitizers), and what is remembered must be what was found: of longer topics each verdict is a new one, and a costly pattern's
 * depends on the time that it has. */
#include "fuzz.h"

#include "base/clock.h"
#include "rules/topics.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span input = {(const char *)bytes, size};
	struct span topics[2], type;
	struct subscription *s = NULL;
	struct err err = {""};
	int64_t began = clock_ms();

	topics[0] = fuzz_field(&input);
	topics[1] = fuzz_field(&input);
	type = fuzz_field(&input);
	if (subscription_create(topics, 2, &type, type.len > 0, 4, 1024, &s, &err) != STATUS_OK)
		MUST(*err.text && !s);
	MUST(clock_ms() - began < 2000);
	while (s && input.len) {
		struct span topic = fuzz_exact(fuzz_field(&input));
		bool wanted;

		began = clock_ms();
		wanted = subscription_wants(s, topic, type);
		MUST(subscription_wants(s, topic, type) == wanted || topic.len > 256);
		MUST(clock_ms() - began < 500);
		free((char *)(uintptr_t)topic.p);
	}
	subscription_destroy(s);
	return 0;
}
