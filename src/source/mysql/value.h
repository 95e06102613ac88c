/* How a column's value is written by triggers, and read. */
#ifndef ESINK_MYSQL_VALUE_H
#define ESINK_MYSQL_VALUE_H

#include "base/buf.h"

/* Kept with the shape of journal rows: numbers are never used again for something else. */
enum my_form {
	FORM_NUMBER,    /* with its own digits */
	FORM_BOOLEAN,   /* TINYINT(1) */
	FORM_DOUBLE,
	FORM_FLOAT,
	FORM_TIMESTAMP, /* seconds since 1970 */
	FORM_DATETIME,
	FORM_PLAIN,     /* text without a comma: a date */
	FORM_TIME,
	FORM_BIT,
	FORM_TEXT,
	FORM_JSON,
	FORM_BINARY,
	FORM_GEOMETRY   /* GeoJSON by then */
};

/* data_type, column_type, charset (NULL: none) as information_schema has them. */
enum my_form my_form_of(const char *data_type, const char *column_type);
/* Appends the arguments of a CONCAT_WS() that write the value; row: NEW or OLD. max 0: whatever its length, else NULL when longer. */
void my_value_sql(enum my_form form, const char *charset, const char *row, const char *name, int max, struct buf *out);
void my_value_json(enum my_form form, struct span value, struct buf *out);

#endif
