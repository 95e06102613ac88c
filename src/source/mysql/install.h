/* Brings the database to what the configuration asks for: our own tables, triggers on each watched table, and nothing on tables
 * no longer named. An unchanged configuration runs no statement that writes. */
#ifndef ESINK_MYSQL_INSTALL_H
#define ESINK_MYSQL_INSTALL_H

#include "base/buf.h"
#include "source/mysql/catalog.h"
#include "source/summary.h"

struct my_step {
	enum summary_verb verb;
	char *what; /* of the summary; NULL: not worth a word */
	char *sql;  /* ends without ; */
	char *lock; /* LOCK TABLES this in the same breath: where a trigger cannot be replaced at once; NULL: no need */
	char *schema; /* where it is run, since a dump that names it could be loaded nowhere else; NULL: MYSQL_DATABASE */
};

struct my_plan {
	struct my_step *steps;
	size_t count, room;
	struct buf uncaptured; /* tables that lacked a trigger of ours although they were watched before */
	bool running;          /* in: all were; else those were that the journal has rows of */
};
void my_plan_finish(struct my_plan *plan);

/* The tables of our own. *any: at least one is there. STATUS_INVALID: one is somebody else's. */
enum status my_install_plan_schema(struct my_db *db, struct my_plan *plan, bool *any, struct err *err) MUST_CHECK;
/* The triggers. Shapes that are missing are written down, unless only_look (the tables need not be there then). */
enum status my_install_plan_triggers(struct my_db *db, const struct my_catalog *catalog, bool only_look, struct my_plan *plan,
	struct err *err) MUST_CHECK;
/* STATUS_TOO_MANY: a table was busy for as long as we make its writers wait. */
enum status my_install_run(struct my_db *db, const struct my_plan *plan, struct err *err) MUST_CHECK;
/* The end of everything, triggers first. */
enum status my_install_plan_removal(struct my_db *db, struct my_plan *plan, struct err *err) MUST_CHECK;

#endif
