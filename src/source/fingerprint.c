/* The rules in one text, in the order of the configuration, which is near enough to the same rules, hashed by FNV-1a: the same
 * in every process; nobody gains by a collision but whoever configures both relays.
 */
#include "source/fingerprint.h"

#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"

static void add(struct buf *text, const char *word)
{
	buf_json_string(text, span_of(word ? word : ""));
}

static void add_table(struct buf *text, const struct table_name *name)
{
	buf_text(text, "\n");
	add(text, name->schema);
	add(text, name->table);
}

static void add_columns(struct buf *text, const struct column_name *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		add_table(text, &list[i].table);
		add(text, list[i].column);
	}
	buf_text(text, "\n--");
}

static void write_rules(struct buf *text, const struct ruleset *rules)
{
	for (size_t i = 0; i < rules->table_count; i++)
		add_table(text, &rules->tables[i]);
	buf_text(text, "\n--");
	for (size_t i = 0; i < rules->route_count; i++) {
		add_table(text, &rules->routes[i].table);
		buf_text(text, rules->routes[i].broadcast ? "*" : "");
		for (char **c = rules->routes[i].columns; c && *c; c++)
			add(text, *c);
	}
	buf_text(text, "\n--");
	add_columns(text, rules->filters, rules->filter_count);
	add_columns(text, rules->columns, rules->column_count);
	for (size_t i = 0; i < rules->old_row_count; i++)
		add_table(text, &rules->old_rows[i]);
	buf_text(text, rules->old_rows_all ? "*" : "");
}

void fingerprint_text(struct span text, char word[FINGERPRINT_LEN + 1])
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < text.len; i++)
		h = (h ^ (unsigned char)text.p[i]) * 1099511628211u;
	snprintf(word, FINGERPRINT_LEN + 1, "%016llx", (unsigned long long)h);
}

void fingerprint_rules(const struct ruleset *rules, char word[FINGERPRINT_LEN + 1])
{
	AUTO_BUF struct buf text = buf_init(BUF_NO_MAX); /* bounded by the configuration */

	write_rules(&text, rules);
	fingerprint_text(buf_as_span(&text), word);
}
