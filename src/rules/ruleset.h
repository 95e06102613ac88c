/* What the configuration says of tables, parsed and checked but not yet matched to a database: TABLE_NAMES,
 * TABLE_AUTH_COLUMN_ROUTING, FILTERS, COLUMNS, OLD_ROWS. A driver then resolves each name with its own catalogue and binds
 * the rules to the tables it found. Pure functions, no database types. */
#ifndef ESINK_RULESET_H
#define ESINK_RULESET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "esink/span.h"
#include "esink/status.h"

/* A table as the user wrote it: `orders`, `shop.orders`, `"My.Table"`. schema NULL: the default schema. */
struct table_name {
	char *schema, *table;
	char *text; /* as written, for messages */
};

/* Entries as written; several may name one table. */
struct column_name {
	struct table_name table;
	char *column;
	bool implied; /* AUTH_TABLE.AUTH_COLUMN, not written in FILTERS */
};

struct route_entry {
	struct table_name table;
	bool broadcast; /* "*" */
	char **columns; /* NULL-terminated; NULL with broadcast */
};

struct ruleset {
	struct table_name *tables;    /* TABLE_NAMES, no repeats as written */
	size_t table_count;
	struct route_entry *routes;   /* TABLE_AUTH_COLUMN_ROUTING */
	size_t route_count;
	struct column_name *filters;  /* FILTERS, and always AUTH_TABLE.AUTH_COLUMN (the last one, implied true) */
	size_t filter_count;
	struct column_name *columns;  /* COLUMNS */
	size_t column_count;
	struct table_name *old_rows;  /* OLD_ROWS */
	size_t old_row_count;
	bool old_rows_all;            /* OLD_ROWS=* */
};

struct ruleset_text {
	const char *table_names, *routing, *filters, *columns, *old_rows; /* the variables' values; NULL is empty */
	const char *auth_table, *auth_column;
};

/* Errors read as CONTRACT section 1: `FILTERS: "password" is not table.column`. */
struct ruleset *ruleset_create(const struct ruleset_text *text, struct err *err);
void ruleset_destroy(struct ruleset *ruleset);

/* Reads one name, as AUTH_TABLE holds it: `auth`, `app.auth`, `"My.Auth"`. variable names it in the error. The name is the
 * caller's to finish. */
enum status table_name_parse(const char *variable, const char *text, struct table_name *name, struct err *err) MUST_CHECK;
void table_name_finish(struct table_name *name);

/* A table as the database has it, with its columns in table order. Strings borrowed. */
struct relation {
	const char *schema, *table;
	bool in_default_schema;
	const char *const *columns;
	size_t column_count;
};

/* What the rules say of one relation, columns by index into relation->columns. */
struct table_rule {
	bool broadcast;
	size_t *route;     /* distinct, in configured order */
	size_t route_count;
	bool *sent;        /* per column: leaves the table (not filtered, and named by COLUMNS where that names the table) */
	bool old_rows;
	char *missing;     /* a FILTERS, COLUMNS or routing column that the table does not have, as `FILTERS: users.pasword`;
			      NULL: none. Such a table is only ever sent as key alone. missing_filter: one of FILTERS */
	bool missing_filter, missing_route;
};

/* name matches relation? exact case first, then folded to lower case; a bare name only in the default schema. */
bool table_name_matches(const struct table_name *name, const struct relation *relation);
/* What protects takes any case: whether FILTERS that name a table so withhold columns of relation, and a column's name is that one. */
bool table_name_protects(const struct table_name *name, const struct relation *relation);
bool column_name_protects(const char *name, const char *column);
/* Merges every entry whose table is this relation. Column names: exact case first, then folded. */
void ruleset_bind(const struct ruleset *ruleset, const struct relation *relation, struct table_rule *rule);
/* What comes of rule->missing, for whoever reads /ready. Returns STATUS_FAILED, as err_set() does. */
enum status table_rule_complain(const struct table_rule *rule, struct err *complaint);
void table_rule_finish(struct table_rule *rule);

/* What the rules say of a table whose columns are not known, for rows that were sealed under earlier rules. */
struct table_view {
	bool watched;  /* TABLE_NAMES has it */
	bool users;    /* and it has a rule: users may see rows of it */
	bool everyone; /* the rule is "*" */
	bool filtered; /* FILTERS or COLUMNS name it */
};
struct table_view ruleset_view(const struct ruleset *ruleset, const struct relation *relation);

/* The shapes of rows of one relation that the rules let pass as they are: nearly every row has one of few. Zeroed at first. */
#define ROW_SHAPES 4
struct row_memo {
	struct buf shape, harmless[ROW_SHAPES];
	unsigned next;
};
void row_memo_finish(struct row_memo *memo);

/* The row of a table (a JSON object that our trigger made) less what may not leave the table today. *filtered is malloc'ed;
 * NULL: the row stays as it is. STATUS_INVALID: it cannot be taken apart. The relation's columns are not looked at; memo is
 * of that relation and that ruleset. */
enum status ruleset_filter_row(const struct ruleset *ruleset, const struct relation *relation, struct row_memo *memo,
	struct span row, char **filtered, struct err *err) MUST_CHECK;
/* Whether FILTERS name a published topic. */
bool ruleset_filters_topic(const struct ruleset *ruleset, const char *topic);

/* Removes the filtered columns of topic from a published data object given as text, by any FILTERS entry whose table as
 * written, or bare, equals topic ignoring case. Returns malloc'ed compact JSON text. Digits of numbers are kept exactly as
 * written. STATUS_INVALID: not a JSON object. */
enum status ruleset_filter_data(const struct ruleset *ruleset, const char *topic, struct span data, char **filtered,
	struct err *err) MUST_CHECK;

/* The entry of names (count of them) closest to text, for «did you mean»; NULL when none is near. */
const char *closest_name(const char *text, const char *const *names, size_t count);

#endif
