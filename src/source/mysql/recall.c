/* The rules name columns and names move: after `RENAME secret TO old_secret, ADD secret` the rules would send the column that
 * holds every secret so far. A column of MySQL has no number that outlives an ALTER TABLE, and triggers do not follow names.
 *
 * What is left is the order of columns, which a rename keeps. The shape that the table's triggers were made for lists all of
 * its columns. Those of them that are not withheld and stand in the same order today are anchors; between two anchors the
 * first, second, .. column of then is the first, second, .. of today. A column that stands where a withheld one stood, under
 * another name, is suspect: it is withheld, and /ready says so, until FILTERS name it or everything of esink is removed. So a
 * harmless column that is added right before a withheld one is suspect, too, which is the price. ALTER TABLE may also move what it
 * renames: where a withheld column is not between its anchors any more, every name that was not there then is suspect.
 *
 * A table that has no trigger of ours is another table than the one that was watched, and is judged by its names alone.
 */
#include "source/mysql/recall.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/mysql/fit.h"
#include "source/mysql/form.h"
#include "source/mysql/text.h"

enum status my_recall_is_ours(struct my_db *db, const struct my_table *table, bool *ret, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* bounded by two names */
	int64_t count = 0;
	enum status status;

	buf_text(&sql, "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ");
	my_text_literal(&sql, span_of(table->schema));
	buf_text(&sql, " AND EVENT_OBJECT_TABLE = ");
	my_text_literal(&sql, span_of(table->name));
	buf_text(&sql, " AND TRIGGER_NAME LIKE 'esink|_%' ESCAPE '|'");
	status = my_number(db, sql.bytes, &count, err);
	/* Passed over, since an ALTER TABLE is just replacing its definition: what was withheld must not be forgotten for that. */
	if (status == STATUS_OK && !count && mysql_warning_count(db->conn) > 0)
		return err_set(err, STATUS_TOO_MANY, "table %s is being altered: looking again", table->topic);
	*ret = count > 0;
	return status;
}

/* The newest shape of the table, of those that are not retired. */
static void read_then(const struct my_rows *shapes, const struct my_table *table, struct my_form_shape *then)
{
	const struct my_row *row, *newest = NULL;

	for (size_t left = my_rows_find(shapes, table->topic, NULL, &row); left; left--, row++)
		if (!newest || row->at > newest->at)
			newest = row;
	if (newest && newest->cells[SHAPE_LAYOUT])
		my_form_read(span_of(newest->cells[SHAPE_LAYOUT]), then);
}

static bool is_anchor(const struct my_form_column *then, const struct my_column *now)
{
	return then->sent == FORM_SENT && !strcasecmp(then->name, now->name);
}

/* anchors[i]: the column of today that is the column i of then; SIZE_MAX: none. The longest common subsequence. */
static void find_anchors(const struct my_form_shape *then, const struct my_table *now, size_t *anchors)
{
	size_t n = then->column_count, m = now->count, i = 0, j = 0;
	AUTO_FREE uint16_t *best = mem_zero((n + 1) * (m + 1), sizeof(*best));

	for (i = n; i-- > 0;)
		for (j = m; j-- > 0;) {
			uint16_t skip = best[(i + 1) * (m + 1) + j], other = best[i * (m + 1) + j + 1];

			best[i * (m + 1) + j] = is_anchor(&then->columns[i], &now->columns[j])
				? (uint16_t)(best[(i + 1) * (m + 1) + j + 1] + 1) : skip > other ? skip : other;
		}
	for (i = 0; i < n; i++)
		anchors[i] = SIZE_MAX;
	for (i = j = 0; i < n && j < m;) {
		if (is_anchor(&then->columns[i], &now->columns[j]))
			anchors[i++] = j++;
		else if (best[(i + 1) * (m + 1) + j] >= best[i * (m + 1) + j + 1])
			i++;
		else
			j++;
	}
}

static const struct my_form_column *column_then(const struct my_form_shape *then, const char *name)
{
	for (size_t i = 0; i < then->column_count; i++)
		if (!strcasecmp(then->columns[i].name, name))
			return &then->columns[i];
	return NULL;
}

