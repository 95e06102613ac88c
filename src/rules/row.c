/* Today's rules on a row of the journal, which holds what was sealed under the rules of its day:
 * FILTERS may have grown since, a table may have lost its rule. What a user may not see today is
 * not told, however it was sealed; nothing is given back that was withheld then.
 *
 * The names of the members are all that is known of the row's columns. They are found without a
 * copy, and without parsing what lies between them: the text comes from our own triggers.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "rules/names.h"
#include "rules/object.h"

/* p: at the opening quote. Returns what is behind the closing one, or end. */
static const char *past_string(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		const char *back;

		p = memchr(p, '"', (size_t)(end - p));
		if (!p)
			return end;
		for (back = p; back[-1] == '\\'; back--)
			;
		if ((p - back) % 2 == 0)
			return p + 1;
	}
	return end;
}

/* Returns the comma or brace that ends the value, or end. */
static const char *past_value(const char *p, const char *end)
{
	size_t depth = 0;

	while (p < end) {
		char c = *p;

		if (c == '"') {
			p = past_string(p, end);
			continue;
		}
		if (depth == 0 && (c == ',' || c == '}' || c == ']'))
			return p;
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		p++;
	}
	return end;
}

/* The next member's name, between its quotes; *at begins as the text's start. False: no further one. */
static bool next_name(const char **at, const char *end, struct span *name)
{
	const char *from = memchr(*at, '"', (size_t)(end - *at)), *behind;

	if (!from)
		return false;
	behind = past_string(from, end);
	*name = (struct span){from + 1, (size_t)(behind - from) - 2};
	*at = past_value(behind, end);
	return behind - from >= 2;
}

/* What stands in the names, escapes and all, each between quotes: rows of one shape read the same. */
static void shape_of(struct buf *shape, struct span row)
{
	const char *at = row.p, *end = row.p + row.len;
	struct span name;

	buf_clear(shape);
	while (next_name(&at, end, &name)) {
		buf_text(shape, "\"");
		buf_span(shape, name);
		buf_text(shape, "\"");
	}
}

static bool is_known(const struct row_memo *memo)
{
	for (size_t i = 0; i < ROW_SHAPES; i++)
		if (span_equal(buf_as_span(&memo->harmless[i]), buf_as_span(&memo->shape)))
			return true;
	return false;
}

static void remember(struct row_memo *memo)
{
	struct buf *oldest = &memo->harmless[memo->next++ % ROW_SHAPES];
	struct buf spare = *oldest;

	*oldest = memo->shape;
	memo->shape = spare;
}

void row_memo_finish(struct row_memo *memo)
{
	buf_finish(&memo->shape);
	for (size_t i = 0; i < ROW_SHAPES; i++)
		buf_finish(&memo->harmless[i]);
}

struct members {
	char **names;
	size_t count, room;
};

static void members_read(struct members *members, struct span row)
{
	const char *at = row.p, *end = row.p + row.len;
	struct span name;

	while (next_name(&at, end, &name)) {
		struct buf plain = buf_init(BUF_NO_MAX); /* not longer than the row */

		json_unescape(&plain, name);
		mem_grow(&members->names, &members->room, members->count, sizeof(char *));
		members->names[members->count++] = buf_take(&plain);
	}
}

static void members_finish(struct members *members)
{
	for (size_t i = 0; i < members->count; i++)
		free(members->names[i]);
	free(members->names);
}

/* Fills drop with the names that may not leave; returns how many. */
static size_t find_withheld(const struct ruleset *ruleset, const struct relation *table,
	const struct members *members, const char **drop)
{
	struct relation relation = *table;
	struct table_rule rule;
	size_t count = 0;

	relation.columns = (const char *const *)members->names;
	relation.column_count = members->count;
	ruleset_bind(ruleset, &relation, &rule);
	for (size_t i = 0; i < members->count; i++)
		if (!rule.sent[i])
			drop[count++] = members->names[i];
	table_rule_finish(&rule);
	return count;
}

enum status ruleset_filter_row(const struct ruleset *ruleset, const struct relation *relation,
	struct row_memo *memo, struct span row, char **filtered, struct err *err)
{
	struct members members = {0};
	enum status status = STATUS_OK;
	const char **drop;
	size_t count;

	*filtered = NULL;
	memo->shape.max = BUF_NO_MAX; /* not longer than the row */
	shape_of(&memo->shape, row);
	if (!memo->shape.len || is_known(memo))
		return STATUS_OK;
	members_read(&members, row);
	drop = mem_alloc((members.count + 1) * sizeof(*drop));
	count = find_withheld(ruleset, relation, &members, drop);
	if (count)
		status = object_without(row, drop, count, filtered, err);
	else
		remember(memo);
	free(drop);
	members_finish(&members);
	return status;
}
