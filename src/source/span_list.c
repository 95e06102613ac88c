/* The lists are short, as a row's users are: they are compared each with each. */
#include "source/span_list.h"

#include "base/mem.h"

void span_list_add(struct span_list *list, struct span span)
{
	mem_grow(&list->items, &list->room, list->count, sizeof(*list->items));
	list->items[list->count++] = span;
}

static bool has(const struct span_list *list, struct span span)
{
	for (size_t i = 0; i < list->count; i++)
		if (span_equal(list->items[i], span))
			return true;
	return false;
}

bool span_list_same(const struct span_list *a, const struct span_list *b)
{
	for (size_t i = 0; i < a->count; i++)
		if (!has(b, a->items[i]))
			return false;
	for (size_t i = 0; i < b->count; i++)
		if (!has(a, b->items[i]))
			return false;
	return true;
}
