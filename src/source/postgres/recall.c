/* What a trigger function withholds, remembered in a comment of its body, because the rules name
 * columns and names move: after `RENAME secret TO old_secret; ADD secret` the rules would send the
 * column that holds every secret so far, and after two names were swapped, the wrong one of them.
 *
 * A column is therefore withheld by its number as long as the rules withhold the name under which
 * it was first withheld, whatever it is called now; /ready says so. That ends when FILTERS or
 * COLUMNS no longer withhold that old name, or with `esink --uninstall`, which forgets.
 *
 *   -- withheld: 3 public.users.secret,     a number, and the name of that time in three parts,
 *                                           each with %XX for what is no letter, digit or _
 *   -- called: 3 old_secret,                what it was called when the function was made
 *
 * A dump that is restored numbers tables and columns anew, so there the second line tells which columns are meant.
 */
#include "source/postgres/recall.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define WITHHELD "\n-- withheld:"
#define CALLED "\n-- called:"
#define PARTS 3 /* schema, table, column */

static void add_part(struct buf *text, const char *part)
{
	for (; *part; part++) {
		unsigned char c = (unsigned char)*part;

		if (isalnum(c) || c == '_')
			buf_bytes(text, part, 1);
		else
			buf_printf(text, "%%%02X", c);
	}
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : c - 'A' + 10;
}

/* Undoes add_part(), in place. */
static void decode(char *part)
{
	char *out = part;

	for (; *part; part++) {
		if (*part == '%' && isxdigit((unsigned char)part[1]) &&
			isxdigit((unsigned char)part[2])) {
			*out++ = (char)(hex_digit(part[1]) * 16 + hex_digit(part[2]));
			part += 2;
		} else {
			*out++ = *part;
		}
	}
	*out = 0;
}

void recall_write(struct buf *text, const struct pg_table *table)
{
	buf_text(text, WITHHELD);
	for (size_t i = 0; i < table->columns.count; i++) {
		const struct pg_column *column = &table->columns.list[i];

		if (table->rule.sent[i])
			continue;
		buf_printf(text, " %d ", column->number);
		if (column->withheld_as) {
			buf_text(text, column->withheld_as);
		} else {
			add_part(text, table->schema);
			buf_text(text, ".");
			add_part(text, table->name);
			buf_text(text, ".");
			add_part(text, column->name);
		}
		buf_text(text, ",");
	}
	buf_text(text, CALLED);
	for (size_t i = 0; i < table->columns.count; i++) {
		if (table->rule.sent[i])
			continue;
		buf_printf(text, " %d ", table->columns.list[i].number);
		add_part(text, table->columns.list[i].name);
		buf_text(text, ",");
	}
}

/* A schema of which no watched table is left counts as the default one: there a bare name protects
 * too. */
static bool is_default(const struct pg_catalog *catalog, const char *schema)
{
	for (size_t i = 0; i < catalog->table_count; i++)
		if (strcmp(catalog->tables[i].schema, schema) == 0)
			return catalog->tables[i].in_default_schema;
	return true;
}

/* Do today's rules withhold what had this name then? */
static bool still_withheld(const struct pg_catalog *catalog, const char *entry)
{
	AUTO_FREE char *copy = mem_text(entry);
	char *parts[PARTS] = {copy};
	struct table_rule rule;
	struct relation then;
	const char *column;
	bool withheld;

	for (int i = 1; i < PARTS; i++) {
		parts[i] = strchr(parts[i - 1], '.');
		if (!parts[i])
			return true; /* not ours: better too little */
		*parts[i]++ = 0;
	}
	for (int i = 0; i < PARTS; i++)
		decode(parts[i]);
	column = parts[2];
	then = (struct relation){parts[0], parts[1], is_default(catalog, parts[0]), &column, 1};
	ruleset_bind(catalog->rules, &then, &rule);
	withheld = !rule.sent[0];
	table_rule_finish(&rule);
	return withheld;
}

/* The entry of a column in the list, malloc'ed; NULL: it is not there. */
static char *find_entry(const char *list, int number)
{
	AUTO_FREE char *mark = mem_format(" %d ", number);
	const char *end = list + strcspn(list, "\n");
	const char *found = strstr(list, mark);

	if (!found || found > end)
		return NULL;
	found += strlen(mark);
	return mem_text_n(found, strcspn(found, ",\n"));
}

/* The number of then of a column that is called so; 0: none. */
static int number_called(const char *list, const char *name)
{
	const char *end = list + strcspn(list, "\n");
	AUTO_BUF struct buf mark = buf_init(BUF_NO_MAX); /* a name */
	const char *found;

	buf_text(&mark, " ");
	add_part(&mark, name);
	buf_text(&mark, ",");
	found = strstr(list, mark.bytes);
	if (!found || found > end)
		return 0;
	while (found > list && isdigit((unsigned char)found[-1]))
		found--;
	return (int)strtol(found, NULL, 10);
}

static void recall(const struct pg_catalog *catalog, const struct pg_table *table, size_t i,
	const char *list, int number)
{
	struct pg_column *column = &table->columns.list[i];
	AUTO_FREE char *entry = find_entry(list, number);

	if (!entry || !table->rule.sent[i] ||
		(!table->rule.missing_filter && !still_withheld(catalog, entry)))
		return;
	table->rule.sent[i] = false;
	column->withheld_as = entry;
	entry = NULL;
}

void recall_withheld(
	const struct pg_catalog *catalog, const struct pg_table *table, const char *body, bool own)
{
	const char *list = body ? strstr(body, WITHHELD) : NULL;
	const char *called = body && !own ? strstr(body, CALLED) : NULL;

	for (size_t i = 0; i < table->columns.count; i++) {
		const struct pg_column *column = &table->columns.list[i];

		if (list)
			recall(catalog, table, i, list + strlen(WITHHELD),
				called ? number_called(called + strlen(CALLED), column->name) : column->number);
		else if (table->rule.missing_filter)
			table->rule.sent[i] = false;
	}
}

void recall_complaint(const struct pg_catalog *catalog, struct err *complaint)
{
	for (size_t t = 0; t < catalog->table_count; t++) {
		const struct pg_table *table = &catalog->tables[t];

		for (size_t i = 0; i < table->columns.count; i++) {
			const struct pg_column *column = &table->columns.list[i];

			if (!column->withheld_as || complaint->text[0])
				continue;
			err_set(complaint, STATUS_FAILED,
				"FILTERS: column \"%s\" of table %s was withheld as %s and then "
				"renamed; it stays withheld: add %s.%s to FILTERS, or, if it may be "
				"sent, run esink --uninstall and start again",
				column->name, table->topic, column->withheld_as, table->topic,
				column->name);
		}
	}
}
