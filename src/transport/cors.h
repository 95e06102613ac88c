/* Which web pages may read our answers and open websockets: CORS_ORIGIN. */
#ifndef ESINK_CORS_H
#define ESINK_CORS_H

#include <stdbool.h>
#include <stddef.h>

#include "esink/span.h"

struct cors {
	bool all;
	char **origins; /* as a browser writes them: scheme://host[:port], no path */
	size_t count;
};

/* None, or one that is "*": every origin. Copies them. */
void cors_init(struct cors *cors, const char *const *origins, size_t count);
void cors_finish(struct cors *cors);

/* Is a page of that origin (absent: not a page) welcome? Our own, whose host is what the request calls us, always is. */
bool cors_allows(const struct cors *cors, struct span origin, struct span host);

#endif
