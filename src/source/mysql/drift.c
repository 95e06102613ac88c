/* What is looked at each second: whether columns or triggers of the watched tables have changed, and rules that do nothing.
 *
 * information_schema opens a table's files for each row of an answer, but only of tables whose names fit. A SELECT of its own for
 * each table names the one to open, and costs the server half a millisecond whatever is in it: a few tables are asked for that way.
 * Many are asked for with one list of names a schema, of which the server goes through all names, and that is quick. Opening their
 * triggers, which it compiles each time, is not: .1 to .3 s for a thousand tables, in which nothing would be fetched. So many tables are looked
 * at slice by slice, with fetching in between. The answer is hashed, and only when a slice's word is another one than before is the whole
 * catalogue read.
 */
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "source/doubts.h"
#include "source/fingerprint.h"
#include "source/mysql/catalog.h"
#include "source/mysql/text.h"

#define FEW 8     /* tables, for each of which there is a SELECT */
#define SLICE 100 /* tables, of which more are looked at in slices */

/* What is asked of a view of information_schema: the columns that it answers with, and its names for schema and table. */
struct question {
	const char *select, *schema, *table;
};
static const struct question columns_of = {
	"SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, COLUMN_KEY, ORDINAL_POSITION FROM information_schema.COLUMNS",
	"TABLE_SCHEMA", "TABLE_NAME"};
static const struct question triggers_of = {
	"SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME, CREATED, DEFINER FROM information_schema.TRIGGERS",
	"EVENT_OBJECT_SCHEMA", "EVENT_OBJECT_TABLE"};

static const char *schema_of(const struct my_db *db, const struct table_name *name)
{
	return name->schema ? name->schema : db->config->database;
}

size_t my_catalog_slices(const struct ruleset *rules)
{
	size_t slices = (rules->table_count + SLICE - 1) / SLICE;

	return slices < 1 ? 1 : slices < MY_SLICES_MAX ? slices : MY_SLICES_MAX;
}

/* Adds a SELECT of tables[first], and of those of its schema that come after it, up to end. */
static void ask(struct my_db *db, const struct ruleset *rules, size_t first, size_t end, bool alone, const struct question *question,
	struct buf *sql)
{
	const char *schema = schema_of(db, &rules->tables[first]);

	buf_printf(sql, "%s(%s WHERE %s = ", sql->len ? " UNION ALL " : "", question->select, question->schema);
	my_text_literal(sql, span_of(schema));
	buf_printf(sql, " AND %s IN (", question->table);
	my_text_literal(sql, span_of(rules->tables[first].table));
	for (size_t i = first + 1; i < end && !alone; i++)
		if (!strcmp(schema_of(db, &rules->tables[i]), schema)) {
			buf_text(sql, ", ");
			my_text_literal(sql, span_of(rules->tables[i].table));
		}
	buf_text(sql, "))");
}

static bool asked_before(const struct my_db *db, const struct ruleset *rules, size_t begin, size_t at)
{
	for (size_t i = begin; i < at; i++)
		if (!strcmp(schema_of(db, &rules->tables[i]), schema_of(db, &rules->tables[at])))
			return true;
	return false;
}

static void ask_all(struct my_db *db, size_t begin, size_t end, const struct question *question, struct buf *sql)
{
	const struct ruleset *rules = db->config->rules;
	bool few = end - begin <= FEW;

	for (size_t i = begin; i < end; i++)
		if (few || !asked_before(db, rules, begin, i))
			ask(db, rules, i, end, few, question, sql);
	buf_text(sql, " ORDER BY 1, 2, 3"); /* the same tables give the same text */
}

static enum status add_rows(struct my_db *db, const struct buf *sql, struct buf *text, struct err *err)
{
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status = my_query(db, sql->bytes, MY_TIMEOUT_MS, &rows, err);
	MYSQL_ROW row;

	while (status == STATUS_OK && (row = mysql_fetch_row(rows)))
		for (unsigned i = 0; i < mysql_num_fields(rows); i++)
			buf_json_string(text, span_of(row[i] ? row[i] : ""));
	return status;
}

enum status my_catalog_word(struct my_db *db, size_t slice, char word[17], struct err *err)
{
	const struct ruleset *rules = db->config->rules;
	size_t slices = my_catalog_slices(rules), begin = slice * rules->table_count / slices, end = (slice + 1) * rules->table_count / slices;
	AUTO_BUF struct buf columns = buf_init(BUF_NO_MAX), triggers = buf_init(BUF_NO_MAX); /* bounded by the configuration */
	AUTO_BUF struct buf text = buf_init(BUF_NO_MAX);                                    /* and by its tables */
	enum status status = STATUS_OK;

	if (begin < end) {
		ask_all(db, begin, end, &columns_of, &columns);
		ask_all(db, begin, end, &triggers_of, &triggers);
		status = add_rows(db, &columns, &text, err);
		if (status == STATUS_OK)
			status = add_rows(db, &triggers, &text, err);
	}
	if (status == STATUS_OK)
		fingerprint_text(buf_as_span(&text), word);
	return status;
}

static const struct my_table *almost(const struct my_catalog *catalog, const struct table_name *name, bool *matches)
{
	for (size_t i = 0; i < catalog->count; i++) {
		const struct my_table *table = &catalog->tables[i];
		struct relation relation = {table->schema, table->name, table->in_default_schema, NULL, 0};

		*matches = table_name_matches(name, &relation);
		if (*matches || (!name->schema && table->in_default_schema && !strcasecmp(name->table, relation.table)))
			return table;
	}
	return NULL;
}

static void warn_unprotecting(const struct my_catalog *catalog)
{
	AUTO_FREE struct relation *tables = mem_zero(catalog->count + 1, sizeof(*tables));

	for (size_t i = 0; i < catalog->count; i++)
		tables[i] = (struct relation){
			catalog->tables[i].schema, catalog->tables[i].name, catalog->tables[i].in_default_schema, NULL, 0};
	doubts_of_unwatched("mysql", catalog->rules, tables, catalog->count);
}

void my_catalog_warn_idle(const struct my_catalog *catalog)
{
	warn_unprotecting(catalog);
	for (size_t r = 0; r < catalog->rules->route_count; r++) {
		const struct table_name *name = &catalog->rules->routes[r].table;
		bool matches = false;
		const struct my_table *table = almost(catalog, name, &matches);

		if (!table)
			log_warn("mysql", "TABLE_AUTH_COLUMN_ROUTING: table \"%s\" is not in TABLE_NAMES: its rule does nothing", name->text);
		else if (!matches && !table->rule.broadcast && !table->rule.route_count)
			log_warn("mysql", "TABLE_AUTH_COLUMN_ROUTING: \"%s\" is no rule for table %s, whose rows reach no user: write "
				"the name as the table has it", name->text, table->topic);
	}
}

void my_catalog_warn_tokens(const struct my_catalog *catalog, const struct source_config *config)
{
	for (size_t i = 0; i < catalog->count; i++) {
		const struct my_table *table = &catalog->tables[i];
		const struct watched watched = {{table->schema, table->name, table->in_default_schema, table->column_names, table->count},
			table->topic, &table->rule};

		doubts_of_tokens("mysql", config, &watched);
	}
}
