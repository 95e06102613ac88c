/* What the database's catalogue says of the tables that the configuration names: which they are,
 * their columns, keys, types and descendants. Loaded whole, never changed; a drift check loads
 * another and compares fingerprints. */
#ifndef ESINK_PG_CATALOG_H
#define ESINK_PG_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "esink/status.h"
#include "rules/ruleset.h"
#include "source/postgres/connection.h"

typedef unsigned int pg_oid; /* as libpq's Oid */

struct pg_type {
	pg_oid oid, base, element, relation; /* of a domain, an array, a composite; else 0 */
	char kind;                           /* pg_type.typtype: b c d e r m p */
	char *name;
};

struct pg_column {
	char *name;
	pg_oid type;
	int key; /* 1.. place in the primary key; 0: not in it */
	int number; /* pg_attribute.attnum: stays when the name changes */
	unsigned changed; /* pg_attribute.xmin: the transaction that last touched it */
	char *withheld_as; /* recall.c: the name for which it is withheld, when that is another one; else NULL */
};

/* The columns of a table or of a composite type, in order. */
struct pg_columns {
	pg_oid relation;
	struct pg_column *list;
	size_t count;
};

struct pg_table {
	pg_oid oid;
	char *schema, *name;
	char *topic; /* as events show it */
	char kind;   /* r, p */
	bool in_default_schema;
	struct pg_columns columns;
	const char **column_names; /* of columns, for the rules */
	/* The table itself first, then partitions and inheriting tables at any depth. */
	struct pg_member {
		pg_oid oid;
		char *name;     /* quoted, with its schema */
		char *schema, *table;
		bool in_default_schema;
		char kind;      /* r, p, f */
		bool partition; /* gets the row trigger from its parent */
		char *denied;   /* not strict: why we may not make a trigger on it, and what to run; NULL: we may */
		char *owner;    /* kind p: quoted, the role whose members make partitions; NULL: ourselves */
		pg_oid owner_oid;
	} * members;
	size_t member_count;
	struct table_rule rule;
};

struct pg_catalog {
	const struct ruleset *rules; /* borrowed */
	struct pg_table *tables;
	size_t table_count;
	struct pg_type *types;
	size_t type_count;
	struct pg_columns *composites;
	size_t composite_count;
	struct pg_fingerprint {
		char shape[33];    /* of all that triggers are made from: tables, columns, members */
		char triggers[33]; /* of the triggers of ours that are there and enabled */
	} fingerprint; /* equal: nothing that concerns us has changed */
};

/* strict: what is missing, not a table, or not ours to watch is an error with a sentence for the
 * user. Otherwise such tables are left out and *complaint (may be NULL) says so; members that we may not put a trigger on are
 * say so. */
enum status catalog_load(struct pg *pg, const struct ruleset *rules, bool strict,
	struct pg_catalog **catalog, struct err *complaint, struct err *err) MUST_CHECK;
/* Fills the rules of its tables from catalog->rules. binding.c */
void catalog_bind(struct pg_catalog *catalog);
void catalog_free(struct pg_catalog *catalog);
bool catalog_has(const struct pg_catalog *catalog, pg_oid table); /* as a watched table */
const struct pg_type *catalog_type(const struct pg_catalog *catalog, pg_oid oid);
/* The columns of a composite type's relation, of a watched table, or of one that inherits from it. */
const struct pg_columns *catalog_composite(const struct pg_catalog *catalog, pg_oid relation);
/* Only the fingerprint: what the drift check asks each second. */
enum status catalog_fingerprint(struct pg *pg, const struct ruleset *rules,
	struct pg_fingerprint *fingerprint, struct err *err) MUST_CHECK;

#endif
