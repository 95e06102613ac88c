/* One value of a column, in any of SQLite's five storage classes, as JSON and as a user's id. */
#ifndef ESINK_SQLITE_VALUE_H
#define ESINK_SQLITE_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* What the column's declared type adds to a value's own class. */
enum value_form { FORM_PLAIN, FORM_BOOLEAN, FORM_JSON };
enum value_form value_form_of(const char *declared); /* NULL: no type */

/* Of 15 to 17 digits the fewest that read back as the same double, always with a point or an exponent; infinities and NaN as
 * JSON strings. */
void value_add_real(struct buf *out, double number);

#endif
