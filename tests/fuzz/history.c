/* The query of GET /events: parts `name=value`, whatever they are; and times. */
#include "fuzz.h"

#include "wire/wire.h"

static void check_time(struct span text)
{
	int64_t ms = -1;

	if (wire_parse_time(text, &ms))
		MUST(ms <= INT64_C(253402300799999) && ms >= INT64_C(-62168000000000));
	else
		MUST(ms == -1);
}

static void check_part(struct wire_history *asked, struct span part)
{
	struct span text = fuzz_exact(part);
	const char *equals = part.len ? memchr(text.p, '=', text.len) : NULL, *key = NULL;
	size_t name = equals ? (size_t)(equals - text.p) : text.len;
	struct span value = {equals ? equals + 1 : text.p + text.len, equals ? text.len - name - 1 : 0};
	struct err err = {""};

	check_time(value);
	if (wire_history_part(asked, (struct span){text.p, name}, value, &key, &err) != STATUS_OK)
		MUST(key && *err.text);
	free((char *)(uintptr_t)text.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span input = {(const char *)bytes, size};
	struct history_job job = {0};
	struct wire_history asked = {.job = &job, .limit_max = 1000};

	wire_history_begin(&asked);
	while (input.len)
		check_part(&asked, fuzz_field(&input));
	MUST(job.limit >= 1 && job.limit <= 1000);
	MUST(strlen(job.journal) == 0 || strlen(job.journal) == JOURNAL_LEN);
	free(job.table);
	free(job.type);
	free(job.transaction_id);
	return 0;
}
