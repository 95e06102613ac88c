/* PostgreSQL's text form of a text[]: {a,"b,c",NULL}. */
#ifndef ESINK_PG_ARRAY_H
#define ESINK_PG_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "esink/span.h"

/* The elements in order, nested arrays flattened, NULLs left out. Unescaped elements live in *text,
 * spans point into it; both are the caller's, to be reused from call to call. False: not an array.
 */
struct pg_array {
	struct span *items;
	size_t count, room;
	char *text;
	size_t text_room;
};

bool pg_array_parse(struct pg_array *array, struct span literal);
void pg_array_finish(struct pg_array *array);

/* Appends one element to a literal that began with `{`; NULL is SQL NULL. */
void pg_array_append(struct buf *literal, const char *text);

#endif
