/* Values leave the trigger as bytes, with as little work there as their type allows, and become JSON here.
 *
 * What the writer's session could change is settled in SQL: TIMESTAMP as seconds since 1970, which does not ask the session's
 * time zone; FLOAT as the double that it is, since its text has six digits; BIT as a number; other character sets than UTF-8
 * converted. The rest is the same text whatever the session says.
 */
#include "source/mysql/value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/mysql/json.h"
#include "source/mysql/text.h"

enum my_form my_form_of(const char *data_type, const char *column_type)
{
	static const struct {
		const char *type;
		enum my_form form;
	} forms[] = {{"tinyint", FORM_NUMBER}, {"smallint", FORM_NUMBER}, {"mediumint", FORM_NUMBER}, {"int", FORM_NUMBER},
		{"bigint", FORM_NUMBER}, {"decimal", FORM_NUMBER}, {"year", FORM_NUMBER}, {"bit", FORM_BIT}, {"double", FORM_DOUBLE},
		{"float", FORM_FLOAT}, {"timestamp", FORM_TIMESTAMP}, {"datetime", FORM_DATETIME}, {"date", FORM_PLAIN}, {"time", FORM_TIME},
		{"json", FORM_JSON}, {"binary", FORM_BINARY}, {"varbinary", FORM_BINARY}, {"tinyblob", FORM_BINARY}, {"blob", FORM_BINARY},
		{"mediumblob", FORM_BINARY}, {"longblob", FORM_BINARY}, {"vector", FORM_BINARY}, {"geometry", FORM_GEOMETRY},
		{"point", FORM_GEOMETRY}, {"linestring", FORM_GEOMETRY}, {"polygon", FORM_GEOMETRY}, {"multipoint", FORM_GEOMETRY},
		{"multilinestring", FORM_GEOMETRY}, {"multipolygon", FORM_GEOMETRY}, {"geometrycollection", FORM_GEOMETRY},
		{"geomcollection", FORM_GEOMETRY}};

	if (!strcasecmp(column_type, "tinyint(1)"))
		return FORM_BOOLEAN;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
		if (!strcasecmp(data_type, forms[i].type))
			return forms[i].form;
	return FORM_TEXT;
}

/* -- SQL -------------------------------------------------------------------------------------------------------------- */

static bool is_utf8(const char *charset)
{
	return !strcasecmp(charset, "utf8mb4") || !strcasecmp(charset, "utf8mb3") || !strcasecmp(charset, "utf8") ||
		!strcasecmp(charset, "ascii");
}

/* The value as the bytes that are kept. */
static char *expression(enum my_form form, const char *charset, const char *column)
{
	switch (form) {
	case FORM_TIMESTAMP:
		return mem_format("UNIX_TIMESTAMP(%s)", column);
	case FORM_FLOAT:
		return mem_format("%s + 0e0", column);
	case FORM_BIT: /* its bytes otherwise */
		return mem_format("%s + 0", column);
	case FORM_GEOMETRY:
		return mem_format("ST_AsGeoJSON(%s)", column);
	case FORM_TEXT:
	case FORM_JSON:
		if (charset && is_utf8(charset))
			return mem_text(column);
		return charset ? mem_format("CONVERT(%s USING utf8mb4)", column) : mem_format("CAST(%s AS CHAR CHARACTER SET utf8mb4)", column);
	default:
		return mem_text(column);
	}
}

void my_value_sql(enum my_form form, const char *charset, const char *row, const char *name, int max, struct buf *out)
{
	AUTO_BUF struct buf column = buf_init(BUF_NO_MAX); /* a name */
	AUTO_FREE char *value = NULL;

	buf_printf(&column, "%s.", row);
	my_text_name(&column, name);
	value = expression(form, charset, column.bytes);
	if (form < FORM_TEXT)
		buf_printf(out, ", %s, ','", value);
	else if (!max)
		buf_printf(out, ", ':', LENGTH(%s), ':', %s", value, value);
	else
		buf_printf(out, ", IF(LENGTH(%s) <= %d, CONCAT(_binary':', LENGTH(%s), ':', %s), ',')", value, max, value, value);
}

/* -- JSON ------------------------------------------------------------------------------------------------------------- */

