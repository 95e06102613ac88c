/* --check and --uninstall: on a connection of their own, before anything else runs, printing to stdout. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/sqlite/auth_table.h"
#include "source/sqlite/install.h"
#include "source/sqlite/sqlite.h"
#include "source/summary.h"

#define WAIT_MS 10000
#define BATCH "500" /* rows; nobody should wait for a long journal to go */

static void describe(const struct catalog *catalog)
{
	for (size_t i = 0; i < catalog->count; i++) {
		const struct lite_table *table = &catalog->tables[i];

		printf("%s: ", table->name);
		if (table->rule.broadcast)
			printf("every session");
		else if (table->rule.route_count == 0)
			printf("no routing: operator and consumers only");
		for (size_t r = 0; r < table->rule.route_count; r++)
			printf("%s%s", r ? ", " : "the users in ", table->columns[table->rule.route[r]].name);
		printf("; sends");
		for (size_t c = 0; c < table->count; c++)
			if (table->rule.sent[c])
				printf(" %s", table->columns[c].name);
		printf("%s\n", table->rule.old_rows ? ", and the old row" : "");
	}
}

static bool plan_has(const struct buf *plan, const char *begins, const char *name, size_t len)
{
	for (const char *at = plan->bytes; at && (at = strstr(at, begins)); at += strlen(begins))
		if ((at == plan->bytes || at[-1] == '\n') && strncmp(at + strlen(begins), name, len) == 0)
			return true;
	return false;
}

/* The name at the start of text, with its quotes. */
static size_t name_len(const char *text)
{
	const char *end = text + 1;

	if (*text != '"')
		return strcspn(text, " (;\n");
	while ((end = strchr(end, '"')) && end[1] == '"')
		end += 2;
	return end ? (size_t)(end + 1 - text) : strlen(text);
}

/* The statements stand at the beginning of their lines. What is dropped first and then made is replaced. */
static void summarize(const struct buf *plan, struct summary *summary)
{
	static const char *const kinds[] = {"TABLE ", "VIEW ", "INDEX ", "TRIGGER "};
	const char *line = plan->len ? plan->bytes : NULL;

	for (; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		bool create = strncmp(line, "CREATE ", 7) == 0, drop = strncmp(line, "DROP ", 5) == 0;
		const char *kind = line + (create ? 7 : 5);

		for (size_t i = 0; (create || drop) && i < sizeof(kinds) / sizeof(*kinds); i++) {
			const char *name = kind + strlen(kinds[i]);

			if (strncmp(kind, kinds[i], strlen(kinds[i])) != 0)
				continue;
			if (drop && !plan_has(plan, "CREATE TRIGGER ", name, name_len(name)))
				summary_add(summary, SUMMARY_DROP, name, name_len(name));
			if (create)
				summary_add(summary, plan_has(plan, "DROP TRIGGER ", name, name_len(name)) ? SUMMARY_REPLACE :
					SUMMARY_CREATE, name, name_len(name));
		}
	}
}

static void print_statements(const struct buf *plan, const struct catalog *catalog, bool brief)
{
	struct summary summary;

	summary_init(&summary);
	summarize(plan, &summary);
	if (plan->len && !brief) {
		summary_print(&summary);
		printf("\nwould run:\n%s\n", plan->bytes);
	}
	describe(catalog);
	printf("\n");
	summary_print(&summary);
	summary_finish(&summary);
}

static enum status print_plan(struct sqlite *source, bool tokens, struct err *err)
{
	struct install_result result = {0};
	struct catalog *catalog = NULL;
	enum status status = lite_install_plan(&source->db, source->config->rules, &catalog, &result, err);

	if (status == STATUS_OK) {
		lite_catalog_warn_idle(catalog);
		if (tokens)
			lite_catalog_warn_tokens(catalog, source->config);
		print_statements(&result.statements, catalog, source->config->brief);
		printf("\na relay is at work on this file: %s\n", lite_note_busy(source->config->path) ? "yes" : "no");
	}
	lite_catalog_free(catalog);
	lite_install_result_finish(&result);
	return status;
}

