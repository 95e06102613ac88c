/* Numbers, booleans: the parts of a value's rendering that have nothing to do with a statement.
 *
 * SQLite 3.40 has no base64(), and printing a REAL there loses digits, so triggers hand values over as they are: base64 is
 * buf_json_base64(), and the rest is done here.
 */
#include "source/sqlite/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum value_form value_form_of(const char *declared)
{
	if (!declared)
		return FORM_PLAIN;
	if (!strcasecmp(declared, "boolean") || !strcasecmp(declared, "bool"))
		return FORM_BOOLEAN;
	return !strcasecmp(declared, "json") || !strcasecmp(declared, "jsonb") ? FORM_JSON : FORM_PLAIN;
}

void value_add_real(struct buf *out, double number)
{
	char text[40];

	if (isnan(number)) {
		buf_text(out, "\"NaN\"");
		return;
	}
	if (isinf(number)) {
		buf_text(out, number < 0 ? "\"-Infinity\"" : "\"Infinity\"");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
	buf_text(out, text);
	if (!strpbrk(text, ".e"))
		buf_text(out, ".0");
}

