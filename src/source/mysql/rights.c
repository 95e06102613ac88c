/* Four questions, whatever the number of tables, which the server answers from memory; see rights.h. */
#include "source/mysql/rights.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/mysql/text.h"

#define GRANTS_MAX 360 /* bytes of them in a sentence */

/* -- what there is ---------------------------------------------------------------------------------------------------- */

static char *copy(const char *text)
{
	return text ? mem_text(text) : NULL;
}

static enum status load(struct my_db *db, const char *select, const char *grantee, struct my_rights *rights, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* a name */
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status;
	MYSQL_ROW row;

	buf_printf(&sql, "SELECT %s WHERE GRANTEE = ", select);
	my_text_literal(&sql, span_of(grantee));
	status = my_query(db, sql.bytes, MY_TIMEOUT_MS, &rows, err);
	while (status == STATUS_OK && (row = mysql_fetch_row(rows))) {
		mem_grow(&rights->list, &rights->room, rights->count, sizeof(*rights->list));
		rights->list[rights->count++] = (struct my_right){copy(row[0]), copy(row[1]), copy(row[2])};
	}
	return status;
}

/* Both ways to write the account: that of GRANT, and information_schema's, which quotes nothing. */
static enum status load_account(struct my_db *db, struct my_rights *rights, char **grantee, struct err *err)
{
	AUTO_BUF struct buf account = buf_init(BUF_NO_MAX); /* a name */
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status = my_query(db, "SELECT CURRENT_USER(), CURRENT_ROLE()", MY_TIMEOUT_MS, &rows, err);
	MYSQL_ROW row = status == STATUS_OK ? mysql_fetch_row(rows) : NULL;
	AUTO_FREE char *user = copy(row && row[0] ? row[0] : "@");
	char *at = strrchr(user, '@'); /* a user's name may have one, a host has none */

	if (status != STATUS_OK || !at)
		return status;
	*at = 0;
	my_text_name(&account, user);
	buf_text(&account, "@");
	my_text_name(&account, at + 1);
	rights->account = buf_take(&account);
	rights->roles = row && row[1] && *row[1] && strcasecmp(row[1], "NONE") != 0;
	*grantee = mem_format("'%s'@'%s'", user, at + 1);
	return STATUS_OK;
}

enum status my_rights_load(struct my_db *db, struct my_rights *rights, struct err *err)
{
	static const char *const selects[] = {"PRIVILEGE_TYPE, NULL, NULL FROM information_schema.USER_PRIVILEGES",
		"PRIVILEGE_TYPE, TABLE_SCHEMA, NULL FROM information_schema.SCHEMA_PRIVILEGES",
		"PRIVILEGE_TYPE, REPLACE(TABLE_SCHEMA, '_', '\\\\_'), TABLE_NAME FROM information_schema.TABLE_PRIVILEGES",
		"DISTINCT PRIVILEGE_TYPE, REPLACE(TABLE_SCHEMA, '_', '\\\\_'), TABLE_NAME FROM information_schema.COLUMN_PRIVILEGES"};
	AUTO_FREE char *grantee = NULL;
	enum status status;

	*rights = (struct my_rights){.account = NULL};
	status = load_account(db, rights, &grantee, err);
	for (size_t i = 0; i < sizeof(selects) / sizeof(*selects) && status == STATUS_OK && !rights->roles; i++)
		status = load(db, selects[i], grantee, rights, err);
	return status;
}

void my_rights_finish(struct my_rights *rights)
{
	for (size_t i = 0; i < rights->count; i++) {
		free(rights->list[i].right);
		free(rights->list[i].schema);
		free(rights->list[i].table);
	}
	free(rights->list);
	free(rights->account);
	*rights = (struct my_rights){.account = NULL};
}

/* As LIKE of the server: % and _ stand for others, a backslash before them for themselves. Letters of either case are the same, as they may
 * be for the server. */
static bool fits(const char *pattern, const char *name)
{
	const char *star = NULL, *from = NULL;

	while (*name) {
		const char *next = pattern + (*pattern == '\\' && pattern[1]);

		if (*pattern == '%') {
			star = ++pattern;
			from = name;
		} else if (*pattern == '_' || (*next && tolower((unsigned char)*next) == tolower((unsigned char)*name))) {
			pattern = next + 1;
			name++;
		} else if (star) {
			pattern = star;
			name = ++from;
		} else {
			return false;
		}
	}
	return pattern[strspn(pattern, "%")] == 0;
}

bool my_rights_has(const struct my_rights *rights, const char *right, const char *schema, const char *table)
{
	for (size_t i = 0; i < rights->count; i++) {
		const struct my_right *one = &rights->list[i];

		if (!strcmp(one->right, right) && (!one->schema || fits(one->schema, schema)) &&
			(!one->table || (table && !strcasecmp(one->table, table))))
			return true;
	}
	return rights->roles;
}

/* -- what is lacking -------------------------------------------------------------------------------------------------- */

/* Statements that can be pasted, as many as fit into a sentence. */
struct grants {
	struct buf text;
	size_t left_out;
};

static void add_grant(struct grants *grants, const struct my_rights *rights, const char *names, const char *schema, const char *table)
{
	AUTO_BUF struct buf one = buf_init(BUF_NO_MAX); /* names */

	buf_printf(&one, "%sGRANT %s ON ", grants->text.len ? " " : "", names);
	my_text_name(&one, schema);
	buf_text(&one, ".");
	if (table)
		my_text_name(&one, table);
	else
		buf_text(&one, "*");
	buf_printf(&one, " TO %s;", rights->account);
	if (grants->left_out || !buf_bytes(&grants->text, one.bytes, one.len))
		grants->left_out++;
}

