/* Brings the file to what the configuration asks for: our own tables, triggers on each watched table, and nothing on tables no
 * longer named. All in one transaction; an unchanged configuration writes nothing. */
#ifndef ESINK_SQLITE_INSTALL_H
#define ESINK_SQLITE_INSTALL_H

#include "base/buf.h"
#include "source/sqlite/catalog.h"

/* What was done or would be. */
struct install_result {
	bool made_schema;      /* our own tables were made, or made anew: begin a new journal */
	struct buf statements; /* of the plan, each ended by ";\n" */
	struct buf uncaptured; /* tables that lacked a trigger of ours although they were watched before */
};
void lite_install_result_finish(struct install_result *result);

/* strict, complaint: as lite_catalog_load(). Where strict, a table was watched before if the journal had rows of it, else all were. *schema_version is the version of the schema that is in place afterwards. */
enum status lite_install_all(struct db *db, const struct ruleset *rules, bool strict, struct install_result *result,
	int64_t *schema_version, struct err *complaint, struct err *err) MUST_CHECK;
/* Only looks. */
enum status lite_install_plan(struct db *db, const struct ruleset *rules, struct catalog **catalog,
	struct install_result *result, struct err *err) MUST_CHECK;
/* What there is of ours, a line for each; none: nothing. STATUS_INVALID: something of that name is somebody else's. */
enum status lite_install_list(struct db *db, struct buf *lines, struct err *err) MUST_CHECK;
enum status lite_install_remove(struct db *db, struct err *err) MUST_CHECK; /* all of it */

#endif
