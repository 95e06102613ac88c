/* Who is at work on the database, and whose journal it has: named locks of the server, and the one row of esink_meta. */
#ifndef ESINK_MYSQL_CLAIM_H
#define ESINK_MYSQL_CLAIM_H

#include "source/mysql/db.h"

struct my_meta {
	char journal[JOURNAL_LEN + 1];
	uint64_t head;
};

/* Around all that makes tables and triggers: one relay at a time. STATUS_UNAVAILABLE: another one is at it. */
enum status my_claim_enter(struct my_db *db, struct err *err) MUST_CHECK;
void my_claim_leave(struct my_db *db);
/* For relays with these rules, as long as the connection lasts. STATUS_CONFLICT: one with others is at work. */
enum status my_claim_rules(struct my_db *db, struct err *err) MUST_CHECK;
/* Whether any relay is at work; needs esink_meta. */
enum status my_claim_busy(struct my_db *db, bool *busy, struct err *err) MUST_CHECK;
/* The right to move, as long as the connection lasts. *ours: we have it now. */
enum status my_claim_mover(struct my_db *db, bool *ours, struct err *err) MUST_CHECK;

/* The journal as it stands; a new one where it is another history than before, or told says that events are gone which were told
 * (position of journal told; "" for none). */
enum status my_meta_settle(struct my_db *db, const char *told, uint64_t position, struct my_meta *meta, struct err *err) MUST_CHECK;
enum status my_meta_read(struct my_db *db, struct my_meta *meta, struct err *err) MUST_CHECK;

#endif
