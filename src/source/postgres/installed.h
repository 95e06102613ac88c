/* What is installed: read once, and held against what each watched table should have. Belongs to whoever loaded it. */
#ifndef ESINK_PG_INSTALLED_H
#define ESINK_PG_INSTALLED_H

#include "source/postgres/catalog.h"
#include "source/postgres/connection.h"

struct installed {
	PGresult *functions; /* name, source, its table's name, the roles that were granted it, in the order of their oids: those, and quoted */
	PGresult *triggers;  /* relation, trigger name, function name */
	pg_oid *of;          /* of each function the table in its name */
	struct {
		pg_oid relation, of; /* of: likewise of its function */
		bool wanted;         /* its function is that of a watched table */
	} *stands;                   /* of each trigger: read once, for each table is held against all of them */
	bool notify;                 /* triggers may NOTIFY here */
};

/* *installed is zeroed before. catalog: NULL, where only the functions and triggers themselves are asked for. */
enum status installed_load(struct pg *pg, const struct pg_catalog *catalog, struct installed *installed, struct err *err) MUST_CHECK;
void installed_finish(struct installed *installed);
/* A trigger of that name on the relation, of the table's function. */
bool installed_has_trigger(const struct installed *installed, pg_oid relation, const char *name, const struct pg_table *table);
/* Of the table's function; NULL: it has none. */
const char *installed_body(const struct installed *installed, const struct pg_table *table);
/* Of the table's function, with commas; "": nobody beside its owner, or there is none. */
const char *installed_grantees(const struct installed *installed, const struct pg_table *table, bool oids);
bool installed_has_function(const struct installed *installed, const struct pg_table *table, struct span body);

#endif
