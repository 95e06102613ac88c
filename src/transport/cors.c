/* Origins are compared as RFC 6454 serialises them, ignoring case, with the scheme's default port left out. */
#include "transport/cors.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

static struct span trimmed(struct span text)
{
	while (text.len && strchr(" \t", text.p[0])) {
		text.p++;
		text.len--;
	}
	while (text.len && strchr(" \t/", text.p[text.len - 1]))
		text.len--;
	return text;
}

static bool same(struct span a, struct span b)
{
	return a.len == b.len && strncasecmp(a.p, b.p, a.len) == 0;
}

static struct span without(struct span text, const char *ending)
{
	size_t len = strlen(ending);

	if (text.len > len && memcmp(text.p + text.len - len, ending, len) == 0)
		text.len -= len;
	return text;
}

/* scheme://host[:port] to its host[:port]; absent when it is no http origin. */
static struct span authority(struct span origin)
{
	bool tls = origin.len > 8 && strncasecmp(origin.p, "https://", 8) == 0;
	size_t skip = tls ? 8 : 7;

	if (!tls && (origin.len <= 7 || strncasecmp(origin.p, "http://", 7) != 0))
		return (struct span){0};
	return without((struct span){origin.p + skip, origin.len - skip}, tls ? ":443" : ":80");
}

void cors_init(struct cors *cors, const char *const *origins, size_t count)
{
	*cors = (struct cors){.all = count == 0, .origins = mem_zero(count + 1, sizeof(*cors->origins))};
	for (size_t i = 0; i < count; i++) {
		struct span one = trimmed(span_of(origins[i]));

		if (span_is(one, "*"))
			cors->all = true;
		cors->origins[cors->count++] = mem_text_n(one.p, one.len);
	}
}

void cors_finish(struct cors *cors)
{
	for (size_t i = 0; i < cors->count; i++)
		free(cors->origins[i]);
	free(cors->origins);
	*cors = (struct cors){0};
}

static bool same_origin(struct span a, struct span b)
{
	struct span in_a = authority(a), in_b = authority(b);

	if (!in_a.p || !in_b.p)
		return same(a, b);
	return (a.p[4] == ':') == (b.p[4] == ':') && same(in_a, in_b);
}

bool cors_allows(const struct cors *cors, struct span origin, struct span host)
{
	struct span own;

	if (cors->all || !origin.p)
		return true;
	origin = trimmed(origin);
	own = authority(origin);
	if (own.p && host.p && same(own, without(host, origin.p[4] == ':' ? ":80" : ":443")))
		return true;
	for (size_t i = 0; i < cors->count; i++) {
		if (same_origin(origin, span_of(cors->origins[i])))
			return true;
	}
	return false;
}
