/* The claim of a configuration: its rules, written out and hashed, kept fresh in esink.relay.
 *
 * Without it, a relay that is started with fewer FILTERS beside a running one (a rolling deploy)
 * would replace the trigger functions, and the sessions of the first would be told what its own
 * configuration withholds.
 */
#include "source/postgres/claim.h"

#include <stdio.h>

#include "base/buf.h"
#include "rules/ruleset.h"

#define CLAIM_TIMEOUT_MS 10000
#define RELEASE_TIMEOUT_MS 1000

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

/* Every rule in one text: in the order of the configuration, which is near enough to the same
 * rules. */
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

/* FNV-1a: the same in every process; nobody gains by a collision but whoever configures both. */
static void fingerprint(const struct source_config *config, char word[17])
{
	AUTO_BUF struct buf text = buf_init(BUF_NO_MAX); /* bounded by the configuration */
	uint64_t h = 14695981039346656037u;

	write_rules(&text, config->rules);
	for (size_t i = 0; i < text.len; i++)
		h = (h ^ (unsigned char)text.bytes[i]) * 1099511628211u;
	snprintf(word, 17, "%016llx", (unsigned long long)h);
}

enum status claim_configuration(struct pg *pg, const struct source_config *config, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	char word[17];
	const char *params[] = {word};
	enum status status;

	fingerprint(config, word);
	status = pg_call(pg, "SELECT esink.claim($1::pg_catalog.text)", 1, params,
		CLAIM_TIMEOUT_MS, &result, err);
	if (status != STATUS_OK || pg_bool(result, 0, 0))
		return status;
	return err_set(err, STATUS_CONFLICT,
		"another relay with other rules (TABLE_NAMES, TABLE_AUTH_COLUMN_ROUTING, FILTERS, "
		"COLUMNS, "
		"OLD_ROWS or AUTH_TABLE) is at work on this database: this one waits until it has "
		"ended");
}

void claim_release(struct pg *pg, const struct source_config *config)
{
	AUTO_RESULT PGresult *result = NULL;
	char word[17];
	const char *params[] = {word};
	struct err ignored;
	int stop_fd = pg->stop_fd;

	if (!pg->conn)
		return;
	fingerprint(config, word);
	pg->stop_fd = -1; /* stopping must not stop this */
	if (pg_call(pg, "SELECT esink.release($1::pg_catalog.text)", 1, params, RELEASE_TIMEOUT_MS,
		    &result, &ignored) != STATUS_OK)
		pg_close(pg);
	pg->stop_fd = stop_fd;
}