enum status sqlite_check(void *opaque, struct err *err)
{
	struct sqlite *source = opaque;
	bool tokens = false;
	enum status status;

	if (access(source->config->path, F_OK) != 0) {
		if (source->config->rules->table_count)
			return err_set(err, STATUS_NOT_FOUND, "SQLITE_PATH: there is no file \"%s\", and TABLE_NAMES names \"%s\": make "
				"the database with its tables first, or name the one that has them in SQLITE_PATH, POSTGRES_DATABASE_URL or "
				"MYSQL_DATABASE", source->config->path, source->config->rules->tables[0].text);
		printf("would make the database \"%s\", with the tables of esink alone\n", source->config->path);
		return STATUS_OK;
	}
	db_wait(&source->db, WAIT_MS);
	status = db_open(&source->db, false, err);
	if (status == STATUS_OK)
		status = lite_auth_table_check(&source->db, source->config, &tokens, err);
	if (status == STATUS_OK)
		status = print_plan(source, tokens, err);
	db_close(&source->db);
	return status;
}

/* In small transactions, as pruning does: a long journal must not stop the application's writers. */
static enum status empty_journal(struct db *db, struct err *err)
{
	int64_t there = 0;
	enum status status = db_number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'esink_event'", &there, err);

	while (status == STATUS_OK && there) {
		db_wait(db, WAIT_MS);
		status = db_run(db, "DELETE FROM esink_event WHERE id IN (SELECT id FROM esink_event WHERE id < "
			"(SELECT max(id) FROM esink_event) ORDER BY id LIMIT " BATCH ")", err);
		there = sqlite3_changes(db->conn);
	}
	return status;
}

/* All of it is said, and what is somebody else's found, before anything goes. */
static enum status remove_all(struct db *db, const char *path, bool only_look, struct err *err)
{
	AUTO_BUF struct buf lines = buf_init(BUF_NO_MAX); /* bounded by the schema */
	AUTO_FREE char *where = mem_format("\"%s\"", path);
	enum status status = lite_install_list(db, &lines, err);

	if (status != STATUS_OK)
		return status;
	if (!lines.len) {
		printf("nothing to remove: %s has no tables of esink\n", where);
		return STATUS_OK;
	}
	summary_removal(only_look, where, &lines);
	if (only_look)
		return STATUS_OK;
	status = empty_journal(db, err);
	if (status == STATUS_OK)
		status = lite_install_remove(db, err);
	if (status == STATUS_OK)
		printf("removed the tables and every trigger of esink from %s, whose journal mode stays WAL\n", where);
	return status;
}

enum status sqlite_uninstall(void *opaque, struct err *err)
{
	struct sqlite *source = opaque;
	const char *path = source->config->path;
	bool only_look = source->config->only_look;
	AUTO_CLOSE int hold = -1;
	enum status status;

	if (access(path, F_OK) != 0) {
		printf("nothing to remove: there is no file \"%s\"\n", path);
		return STATUS_OK;
	}
	/* Held until all is gone: a relay that starts meanwhile waits. */
	if (only_look && lite_note_busy(path))
		printf("a relay is at work on this file: --uninstall would be refused\n");
	else if (!only_look && !lite_note_hold(path, &hold))
		return err_set(err, STATUS_CONFLICT, "SQLITE_PATH: a relay is at work on \"%s\", which would install all of it again: "
			"stop it, then run esink --uninstall once more; nothing was removed", path);
	db_wait(&source->db, WAIT_MS);
	status = db_open(&source->db, false, err);
	if (status == STATUS_OK)
		status = remove_all(&source->db, path, only_look, err);
	db_close(&source->db);
	if (status == STATUS_OK && !only_look)
		lite_note_remove(path);
	return status;
}
