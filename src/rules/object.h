/* Private to src/rules: a JSON object as text, less some of its members. */
#ifndef ESINK_RULES_OBJECT_H
#define ESINK_RULES_OBJECT_H

#include "base/buf.h"
#include "esink/span.h"
#include "esink/status.h"

/* Copies text, which must be one JSON object, without white space between its tokens and without
 * the members of the outermost object whose name is like one of drop. *ret is malloc'ed.
 * STATUS_INVALID: not JSON, or no object. */
enum status object_without(struct span text, const char *const *drop, size_t drop_count, char **ret,
	struct err *err) MUST_CHECK;

#endif
