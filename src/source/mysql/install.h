/* Brings the database to what the configuration asks for: our own tables, triggers on each watched table, and nothing on tables
 * no longer named. An unchanged configuration runs no statement that writes. */
#ifndef ESINK_MYSQL_INSTALL_H
#define ESINK_MYSQL_INSTALL_H

#include "source/mysql/catalog.h"
#include "source/mysql/plan.h"

/* The tables of our own. *any: at least one is there. STATUS_INVALID: one is somebody else's. */
enum status my_install_plan_schema(struct my_db *db, struct my_plan *plan, bool *any, struct err *err) MUST_CHECK;
/* The triggers. Shapes that are missing are written down, unless only_look (the tables need not be there then). */
enum status my_install_plan_triggers(struct my_db *db, const struct my_catalog *catalog, bool only_look, struct my_plan *plan,
	struct err *err) MUST_CHECK;
/* The end of everything, triggers first. */
enum status my_install_plan_removal(struct my_db *db, struct my_plan *plan, struct err *err) MUST_CHECK;

#endif
