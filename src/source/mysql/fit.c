/* Triggers name columns. After `CHANGE public gone .., CHANGE secret public ..` those that stand still write, under the name that
 * is sent, what is withheld. Such rows cannot be told from those before; what can be known is that the table has not the columns
 * any more that the triggers were made for.
 *
 * A rename keeps a column's place. So while the names of the shape that are still there are in the order in which they were, and
 * no withheld one is missing, each is taken to be the column that it was; what was added, or sent and dropped, is no harm.
 * Otherwise names are in doubt: those from the first to the last that have moved; where a withheld one is missing, the nearest
 * ones before and behind it that are still there, which it may be after a DROP and a RENAME; all of them where both has happened.
 * A doubt about any name leaves the key to be told; one about the key or the users leaves nothing.
 *
 * Not seen: an ALTER TABLE, or several since the last look, after which the same names stand in the same order.
 */
#include "source/mysql/fit.h"

#include <stdlib.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"

/* now[i]: where the column i of then stands today; SIZE_MAX: nowhere. */
static size_t *places(const struct my_form_shape *then, const char *const *names, size_t count)
{
	size_t *now = mem_zero(then->column_count + 1, sizeof(*now));

	for (size_t i = 0; i < then->column_count; i++) {
		size_t at = i;

		if (at >= count || strcasecmp(then->columns[i].name, names[at]) != 0)
			for (at = 0; at < count && strcasecmp(then->columns[i].name, names[at]) != 0;)
				at++;
		now[i] = at < count ? at : SIZE_MAX;
	}
	return now;
}

static bool doubt_near(struct my_form_shape *then, const size_t *now, size_t gone)
{
	size_t i = gone;

	while (i > 0 && now[--i] == SIZE_MAX)
		;
	if (now[i] != SIZE_MAX)
		then->columns[i].doubt = true;
	for (i = gone; i < then->column_count && now[i] == SIZE_MAX;)
		i++;
	if (i < then->column_count)
		then->columns[i].doubt = true;
	return true;
}

static int by_place(const void *a, const void *b)
{
	size_t left = *(const size_t *)a, right = *(const size_t *)b;

	return left < right ? -1 : left > right;
}

/* Names that are still there, but not in their order. */
static bool doubt_moved(struct my_form_shape *then, const size_t *now)
{
	AUTO_FREE size_t *sorted = mem_zero(then->column_count + 1, sizeof(*sorted)), *index = mem_zero(then->column_count + 1, sizeof(*index));
	size_t count = 0, first = SIZE_MAX, last = 0;

	for (size_t i = 0; i < then->column_count; i++)
		if (now[i] != SIZE_MAX) {
			index[count] = i;
			sorted[count++] = now[i];
		}
	qsort(sorted, count, sizeof(*sorted), by_place);
	for (size_t i = 0; i < count; i++)
		if (sorted[i] != now[index[i]]) {
			first = first == SIZE_MAX ? i : first;
			last = i;
		}
	for (size_t i = first; i != SIZE_MAX && i <= last; i++)
		then->columns[index[i]].doubt = true;
	return first != SIZE_MAX;
}

static bool is_doubtful(const struct my_form_shape *shape, const char *name)
{
	for (size_t i = 0; i < shape->column_count; i++)
		if (shape->columns[i].doubt && !strcasecmp(shape->columns[i].name, name))
			return true;
	return false;
}

enum my_fit my_fit_judge(struct my_form_shape *then, const char *const *names, size_t count)
{
	AUTO_FREE size_t *now = places(then, names, count);
	bool moved = doubt_moved(then, now), gone = false, any = false;
	enum my_fit fit;

	for (size_t i = 0; i < then->column_count; i++)
		if (now[i] == SIZE_MAX && then->columns[i].sent != FORM_SENT)
			gone = doubt_near(then, now, i);
	for (size_t i = 0; i < then->column_count; i++) {
		then->columns[i].doubt |= moved && gone;
		any |= then->columns[i].doubt;
	}
	fit = gone || any ? FIT_KEY : FIT_WHOLE;
	for (size_t i = 0; i < then->count && any; i++)
		if ((then->slots[i].key || then->slots[i].route) && is_doubtful(then, then->slots[i].name))
			fit = FIT_NOTHING;
	return fit;
}

bool my_fit_withholds(const struct my_form_shape *shape)
{
	for (size_t i = 0; i < shape->column_count; i++)
		if (shape->columns[i].sent != FORM_SENT)
			return true;
	return false;
}
