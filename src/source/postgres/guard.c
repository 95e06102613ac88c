/* Rules name columns, the catalogue numbers them. A trigger function names them too, so that after
 * `DROP COLUMN name; RENAME secret TO name` it sends the secret as name, until the drift check has
 * made another function: up to a second later, and no event may carry it even then. So each event
 * says which version of its function wrote it, and a version whose columns are not as they were is
 * broken: the tick keeps the key alone of its events.
 *
 * The version is made from the guard's content: the same columns, the same function text. Partitions
 * need no rows of their own, for their columns are renamed with their parent's.
 */
#include "source/postgres/guard.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/postgres/expression.h"

/* (watched, relation, number, name, changed, key), */
static void add_row(struct buf *rows, pg_oid watched, pg_oid relation,
	const struct pg_column *column, bool key)
{
	buf_printf(rows, "%s(%u, %u, %d, ", rows->len ? ", " : "", watched, relation, column->number);
	sql_literal(rows, column->name);
	buf_printf(rows, ", '%u', %s)", column->changed, key ? "true" : "false");
}

static void add_withheld(struct buf *rows, const struct pg_catalog *catalog,
	const struct pg_table *table, const char *name)
{
	for (size_t m = 0; m < table->member_count; m++) {
		const struct pg_columns *columns =
			table->members[m].partition
				? NULL
				: catalog_composite(catalog, table->members[m].oid);

		for (size_t i = 0; columns && i < columns->count; i++)
			if (strcmp(columns->list[i].name, name) == 0)
				add_row(rows, table->oid, table->members[m].oid, &columns->list[i],
					false);
	}
}

static bool withholds(const struct pg_table *table)
{
	for (size_t i = 0; i < table->columns.count; i++)
		if (!table->rule.sent[i])
			return true;
	return false;
}

/* Empty: nothing is withheld. */
static void write_rows(
	struct buf *rows, const struct pg_catalog *catalog, const struct pg_table *table)
{
	if (!withholds(table))
		return;
	for (size_t i = 0; i < table->columns.count; i++) {
		const struct pg_column *column = &table->columns.list[i];

		if (!table->rule.sent[i])
			add_withheld(rows, catalog, table, column->name);
		else if (column->key > 0)
			add_row(rows, table->oid, table->oid, column, true);
	}
}

/* FNV-1a, folded to a positive integer that is not 0. */
static int32_t version_of(const struct buf *rows)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < rows->len; i++)
		h = (h ^ (unsigned char)rows->bytes[i]) * 16777619u;
	return (int32_t)(h & 0x7fffffff) | 1;
}

int32_t guard_version(const struct pg_catalog *catalog, const struct pg_table *table)
{
	AUTO_BUF struct buf rows = buf_init(BUF_NO_MAX); /* bounded by the catalogue */

	write_rows(&rows, catalog, table);
	return rows.len ? version_of(&rows) : 0;
}

void guard_put(struct buf *sql, const struct pg_catalog *catalog, const struct pg_table *table)
{
	AUTO_BUF struct buf rows = buf_init(BUF_NO_MAX);
	int32_t version;

	write_rows(&rows, catalog, table);
	version = rows.len ? version_of(&rows) : 0;
	buf_printf(sql,
		"UPDATE esink.guard SET superseded = pg_catalog.clock_timestamp() WHERE watched "
		"OPERATOR(pg_catalog.=) '%u'::pg_catalog.oid AND version OPERATOR(pg_catalog.<>) %d AND "
		"superseded IS NULL;\n",
		table->oid, version);
	if (!rows.len)
		return;
	buf_printf(sql,
		"INSERT INTO esink.guard (version, watched, relation, number, name, changed, key) "
		"SELECT %d, v.watched, v.relation, v.number, v.name, v.changed::pg_catalog.xid, v.key "
		"FROM (VALUES %s) v (watched, relation, number, name, changed, key) "
		"ON CONFLICT (version, relation, number) DO UPDATE SET superseded = NULL, until = "
		"NULL;\n",
		version, rows.bytes);
}

void guard_drop(struct buf *sql, const char *watched)
{
	buf_printf(sql,
		"\nUPDATE esink.guard SET superseded = pg_catalog.clock_timestamp() WHERE "
		"watched::pg_catalog.text OPERATOR(pg_catalog.=) ");
	sql_literal(sql, watched);
	buf_text(sql, "::pg_catalog.text AND superseded IS NULL;");
}
