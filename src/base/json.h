/* Text of JSON, checked and copied without being parsed to values. What is spliced into an event has passed here, for the parsers of
 * databases let pass what a browser's does not. */
#ifndef ESINK_JSON_H
#define ESINK_JSON_H

#include "base/buf.h"
#include "esink/span.h"

#define JSON_DEPTH_MAX 2048

/* Set p, end and out; each function goes on at p, appends what it has passed to out, and returns false where it is not JSON. */
struct json_scan {
	const char *p, *end;
	struct buf *out;
	size_t depth; /* inside the value under way */
	unsigned char is_object[JSON_DEPTH_MAX / 8];
};

void json_skip_space(struct json_scan *s);
/* That character, behind white space. */
bool json_take(struct json_scan *s, char c);
/* A member's name and the colon; name: what stands between the quotes. */
bool json_member(struct json_scan *s, struct span *name);
/* One value, whatever it holds. */
bool json_value(struct json_scan *s);

/* Appends what a JSON string says; text: what stands between its quotes, known to be valid. */
void json_unescape(struct buf *out, struct span text);

#endif
