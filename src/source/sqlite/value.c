/* Numbers, booleans, binary: the parts of a value's rendering that have nothing to do with a statement.
 *
 * SQLite 3.40 has no base64(), and printing a REAL there loses digits, so triggers hand values over as they are and both is
 * done here.
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

void value_add_base64(struct buf *out, struct span bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = (const unsigned char *)bytes.p;

	buf_text(out, "\"");
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		unsigned n = (unsigned)in[i] << 16 | (left > 1 ? (unsigned)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
		char quad[4] = {digits[n >> 18], digits[n >> 12 & 63], left > 1 ? digits[n >> 6 & 63] : '=',
			left > 2 ? digits[n & 63] : '='};

		buf_bytes(out, quad, sizeof(quad));
	}
	buf_text(out, "\"");
}