static bool is_number(struct span text)
{
	size_t i = text.len && text.p[0] == '-', digits = 0;

	for (; i < text.len && text.p[i] >= '0' && text.p[i] <= '9'; i++)
		digits++;
	if (!digits)
		return false;
	if (i < text.len && text.p[i] == '.')
		for (i++, digits = 0; i < text.len && text.p[i] >= '0' && text.p[i] <= '9'; i++)
			digits++;
	return i == text.len && digits;
}

/* As it is, less the zeros that ZEROFILL puts before it. */
static void add_number(struct span text, struct buf *out)
{
	bool minus = text.len && text.p[0] == '-';

	if (!is_number(text)) {
		buf_json_string(out, text);
		return;
	}
	if (minus) {
		buf_text(out, "-");
		text.p++;
		text.len--;
	}
	while (text.len > 1 && text.p[0] == '0' && text.p[1] != '.') {
		text.p++;
		text.len--;
	}
	buf_span(out, text);
}

/* The shortest text that reads back as the same number. */
static void add_real(struct span value, bool is_float, struct buf *out)
{
	char text[64], *end;
	double number;

	snprintf(text, sizeof(text), "%.*s", (int)(value.len < 60 ? value.len : 60), value.p);
	number = strtod(text, &end);
	if (end == text || *end || !isfinite(number)) {
		buf_json_string(out, value);
		return;
	}
	for (int digits = is_float ? 6 : 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, number);
		if (is_float ? (float)strtod(text, NULL) == (float)number : strtod(text, NULL) == number)
			break;
	}
	buf_text(out, text);
}

/* Without the zeros that end a fraction. */
static struct span trimmed(struct span text)
{
	if (!memchr(text.p, '.', text.len))
		return text;
	while (text.p[text.len - 1] == '0')
		text.len--;
	if (text.p[text.len - 1] == '.')
		text.len--;
	return text;
}

static void add_datetime(struct span text, struct buf *out)
{
	AUTO_BUF struct buf copy = buf_init(64);

	text = trimmed(text);
	buf_span(&copy, text);
	if (text.len >= 19 && !copy.full && copy.bytes[10] == ' ')
		copy.bytes[10] = 'T';
	buf_json_string(out, copy.full ? text : buf_as_span(&copy));
}

static void add_timestamp(struct span text, struct buf *out)
{
	char copy[32], at[32];
	struct span fraction = {"", 0};
	struct tm tm;
	time_t seconds;

	if (!is_number(text) || text.len >= sizeof(copy)) {
		buf_json_string(out, text);
		return;
	}
	text = trimmed(text);
	snprintf(copy, sizeof(copy), "%.*s", (int)text.len, text.p);
	seconds = (time_t)strtoll(copy, NULL, 10);
	if (strchr(copy, '.'))
		fraction = span_of(strchr(copy, '.'));
	if (!seconds && !fraction.len) { /* the zero date, which is no point in time */
		buf_text(out, "null");
		return;
	}
	gmtime_r(&seconds, &tm);
	strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(out, "\"%s%.*s+00:00\"", at, (int)fraction.len, fraction.p);
}

void my_value_json(enum my_form form, struct span value, struct buf *out)
{
	if (!value.p) {
		buf_text(out, "null");
		return;
	}
	switch (form) {
	case FORM_BOOLEAN:
		if (span_is(value, "0") || span_is(value, "1"))
			buf_text(out, span_is(value, "1") ? "true" : "false");
		else
			add_number(value, out);
		break;
	case FORM_NUMBER:
	case FORM_BIT:
		add_number(value, out);
		break;
	case FORM_DOUBLE:
	case FORM_FLOAT:
		add_real(value, form == FORM_FLOAT, out);
		break;
	case FORM_TIMESTAMP:
		add_timestamp(value, out);
		break;
	case FORM_DATETIME:
		add_datetime(value, out);
		break;
	case FORM_TIME:
		buf_json_string(out, trimmed(value));
		break;
	case FORM_JSON:
	case FORM_GEOMETRY:
		if (!my_json_add(out, value))
			buf_json_string(out, value);
		break;
	case FORM_BINARY:
		buf_json_base64(out, value);
		break;
	default:
		buf_json_string(out, value);
	}
}
