/* What is to be done to the database, statement by statement, as install.c found out, and doing it. On capture's connection, which it blocks. */
#ifndef ESINK_MYSQL_PLAN_H
#define ESINK_MYSQL_PLAN_H

#include "base/buf.h"
#include "source/mysql/db.h"
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
/* Takes the strings, which may be NULL where struct my_step says so. Valid until the next one is added. */
struct my_step *my_plan_add(struct my_plan *plan, enum summary_verb verb, char *what, char *sql, char *lock);
void my_plan_finish(struct my_plan *plan);
/* STATUS_TOO_MANY: a table was busy for as long as we make its writers wait. */
enum status my_plan_run(struct my_db *db, const struct my_plan *plan, struct err *err) MUST_CHECK;

#endif