/* Of the rights to one object those that are lacking, in one statement. */
static void need(struct grants *grants, const struct my_rights *rights, const char *const *names, size_t count, const char *schema,
	const char *table)
{
	AUTO_BUF struct buf lacks = buf_init(BUF_NO_MAX); /* some words */

	for (size_t i = 0; i < count; i++)
		if (!my_rights_has(rights, names[i], schema, table))
			buf_printf(&lacks, "%s%s", lacks.len ? ", " : "", names[i]);
	if (lacks.len)
		add_grant(grants, rights, lacks.bytes, schema, table);
}

static enum status say(struct grants *grants, const char *what, struct err *err)
{
	enum status status = grants->text.len || grants->left_out ? STATUS_DENIED : STATUS_OK;
	char more[64] = "";

	if (grants->left_out)
		snprintf(more, sizeof(more), " (and %zu more; esink --check names them then)", grants->left_out);
	if (status != STATUS_OK)
		err_set(err, status, "%s; run: %s%s", what, grants->text.len ? grants->text.bytes : "", more);
	buf_finish(&grants->text);
	return status;
}

/* The watched tables, as the catalogue has them, or, where it cannot be read, as TABLE_NAMES has. */
struct object {
	const char *schema, *table;
};

static struct object *objects_of(const struct my_db *db, const struct my_catalog *catalog, size_t *count)
{
	const struct ruleset *rules = db->config->rules;
	struct object *list;

	*count = catalog ? catalog->count : rules->table_count;
	list = mem_zero(*count + 1, sizeof(*list));
	for (size_t i = 0; i < *count; i++)
		if (catalog)
			list[i] = (struct object){catalog->tables[i].schema, catalog->tables[i].name};
		else
			list[i] = (struct object){rules->tables[i].schema ? rules->tables[i].schema : db->config->database, rules->tables[i].table};
	return list;
}

static bool is_first_of_schema(const struct object *list, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (!strcmp(list[i].schema, list[at].schema))
			return false;
	return true;
}

static enum status lacking(struct my_db *db, const struct my_rights *rights, const struct my_catalog *catalog, struct err *err)
{
	static const char *const ours[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "CREATE ROUTINE", "ALTER ROUTINE"},
		*const watched[] = {"TRIGGER", "SELECT"}, *const lock[] = {"LOCK TABLES"};
	struct grants grants = {.text = buf_init(GRANTS_MAX)};
	AUTO_FREE struct object *tables = NULL;
	char what[128];
	size_t count;

	tables = objects_of(db, catalog, &count);
	need(&grants, rights, ours, sizeof(ours) / sizeof(*ours), db->config->database, NULL);
	for (size_t i = 0; i < count; i++) {
		bool elsewhere = strcmp(tables[i].schema, db->config->database) != 0; /* else SELECT was asked for above */

		need(&grants, rights, watched, elsewhere ? 2 : 1, tables[i].schema, tables[i].table);
		if (!db->maria && is_first_of_schema(tables, i))
			need(&grants, rights, lock, 1, tables[i].schema, NULL);
	}
	snprintf(what, sizeof(what), "the account %.90s lacks rights", rights->account);
	return say(&grants, what, err);
}

enum status my_rights_check(struct my_db *db, const struct my_catalog *catalog, struct err *err)
{
	struct my_rights rights;
	enum status status = my_rights_load(db, &rights, err);

	if (status == STATUS_OK)
		status = lacking(db, &rights, catalog, err);
	my_rights_finish(&rights);
	return status;
}

void my_rights_explain(struct my_db *db, struct err *err)
{
	struct err why;

	if (db->conn && my_rights_check(db, NULL, &why) == STATUS_DENIED)
		*err = why;
}

enum status my_rights_read(struct my_db *db, const char *variable, const char *schema, const char *table, struct err *err)
{
	static const char *const names[] = {"SELECT"};
	struct grants grants = {.text = buf_init(GRANTS_MAX)};
	struct my_rights rights;
	char what[128];
	enum status status = my_rights_load(db, &rights, err);

	if (status == STATUS_OK) {
		need(&grants, &rights, names, 1, schema, table);
		snprintf(what, sizeof(what), "%s: no right to read \"%.80s\"", variable, table);
		status = say(&grants, what, err);
	}
	my_rights_finish(&rights);
	return status;
}

/* -- what was lost ---------------------------------------------------------------------------------------------------- */

enum status my_rights_look(struct my_db *db, struct my_rights_watch *watch, struct err *complaint, struct err *err)
{
	static const char *const names[] = {"TRIGGER", "SELECT", "INSERT"};
	struct grants grants = {.text = buf_init(GRANTS_MAX)};
	AUTO_FREE struct object *tables = NULL;
	struct my_rights rights;
	size_t count;
	enum status status = my_rights_load(db, &rights, err);

	tables = objects_of(db, NULL, &count);
	if (!watch->had)
		watch->had = mem_zero(2 * count + 1, sizeof(*watch->had));
	for (size_t i = 0; i <= 2 * count && status == STATUS_OK; i++) {
		const char *schema = i < 2 * count ? tables[i / 2].schema : db->config->database;
		const char *table = i < 2 * count ? tables[i / 2].table : db->config->outbox, *name = i < 2 * count ? names[i % 2] : names[2];
		bool has = my_rights_has(&rights, name, schema, table);

		if (!has && watch->had[i])
			add_grant(&grants, &rights, name, schema, table);
		watch->had[i] |= has;
	}
	complaint->text[0] = 0;
	if (status == STATUS_OK)
		(void)say(&grants, "writes to watched tables fail: triggers run with the rights of esink's account, which has lost some", complaint);
	my_rights_finish(&rights);
	return status;
}
