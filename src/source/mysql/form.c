/* Shapes as they are stored; a shape never changes. */
#include "source/mysql/form.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "source/mysql/pack.h"

#define LAYOUT_VERSION 1
#define COLUMNS_MAX 5000 /* MySQL has 4096 at most */

void my_form_write(const struct my_form_shape *shape, struct buf *out)
{
	my_pack_add_number(out, LAYOUT_VERSION);
	my_pack_add(out, span_of(shape->topic));
	my_pack_add_number(out, shape->in_default_schema);
	my_pack_add_number(out, shape->broadcast);
	my_pack_add_number(out, shape->whole);
	my_pack_add_number(out, shape->old_rows);
	my_pack_add_number(out, (int64_t)shape->count);
	for (size_t i = 0; i < shape->count; i++) {
		const struct my_form_slot *slot = &shape->slots[i];

		my_pack_add(out, span_of(slot->name));
		my_pack_add_number(out, slot->side | slot->sent << 1 | slot->route << 2 | slot->key << 3);
		my_pack_add_number(out, slot->form);
	}
	my_pack_add_number(out, (int64_t)shape->column_count);
	for (size_t i = 0; i < shape->column_count; i++) {
		my_pack_add(out, span_of(shape->columns[i].name));
		my_pack_add_number(out, (int64_t)shape->columns[i].sent | (int64_t)shape->columns[i].doubt << 2);
	}
}

static char *next_text(struct my_pack *pack)
{
	struct span span = my_pack_next(pack);

	return span.p ? mem_text_n(span.p, span.len) : mem_text("");
}

static size_t next_count(struct my_pack *pack)
{
	int64_t count = my_pack_next_number(pack);

	if (count < 0 || count > 2 * COLUMNS_MAX)
		pack->bad = true;
	return pack->bad ? 0 : (size_t)count;
}

void my_form_read(struct span layout, struct my_form_shape *shape)
{
	struct my_pack pack = my_pack_of(layout);
	struct my_form_shape ret = {.id = shape->id};

	pack.bad = my_pack_next_number(&pack) != LAYOUT_VERSION;
	ret.topic = next_text(&pack);
	ret.in_default_schema = my_pack_next_number(&pack);
	ret.broadcast = my_pack_next_number(&pack);
	ret.whole = my_pack_next_number(&pack);
	ret.old_rows = my_pack_next_number(&pack);
	ret.count = next_count(&pack);
	ret.slots = mem_zero(ret.count + 1, sizeof(*ret.slots));
	for (size_t i = 0; i < ret.count; i++) {
		char *name = next_text(&pack);
		int64_t bits = my_pack_next_number(&pack);

		ret.slots[i] = (struct my_form_slot){name, bits & 1, bits & 2, bits & 4, bits & 8, (enum my_form)my_pack_next_number(&pack)};
	}
	ret.column_count = next_count(&pack);
	ret.columns = mem_zero(ret.column_count + 1, sizeof(*ret.columns));
	for (size_t i = 0; i < ret.column_count; i++) {
		int64_t bits;

		ret.columns[i].name = next_text(&pack);
		bits = my_pack_next_number(&pack);
		ret.columns[i].sent = (enum my_form_sent)(bits & 3);
		ret.columns[i].doubt = bits & 4;
	}
	if (pack.bad)
		my_form_finish(&ret);
	*shape = ret;
}

enum status my_form_load(struct my_db *db, int64_t id, struct my_form_shape *shape, struct err *err)
{
	AUTO_RESULT MYSQL_RES *rows = NULL;
	char sql[80];
	enum status status;
	MYSQL_ROW row;

	snprintf(sql, sizeof(sql), "SELECT layout FROM esink_shape WHERE id = %" PRId64, id);
	status = my_query(db, sql, MY_TIMEOUT_MS, &rows, err);
	if (status != STATUS_OK)
		return status;
	row = mysql_fetch_row(rows);
	if (!row || !row[0])
		return err_set(err, STATUS_NOT_FOUND, "esink_shape has no shape %" PRId64, id);
	shape->id = id;
	my_form_read((struct span){row[0], mysql_fetch_lengths(rows)[0]}, shape);
	shape->id = id;
	return STATUS_OK;
}

void my_form_finish(struct my_form_shape *shape)
{
	for (size_t i = 0; i < shape->count; i++)
		free(shape->slots[i].name);
	for (size_t i = 0; i < shape->column_count; i++)
		free(shape->columns[i].name);
	free(shape->slots);
	free(shape->columns);
	free(shape->topic);
	*shape = (struct my_form_shape){0};
}
