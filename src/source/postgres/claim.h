/* Which configuration is at work on a database. Relays with the same rules share it; one with other rules waits, because the
 * triggers leave out and route by one set of rules only. */
#ifndef ESINK_PG_CLAIM_H
#define ESINK_PG_CLAIM_H

#include "esink/source.h"
#include "source/postgres/connection.h"

/* At every open, and then once a second. STATUS_CONFLICT: another configuration is at work. */
enum status claim_configuration(
	struct pg *pg, const struct source_config *config, struct err *err) MUST_CHECK;
/* At the end; a failure is no matter, the claim runs out by itself. */
void claim_release(struct pg *pg, const struct source_config *config);

#endif
