/* Lists of tables: TABLE_NAMES and OLD_ROWS. A table named twice in the same way counts once; the
 * same table written in two ways (`orders`, `public.orders`) is told apart only by the driver,
 * which knows the default schema.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rules/names.h"

static bool is_known(const struct table_name *names, size_t count, const struct table_name *name)
{
	for (size_t i = 0; i < count; i++)
		if (table_name_same(&names[i], name))
			return true;
	return false;
}

static enum status take_table(const struct name_reader *reader, struct name_item *item,
	struct table_name *ret, struct err *err)
{
	if (item->count > 2)
		return name_refuse(reader, item->text,
			"it has too many dots; a name that holds one goes into double quotes", err);
	*ret = name_take_table(item, item->count);
	return STATUS_OK;
}

static enum status read_list(
	struct name_reader *reader, struct table_name **names, size_t *count, struct err *err)
{
	size_t room = *count;

	for (;;) {
		AUTO_ITEM struct name_item item = {0};
		struct table_name name;
		enum status status = name_next(reader, &item, err);

		if (status != STATUS_OK)
			return status == STATUS_NOT_FOUND ? STATUS_OK : status;
		status = take_table(reader, &item, &name, err);
		if (status != STATUS_OK)
			return status;
		if (is_known(*names, *count, &name)) {
			table_name_finish(&name);
			continue;
		}
		mem_grow(names, &room, *count, sizeof(**names));
		(*names)[(*count)++] = name;
	}
}

enum status tables_read(struct ruleset *set, const char *text, struct err *err)
{
	struct name_reader reader = {"TABLE_NAMES", "table or schema.table", text, NULL};

	return read_list(&reader, &set->tables, &set->table_count, err);
}

enum status old_rows_read(struct ruleset *set, const char *text, struct err *err)
{
	struct name_reader reader = {
		"OLD_ROWS", "table, schema.table or *", text, &set->old_rows_all};

	return read_list(&reader, &set->old_rows, &set->old_row_count, err);
}

enum status table_name_parse(
	const char *variable, const char *text, struct table_name *name, struct err *err)
{
	struct name_reader reader = {variable, "table or schema.table", text, NULL};
	AUTO_ITEM struct name_item item = {0};
	enum status status = name_alone(&reader, &item, err);

	return status == STATUS_OK ? take_table(&reader, &item, name, err) : status;
}

void table_name_finish(struct table_name *name)
{
	free(name->schema);
	free(name->table);
	free(name->text);
	*name = (struct table_name){0};
}
