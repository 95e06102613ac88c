/* What --check would do, in a few lines, before all the statements and, behind who sees what, as the last word. */
#ifndef ESINK_SUMMARY_H
#define ESINK_SUMMARY_H

#include <stdbool.h>

#include "base/buf.h"

enum summary_verb { SUMMARY_CREATE, SUMMARY_REPLACE, SUMMARY_DROP, SUMMARY_VERBS };

struct summary {
	struct buf what[SUMMARY_VERBS];
};

void summary_init(struct summary *summary);
void summary_finish(struct summary *summary);
void summary_add(struct summary *summary, enum summary_verb verb, const char *what, size_t len);
void summary_print(const struct summary *summary); /* to stdout */

/* What --uninstall removes, before it does: lines, each with its end. where: `database "shop"`. */
void summary_removal(bool only_look, const char *where, const struct buf *lines);

#endif
