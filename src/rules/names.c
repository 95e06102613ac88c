/* Reads names as people write them into the variables, and compares names.
 *
 * An item is first cut out of its list (a comma inside double quotes does not end it) and only then
 * split into parts, so that every complaint can show the whole item as it was written.
 *
 * Folding is ASCII only, as PostgreSQL folds an unquoted name in a UTF-8 database. Likeness is
 * wider: it decides what is removed, and there a letter with an accent must not make the
 * difference.
 */
#include "rules/names.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/utf8.h"

#define SPACES " \t\r\n\v\f"
#define SHOWN_MAX 100

int name_shown(const char *text)
{
	size_t len = strlen(text), at = 0, n;

	while (at < len && (n = utf8_sequence(text + at, len - at)) && at + n <= SHOWN_MAX)
		at += n;
	return (int)at;
}

enum status name_refuse(
	const struct name_reader *reader, const char *text, const char *reason, struct err *err)
{
	return err_set(err, STATUS_INVALID, "%s: \"%.*s%s\" is not %s%s%s", reader->variable,
		name_shown(text), text, strlen(text) > (size_t)name_shown(text) ? ".." : "",
		reader->shape, reason ? ": " : "", reason ? reason : "");
}

static const char *read_quoted(const char **at, char **ret)
{
	AUTO_BUF struct buf name = buf_init(BUF_NO_MAX); /* bounded by the variable */
	const char *p = *at + 1;

	for (; *p != '"' || p[1] == '"'; p++) {
		if (!*p)
			return "a double quote is not closed";
		if (*p == '"')
			p++;
		buf_bytes(&name, p, 1);
	}
	if (!name.len)
		return "a name is empty";
	*at = p + 1;
	*ret = buf_take(&name);
	return NULL;
}

static const char *read_bare(const char **at, bool listed, char **ret)
{
	size_t len = strcspn(*at, listed ? ".\"" SPACES : ".\"");
	char stop = (*at)[len];

	if (stop == '"')
		return "a double quote stands inside a name";
	if (stop && stop != '.')
		return "a comma is missing, or double quotes around a name with a space";
	if (!len)
		return "a name is empty";
	if (len == 1 && **at == '*')
		return "* is no wildcard here";
	*ret = mem_text_n(*at, len);
	*at += len;
	return NULL;
}

static const char *split(struct name_item *item, bool listed)
{
	const char *at = item->text, *reason;

	for (;;) {
		if (item->count == NAME_PARTS)
			return "it has too many dots; a name that holds one goes into double "
			       "quotes";
		item->last = (size_t)(at - item->text);
		reason = *at == '"' ? read_quoted(&at, &item->parts[item->count])
				    : read_bare(&at, listed, &item->parts[item->count]);
		if (reason)
			return reason;
		item->count++;
		if (!*at)
			return NULL;
		if (*at++ != '.')
			return "a dot or a comma is missing after a double quote";
	}
}

static enum status read_item(const struct name_reader *reader, const char *text, size_t len,
	bool listed, struct name_item *ret, struct err *err)
{
	struct name_item item = {0};
	const char *reason;

	while (len && strchr(SPACES, text[len - 1]))
		len--;
	item.text = mem_text_n(text, len);
	reason = utf8_valid(text, len) ? split(&item, listed) : "it is not valid UTF-8";
	if (reason) {
		name_refuse(reader, item.text, reason, err);
		name_item_finish(&item);
		return STATUS_INVALID;
	}
	*ret = item;
	return STATUS_OK;
}

static size_t item_length(const char *text)
{
	bool quoted = false;
	size_t len = 0;

	for (; text[len] && (quoted || text[len] != ','); len++)
		quoted ^= text[len] == '"'; /* a doubled quote turns twice */
	return len;
}

static bool is_star(const char *text, size_t len)
{
	return *text == '*' && strspn(text + 1, SPACES) >= len - 1;
}

enum status name_next(struct name_reader *reader, struct name_item *item, struct err *err)
{
	for (;;) {
		const char *text = reader->at + strspn(reader->at, SPACES ",");
		size_t len = item_length(text);

		if (!len)
			return STATUS_NOT_FOUND;
		reader->at = text + len;
		if (!reader->star || !is_star(text, len))
			return read_item(reader, text, len, true, item, err);
		*reader->star = true;
	}
}

enum status name_alone(struct name_reader *reader, struct name_item *item, struct err *err)
{
	const char *text = reader->at + strspn(reader->at, SPACES);

	return read_item(reader, text, strlen(text), false, item, err);
}

void name_item_finish(struct name_item *item)
{
	free(item->text);
	for (size_t i = 0; i < NAME_PARTS; i++)
		free(item->parts[i]);
	*item = (struct name_item){0};
}

struct table_name name_take_table(struct name_item *item, size_t count)
{
	struct table_name name = {0};

	name.text =
		mem_text_n(item->text, count == item->count ? strlen(item->text) : item->last - 1);
	if (count == 2) {
		name.schema = item->parts[0];
		item->parts[0] = NULL;
	}
	name.table = item->parts[count - 1];
	item->parts[count - 1] = NULL;
	return name;
}

bool table_name_same(const struct table_name *a, const struct table_name *b)
{
	return !a->schema == !b->schema && (!a->schema || strcmp(a->schema, b->schema) == 0) &&
	       strcmp(a->table, b->table) == 0;
}

bool table_name_is_quoted(const struct table_name *name)
{
	return strchr(name->text, '"') != NULL;
}

char *table_name_join(const struct table_name *name)
{
	return name->schema ? mem_format("%s.%s", name->schema, name->table)
			    : mem_text(name->table);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool name_folds_to(const char *name, const char *folded)
{
	while (*name && lower(*name) == *folded) {
		name++;
		folded++;
	}
	return !*name && !*folded;
}

static bool is_ascii(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.p[i] >= 0x80)
			return false;
	return true;
}

/* PCRE2 brings Unicode's case tables; a C library's depend on the locale that the process happens
 * to have. */
static bool alike_unicode(struct span a, struct span b)
{
	int error;
	size_t offset;
	bool equal = false;
	pcre2_code *code = pcre2_compile((PCRE2_SPTR)a.p, a.len,
		PCRE2_LITERAL | PCRE2_CASELESS | PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED,
		&error, &offset, NULL);
	pcre2_match_data *match = code ? pcre2_match_data_create(1, NULL) : NULL;

	if (match)
		equal = pcre2_match(code, (PCRE2_SPTR)b.p, b.len, 0, 0, match, NULL) >= 0;
	pcre2_match_data_free(match);
	pcre2_code_free(code);
	return equal;
}

bool name_alike(struct span a, struct span b)
{
	size_t i = 0;

	if (!a.p || !b.p)
		return false;
	if (!is_ascii(a) && !is_ascii(b))
		return span_equal(a, b) || alike_unicode(a, b);
	if (a.len != b.len)
		return false;
	while (i < a.len && lower(a.p[i]) == lower(b.p[i]))
		i++;
	return i == a.len;
}
