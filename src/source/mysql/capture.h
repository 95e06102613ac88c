/* The triggers of one watched table, and the shape of the rows that they write. */
#ifndef ESINK_MYSQL_CAPTURE_H
#define ESINK_MYSQL_CAPTURE_H

#include "source/fingerprint.h"
#include "source/mysql/catalog.h"
#include "source/mysql/form.h"

#define CAPTURE_TRIGGERS 3
/* Of information_schema.TRIGGERS: whether it is one of ours, by how its body begins, or began in former versions. */
#define CAPTURE_OURS "TRIGGER_NAME LIKE 'esink|_%' ESCAPE '|' AND (ACTION_STATEMENT LIKE 'esink|_%: BEGIN%' ESCAPE '|' OR " \
	"ACTION_STATEMENT LIKE 'BEGIN /* esink %')"

extern const char *const my_capture_events[CAPTURE_TRIGGERS]; /* INSERT, UPDATE, DELETE */

void my_capture_shape(const struct my_table *table, struct my_form_shape *shape);
/* All of it in a word: equal for equal shapes. */
void my_capture_word(const struct my_form_shape *shape, char word[FINGERPRINT_LEN + 1]);

/* Of trigger n: its name without schema, and its body; malloc'ed. */
char *my_capture_name(const struct my_table *table, int n);
char *my_capture_body(const struct my_db *db, const struct my_table *table, const struct my_form_shape *shape, int64_t id, int n);
/* Whether what information_schema shows of a trigger's body is this one: by the word of all of it in its first line, since the
 * server shows the rest less exactly than it keeps it (without _binary). */
bool my_capture_same(const char *body, const char *there);

#endif
