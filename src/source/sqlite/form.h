/* What the columns of a journal row hold: a shape, as it was written down when its triggers were made. */
#ifndef ESINK_SQLITE_FORM_H
#define ESINK_SQLITE_FORM_H

#include "source/sqlite/db.h"
#include "source/sqlite/value.h"

struct form_slot {
	char *label; /* the name as the JSON of an object has it: "name": */
	size_t label_len;
	int side;
	bool sent, route, key;
	enum value_form form;
};

struct form {
	int64_t id;
	char *topic;
	bool broadcast, whole, old;
	struct form_slot *slots;
	size_t count;
};

/* STATUS_NOT_FOUND: nobody wrote it down. */
enum status lite_form_load(struct db *db, int64_t id, struct form *form, struct err *err) MUST_CHECK;
void lite_form_finish(struct form *form);

#endif
