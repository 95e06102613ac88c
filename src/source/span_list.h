/* A list of spans that a driver's reader fills anew for each row: the ids of its users, its values. The spans are borrowed. */
#ifndef ESINK_SPAN_LIST_H
#define ESINK_SPAN_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "esink/span.h"

/* Zeroed at first, and again with count = 0, which keeps the memory: free(items) in the end. */
struct span_list {
	struct span *items;
	size_t count, room;
};

void span_list_add(struct span_list *list, struct span span);
/* Each has what the other has, in whatever order and however often. */
bool span_list_same(const struct span_list *a, const struct span_list *b);

#endif
