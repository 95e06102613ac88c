/* The guard of a trigger function that withholds columns: which columns, by number, under which
 * names, last touched by which transaction. It goes into table esink.guard in the transaction that
 * makes the function; esink.drain() compares it with the catalogue before anything is delivered. */
#ifndef ESINK_PG_GUARD_H
#define ESINK_PG_GUARD_H

#include "base/buf.h"
#include "source/postgres/catalog.h"

/* The version that the function writes into its events; 0: nothing is withheld, there is no guard.
 * After capture_recall(): that decides what is withheld. */
int32_t guard_version(const struct pg_catalog *catalog, const struct pg_table *table);

/* Statements that put the guard of the table's function in the place of an older one. */
void guard_put(struct buf *sql, const struct pg_catalog *catalog, const struct pg_table *table);

/* Statement for a function that is dropped; watched: the table's oid, as text. */
void guard_drop(struct buf *sql, const char *watched);

#endif