static const struct my_column *column_now(const struct my_table *now, size_t from, size_t to, const char *name)
{
	for (size_t i = from; i < to; i++)
		if (!strcasecmp(now->columns[i].name, name))
			return &now->columns[i];
	return NULL;
}

/* Who reads the events needs the key: what was there then under its name is taken to be the same, unless it may have traded names
 * with another part of the key. */
static bool is_spared(const struct my_form_shape *then, const struct my_table *now, size_t at, const char *name)
{
	const struct my_form_column *before = column_then(then, now->columns[at].name);
	const struct my_column *other = column_now(now, 0, now->count, name);

	return now->columns[at].key && before && before->sent == FORM_SENT && !(other && other->key);
}

static void suspect(const struct my_form_shape *then, struct my_table *now, size_t at, const char *name)
{
	if (at < now->count && now->rule.sent[at] && strcasecmp(now->columns[at].name, name) != 0 && !is_spared(then, now, at, name)) {
		now->rule.sent[at] = false;
		now->columns[at].suspect = true;
	}
}

static void suspect_new(const struct my_form_shape *then, struct my_table *now, const char *name)
{
	for (size_t i = 0; i < now->count; i++)
		if (!column_then(then, now->columns[i].name))
			suspect(then, now, i, name);
}

/* Where the gap ends that a column of then is in. */
static size_t gap_end(const struct my_form_shape *then, const struct my_table *now, const size_t *anchors, size_t i)
{
	while (i < then->column_count && anchors[i] == SIZE_MAX)
		i++;
	return i < then->column_count ? anchors[i] : now->count;
}

static void compare(const struct my_form_shape *then, struct my_table *now)
{
	AUTO_FREE size_t *anchors = mem_zero(then->column_count + 1, sizeof(*anchors));
	size_t begin_then = 0, begin_now = 0; /* of the gap between two anchors */

	find_anchors(then, now, anchors);
	for (size_t i = 0; i < then->column_count; i++) {
		const struct my_form_column *column = &then->columns[i];
		size_t place = begin_now + (i - begin_then);

		if (anchors[i] != SIZE_MAX) {
			begin_then = i + 1;
			begin_now = anchors[i] + 1;
		} else if (column->sent != FORM_SENT && (place >= now->count || strcasecmp(now->columns[place].name, column->name) != 0)) {
			suspect(then, now, place, column->name);
			suspect(then, now, i, column->name);
			if (!column_now(now, begin_now, gap_end(then, now, anchors, i), column->name))
				suspect_new(then, now, column->name);
		}
	}
}

/* What was suspect stays so under its name. */
static void remember(const struct my_form_shape *then, struct my_table *now)
{
	for (size_t i = 0; i < then->column_count; i++)
		for (size_t j = 0; j < now->count && then->columns[i].sent == FORM_SUSPECT; j++)
			if (!strcasecmp(then->columns[i].name, now->columns[j].name))
				suspect(then, now, j, "");
}

/* What withheld nothing leaves nothing to be remembered, and the server is not asked for the triggers, which takes it a millisecond a table. */
enum status my_recall_withheld(struct my_db *db, struct my_table *table, const struct my_rows *shapes, struct err *complaint,
	struct err *err)
{
	struct my_form_shape then = {0};
	bool ours = false;
	enum status status = STATUS_OK;

	read_then(shapes, table, &then);
	if (my_fit_withholds(&then))
		status = my_recall_is_ours(db, table, &ours, err);
	if (status == STATUS_OK && ours) {
		compare(&then, table);
		remember(&then, table);
	}
	my_form_finish(&then);
	for (size_t i = 0; i < table->count && status == STATUS_OK; i++)
		if (table->columns[i].suspect && complaint && !complaint->text[0])
			err_set(complaint, STATUS_FAILED, "FILTERS: column \"%s\" of table %s stands where a withheld one stood and may be "
				"that one, renamed: it is withheld; add %s.%s to FILTERS, or, if it may be sent, run esink --uninstall and "
				"start again", table->columns[i].name, table->topic, table->topic, table->columns[i].name);
	return status;
}
