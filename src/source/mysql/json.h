/* JSON text of the database: checked, and read for users. */
#ifndef ESINK_MYSQL_JSON_H
#define ESINK_MYSQL_JSON_H

#include "base/buf.h"

/* Appends text, which must be one JSON value (RFC 8259) in valid UTF-8, without white space between its tokens. False: it is
 * none; what was appended is taken back. */
bool my_json_add(struct buf *out, struct span text);
/* Of a JSON array, or one value: calls take() for each string (what it says) and number (as it is written). text is known to be
 * valid and compact. */
void my_json_each(struct span text, struct buf *scratch, void (*take)(void *context, struct span user), void *context);

#endif
