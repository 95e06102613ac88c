/* DDL on a table waits for the transactions that use it, and its writers queue up behind it. The shortest wait that both
 * servers know is a second; MariaDB can be asked not to wait at all, which is tried first, several times.
 */
#include "source/mysql/plan.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "source/mysql/error.h"
#include "source/mysql/text.h"

#define DDL_TIMEOUT_MS 60000
#define QUICK_TRIES 20
#define QUICK_PAUSE_MS 15

struct my_step *my_plan_add(struct my_plan *plan, enum summary_verb verb, char *what, char *sql, char *lock)
{
	mem_grow(&plan->steps, &plan->room, plan->count, sizeof(*plan->steps));
	plan->steps[plan->count] = (struct my_step){.verb = verb, .what = what, .sql = sql, .lock = lock};
	return &plan->steps[plan->count++];
}

void my_plan_finish(struct my_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		free(plan->steps[i].what);
		free(plan->steps[i].sql);
		free(plan->steps[i].lock);
		free(plan->steps[i].schema);
	}
	free(plan->steps);
	buf_finish(&plan->uncaptured);
	*plan = (struct my_plan){0};
}

/* Without waiting first, where the server can do that. */
static enum status run_step(struct my_db *db, const char *sql, struct err *err)
{
	enum status status = STATUS_UNAVAILABLE;

	db->error = MY_LOCK_TIMEOUT;
	if (db->maria && my_run(db, "SET SESSION lock_wait_timeout = 0", MY_TIMEOUT_MS, err) == STATUS_OK)
		for (int i = 0; i < QUICK_TRIES && status != STATUS_OK && db->conn && db->error == MY_LOCK_TIMEOUT; i++) {
			if (i && !my_wait(db, QUICK_PAUSE_MS))
				return err_set(err, STATUS_STOPPED, "stopped");
			status = my_run(db, sql, DDL_TIMEOUT_MS, err);
		}
	if (status == STATUS_OK || !db->conn || db->error != MY_LOCK_TIMEOUT)
		return status;
	status = my_run(db, "SET SESSION lock_wait_timeout = 1", MY_TIMEOUT_MS, err);
	return status == STATUS_OK ? my_run(db, sql, DDL_TIMEOUT_MS, err) : status;
}

static enum status use(struct my_db *db, const char *schema, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* a name */

	buf_text(&sql, "USE ");
	my_text_name(&sql, schema ? schema : db->config->database);
	return my_run(db, sql.bytes, MY_TIMEOUT_MS, err);
}

static enum status run_in(struct my_db *db, const struct my_step *one, struct err *err)
{
	enum status status = one->schema ? use(db, one->schema, err) : STATUS_OK;
	struct err ignored;

	if (status == STATUS_OK)
		status = run_step(db, one->sql, err);
	if (one->schema && db->conn && use(db, NULL, &ignored) != STATUS_OK) { /* everything else of ours names no schema */
		my_close(db);
		return err_set(err, STATUS_UNAVAILABLE, "%s", ignored.text);
	}
	return status;
}

enum status my_plan_run(struct my_db *db, const struct my_plan *plan, struct err *err)
{
	enum status status = STATUS_OK;
	bool locked = false;

	for (size_t i = 0; i < plan->count && status == STATUS_OK; i++) {
		const struct my_step *one = &plan->steps[i];

		if (one->lock && !locked) {
			AUTO_FREE char *lock = mem_format("LOCK TABLES %s WRITE", one->lock);

			status = run_step(db, lock, err);
			locked = status == STATUS_OK;
		}
		if (status == STATUS_OK)
			status = run_in(db, one, err);
		/* What is locked is a trigger's old and new version; nothing else is between the two. */
		if (locked && db->conn && (status != STATUS_OK || one->what)) {
			struct err ignored;

			locked = my_run(db, "UNLOCK TABLES", MY_TIMEOUT_MS, &ignored) != STATUS_OK;
		}
		if (status != STATUS_OK && db->conn && db->error == MY_LOCK_TIMEOUT)
			return err_set(err, STATUS_TOO_MANY, "%s: a transaction holds the table, so that its trigger cannot be made: trying "
				"again", one->what ? one->what : "a trigger");
	}
	return status;
}
