/* Which configuration is at work on a database. Relays with the same rules share it; one with other rules waits, because the
 * triggers leave out and route by one set of rules only. */
#ifndef ESINK_PG_CLAIM_H
#define ESINK_PG_CLAIM_H

#include "base/buf.h"
#include "source/fingerprint.h"
#include "source/postgres/connection.h"

struct claim {
	char configuration[FINGERPRINT_LEN + 1]; /* of the rules */
	char relay[FINGERPRINT_LEN + 1];         /* random, of this process */
};

void claim_init(struct claim *claim, const struct ruleset *rules);
/* At every open, and then once a second. STATUS_CONFLICT: another configuration is at work. */
enum status claim_configuration(struct pg *pg, const struct claim *claim, struct err *err) MUST_CHECK;
/* Appends a statement of PL/pgSQL that claims, or ends the transaction, which must be READ COMMITTED, as STATUS_CONFLICT. */
void claim_write(struct buf *sql, const struct claim *claim);
/* At the end; a failure is no matter, the claim runs out by itself. */
void claim_release(struct pg *pg, const struct claim *claim);

#endif
