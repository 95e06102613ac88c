/* A network that was cut without a word looks like a statement that takes its time. The server knows: it ends a connection of capture
 * that says nothing for some seconds, also one that was cut while it sent or received, and lists those that it has. So another
 * connection asks. A statement that waits for a lock, or works, is in the list however long it takes.
 */
#include <inttypes.h>
#include <stdio.h>

#include "source/mysql/db.h"

#define PROBE_TIMEOUT_MS 3000

bool my_probe(const struct my_db *db)
{
	struct my_db other = {.config = db->config, .nudge_fd = -1};
	struct err ignored;
	int64_t there = 0;
	char sql[96];
	enum status status = my_connect(&other, PROBE_TIMEOUT_MS, 0, &ignored);
	bool alive;

	snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = %lu", mysql_thread_id(db->conn));
	if (status == STATUS_OK)
		status = my_number(&other, sql, &there, &ignored);
	if (status == STATUS_OK)
		alive = there > 0;
	else /* a server that refuses us is there; 0: it was silent, 2000 and more: the client library could not reach it */
		alive = status == STATUS_STOPPED || (other.error > 0 && other.error < 2000);
	my_close(&other);
	return alive;
}
