/* What PostgreSQL's driver reads: users as the text of an array, and a connection string. Elements that are written into an array
 * come back as they were; what is read lies within the text; a string that is refused is not shown. Two fields. */
#include "fuzz.h"

#include "source/postgres/array.h"
#include "source/postgres/url.h"

static void read_array(struct span text)
{
	struct span exact = fuzz_exact(text);
	struct pg_array array = {0}, again = {0};
	AUTO_BUF struct buf written = buf_init(BUF_NO_MAX);

	if (pg_array_parse(&array, exact)) {
		size_t bytes = 0;

		buf_text(&written, "{");
		for (size_t i = 0; i < array.count; i++) {
			char *element = fuzz_text(array.items[i]);

			bytes += array.items[i].len;
			MUST(strlen(element) == array.items[i].len || memchr(exact.p, 0, exact.len));
			pg_array_append(&written, element);
			free(element);
		}
		buf_text(&written, "}");
		MUST(bytes <= exact.len);
		if (!exact.len || !memchr(exact.p, 0, exact.len)) {
			MUST(pg_array_parse(&again, buf_as_span(&written)) && again.count == array.count);
			for (size_t i = 0; i < array.count; i++)
				MUST(span_equal(array.items[i], again.items[i]));
		}
	}
	pg_array_finish(&array);
	pg_array_finish(&again);
	free((char *)(uintptr_t)exact.p);
}

static void read_url(const char *url)
{
	struct source_config config = {.url = url};
	struct err err = {""};

	if (postgres_url_check(&config, &err) != STATUS_OK) {
		MUST(*err.text);
		MUST(strlen(url) < 12 || !strstr(err.text, url));
	}
	for (int n = 0; n < 3; n++) {
		struct pg_host host = {"", "", ""};

		if (postgres_url_host(url, n, &host))
			MUST(memchr(host.name, 0, sizeof(host.name)) && memchr(host.address, 0, sizeof(host.address)) &&
				memchr(host.port, 0, sizeof(host.port)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span input = {(const char *)bytes, size};
	char *url;

	read_array(fuzz_field(&input));
	url = fuzz_text(fuzz_field(&input));
	read_url(url);
	free(url);
	return 0;
}
