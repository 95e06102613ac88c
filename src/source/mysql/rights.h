/* What the account may do, as information_schema tells it of itself, and the statements that give it what it lacks.
 *
 * Triggers run with the rights of the account that made them, so a right that is taken away fails the writes of the application,
 * whether a relay runs or not.
 */
#ifndef ESINK_MYSQL_RIGHTS_H
#define ESINK_MYSQL_RIGHTS_H

#include "rules/ruleset.h"
#include "source/mysql/catalog.h"
#include "source/mysql/db.h"

struct my_right {
	char *right, *schema, *table; /* schema: a pattern as of LIKE; NULL: of all; table NULL: of all */
};

struct my_rights {
	char *account; /* `user`@`host` */
	bool roles;    /* it has some, which are not looked into: the server is left to say */
	struct my_right *list;
	size_t count, room;
};

enum status my_rights_load(struct my_db *db, struct my_rights *rights, struct err *err) MUST_CHECK;
void my_rights_finish(struct my_rights *rights);
/* Also where nobody knows because of roles. table NULL: of the whole schema. Of SELECT that of some columns is enough. */
bool my_rights_has(const struct my_rights *rights, const char *right, const char *schema, const char *table);

/* All that --check asks for. STATUS_DENIED: some are lacking, and err has the GRANTs. */
enum status my_rights_check(struct my_db *db, const struct my_catalog *catalog, struct err *err) MUST_CHECK;
/* err is what the server has refused us: it has the GRANT instead, where one is lacking. */
void my_rights_explain(struct my_db *db, struct err *err);
/* Whether a table may be read; where not, err has the GRANT. */
enum status my_rights_read(struct my_db *db, const char *variable, const char *schema, const char *table, struct err *err) MUST_CHECK;

/* What triggers need, and had when it was first looked at: an account may have come to its rights in ways that are not looked into. */
struct my_rights_watch {
	bool *had;
};
/* *complaint: what has been lost since, with the GRANTs; "" when nothing has. */
enum status my_rights_look(struct my_db *db, struct my_rights_watch *watch, struct err *complaint, struct err *err) MUST_CHECK;

#endif
