/* What the database's schema says of the tables that the configuration names. Loaded whole, never changed; after the schema's
 * version number has moved another one is loaded. */
#ifndef ESINK_SQLITE_CATALOG_H
#define ESINK_SQLITE_CATALOG_H

#include "esink/source.h"
#include "rules/ruleset.h"
#include "source/sqlite/db.h"
#include "source/sqlite/value.h"

struct lite_column {
	char *name;
	char *type; /* as declared; "" when there is none */
	int key;    /* 1.. place in the primary key; 0: not in it */
	enum value_form form;
	bool is_short;           /* can hold nothing but a number: the rowid, or in a STRICT table */
	char *withheld_as[2];    /* recall.c: the table and column for which it is withheld, when today it has another name */
};

struct lite_table {
	char *name;
	struct lite_column *columns;
	size_t count;
	const char **column_names; /* of columns, for the rules */
	struct table_rule rule;
};

/* recall.c: a table's guard trigger, or what an earlier one said of a column. */
struct lite_remembered {
	char *table;
	char *guard;          /* its text; NULL: */
	char *name, *then[2]; /* the column's name, and the table and column for which it was withheld */
};

struct catalog {
	const struct ruleset *rules; /* borrowed */
	struct lite_table *tables;
	size_t count;
	struct lite_remembered *remembered;
	size_t remembered_count, remembered_room;
};

/* strict: what is missing or cannot be watched is an error with a sentence for the user; otherwise such tables are left out
 * and *complaint says so. */
enum status lite_catalog_load(struct db *db, const struct ruleset *rules, bool strict, struct catalog **ret,
	struct err *complaint, struct err *err) MUST_CHECK;
void lite_catalog_free(struct catalog *catalog);
/* Of rules that name no watched table, which do nothing. */
void lite_catalog_warn_idle(const struct catalog *catalog);
/* Of columns that are sent and may hold tokens. There is a token table. */
void lite_catalog_warn_tokens(const struct catalog *catalog, const struct source_config *config);

/* The columns of any table or view, by its name. Gives count 0 when there is none. */
enum status lite_catalog_columns(struct db *db, struct lite_table *table, struct err *err) MUST_CHECK;
void lite_catalog_table_finish(struct lite_table *table);

#endif
