/* Shapes as they are stored; a shape never changes. */
#include "source/sqlite/form.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"

static enum status load_slots(struct db *db, struct form *form, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	size_t room = 0;
	enum status status = db_prepare(
		db, "SELECT side, name, sent, route, part, form FROM esink_column WHERE shape = ?1 ORDER BY slot", &stmt, err);

	if (status == STATUS_OK)
		sqlite3_bind_int64(stmt, 1, form->id);
	while (status == STATUS_OK && (status = db_step(db, stmt, err)) == STATUS_OK) {
		AUTO_BUF struct buf label = buf_init(BUF_NO_MAX); /* a name */

		buf_json_string(&label, span_of(db_bytes(stmt, 1).p));
		buf_text(&label, ":");
		mem_grow(&form->slots, &room, form->count, sizeof(*form->slots));
		form->slots[form->count++] = (struct form_slot){
			.side = sqlite3_column_int(stmt, 0),
			.sent = sqlite3_column_int(stmt, 2),
			.route = sqlite3_column_int(stmt, 3),
			.key = sqlite3_column_int(stmt, 4),
			.form = (enum value_form)sqlite3_column_int(stmt, 5),
			.label_len = label.len};
		form->slots[form->count - 1].label = buf_take(&label);
		if (form->slots[form->count - 1].side == 1 && form->slots[form->count - 1].sent && !form->slots[form->count - 1].key)
			form->old = true; /* a shape of an older version says 1 for 2 */
	}
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status lite_form_load(struct db *db, int64_t id, struct form *form, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	struct form loaded = {.id = id};
	enum status status = db_prepare(db, "SELECT topic, broadcast, whole FROM esink_shape WHERE id = ?1", &stmt, err);

	if (status == STATUS_OK)
		sqlite3_bind_int64(stmt, 1, id);
	if (status == STATUS_OK)
		status = db_step(db, stmt, err);
	if (status != STATUS_OK)
		return status;
	loaded.topic = mem_text(db_bytes(stmt, 0).p);
	loaded.broadcast = sqlite3_column_int(stmt, 1);
	loaded.whole = sqlite3_column_int(stmt, 2) > 0;
	loaded.old = sqlite3_column_int(stmt, 2) > 1;
	status = load_slots(db, &loaded, err);
	if (status == STATUS_OK)
		*form = loaded;
	else
		lite_form_finish(&loaded);
	return status;
}

void lite_form_finish(struct form *form)
{
	for (size_t i = 0; i < form->count; i++)
		free(form->slots[i].label);
	free(form->slots);
	free(form->topic);
	*form = (struct form){0};
}
