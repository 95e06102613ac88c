/* Lists of columns: FILTERS and COLUMNS, and the removal of filtered columns from published data.
 *
 * AUTH_TABLE.AUTH_COLUMN joins FILTERS as its last entry: the tokens that let users in must not
 * leave by any road.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "rules/names.h"
#include "rules/object.h"

static enum status read_list(
	struct name_reader *reader, struct column_name **columns, size_t *count, struct err *err)
{
	size_t room = *count;

	for (;;) {
		AUTO_ITEM struct name_item item = {0};
		enum status status = name_next(reader, &item, err);

		if (status != STATUS_OK)
			return status == STATUS_NOT_FOUND ? STATUS_OK : status;
		if (item.count < 2)
			return name_refuse(reader, item.text, NULL, err);
		mem_grow(columns, &room, *count, sizeof(**columns));
		(*columns)[*count].column = item.parts[item.count - 1];
		item.parts[item.count - 1] = NULL;
		(*columns)[*count].implied = false;
		(*columns)[(*count)++].table = name_take_table(&item, item.count - 1);
	}
}

enum status filters_read(struct ruleset *set, const char *text, struct err *err)
{
	struct name_reader reader = {"FILTERS", "table.column", text, NULL};

	return read_list(&reader, &set->filters, &set->filter_count, err);
}

enum status columns_read(struct ruleset *set, const char *text, struct err *err)
{
	struct name_reader reader = {"COLUMNS", "table.column", text, NULL};

	return read_list(&reader, &set->columns, &set->column_count, err);
}

enum status auth_filter_add(
	struct ruleset *set, const char *table, const char *column, struct err *err)
{
	struct column_name filter = {.implied = true};
	enum status status = table_name_parse("AUTH_TABLE", table, &filter.table, err);

	if (status != STATUS_OK)
		return status;
	filter.column = mem_text(column);
	set->filters = mem_resize(set->filters, (set->filter_count + 1) * sizeof(*set->filters));
	set->filters[set->filter_count++] = filter;
	return STATUS_OK;
}

static struct span behind_dot(struct span topic)
{
	const char *dot = memchr(topic.p, '.', topic.len);

	return dot ? (struct span){dot + 1, topic.len - (size_t)(dot + 1 - topic.p)} : topic;
}

/* A bare FILTERS name also strips `public.users`: which schema is the default one is not known here, and a column too few
 * is better than one too many. */
static bool names_topic(const struct table_name *name, struct span topic)
{
	AUTO_FREE char *joined = table_name_join(name);

	return name_alike(span_of(name->table), topic) || name_alike(span_of(joined), topic) ||
	       name_alike(span_of(name->text), topic) ||
	       (!name->schema && name_alike(span_of(name->table), behind_dot(topic)));
}

bool ruleset_filters_topic(const struct ruleset *ruleset, const char *topic)
{
	for (size_t i = 0; i < ruleset->filter_count; i++)
		if (names_topic(&ruleset->filters[i].table, span_of(topic)))
			return true;
	return false;
}

enum status ruleset_filter_data(const struct ruleset *ruleset, const char *topic, struct span data,
	char **filtered, struct err *err)
{
	AUTO_FREE const char **drop = mem_alloc(ruleset->filter_count * sizeof(*drop));
	size_t count = 0;

	for (size_t i = 0; i < ruleset->filter_count; i++)
		if (names_topic(&ruleset->filters[i].table, span_of(topic)))
			drop[count++] = ruleset->filters[i].column;
	return object_without(data, drop, count, filtered, err);
}
