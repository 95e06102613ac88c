/* What information_schema says of the tables that the configuration names. Loaded whole, never changed. */
#ifndef ESINK_MYSQL_CATALOG_H
#define ESINK_MYSQL_CATALOG_H

#include "rules/ruleset.h"
#include "source/mysql/db.h"
#include "source/mysql/value.h"

struct my_column {
	char *name;
	char *charset; /* NULL: it is no text */
	bool key;      /* of the primary key, or of what takes its place */
	bool small;    /* an integer of at most 32 bits */
	bool suspect;  /* recall.c: may be a withheld column under another name */
	enum my_form form;
};

struct my_table {
	char *schema, *name;
	char *topic;  /* name, or schema.name outside of the default schema */
	char *engine;
	bool in_default_schema;
	struct my_column *columns;
	size_t count;
	const char **column_names; /* of columns, for the rules */
	struct table_rule rule;
};

struct my_catalog {
	const struct ruleset *rules; /* borrowed */
	struct my_table *tables;
	size_t count;
};

/* strict: what is missing or cannot be watched is an error with a sentence for the user; otherwise such tables are left out
 * and *complaint says so. */
enum status my_catalog_load(struct my_db *db, bool strict, struct my_catalog **ret, struct err *complaint, struct err *err) MUST_CHECK;
void my_catalog_free(struct my_catalog *catalog);
bool my_catalog_has(const struct my_catalog *catalog, const char *schema, const char *table);
/* Of rules that name no watched table, which do nothing. */
void my_catalog_warn_idle(const struct my_catalog *catalog);
/* Of columns that are sent and may hold tokens. There is a token table. */
void my_catalog_warn_tokens(const struct my_catalog *catalog, const struct source_config *config);

/* Of any table: columns, engine. schema and name are set; gives count 0 when there is none. */
enum status my_catalog_columns(struct my_db *db, struct my_table *table, struct err *err) MUST_CHECK;
void my_catalog_table_finish(struct my_table *table);

#define MY_SLICES_MAX 10
/* Slices of the tables that the configuration names: one, unless they are many. */
size_t my_catalog_slices(const struct ruleset *rules);
/* A word for the columns and triggers of one slice of them, as they are now. */
enum status my_catalog_word(struct my_db *db, size_t slice, char word[17], struct err *err) MUST_CHECK;

#endif
