/* Brings the database to what the configuration asks for: schema esink, its functions, the
 * journal's identity, a function and triggers per watched table, and nothing of tables no longer
 * named. Unchanged configuration does no DDL at all. */
#ifndef ESINK_PG_INSTALL_H
#define ESINK_PG_INSTALL_H

#include "base/buf.h"
#include "esink/event.h"
#include "source/postgres/catalog.h"

struct claim;
struct summary;

/* Schema and functions; then *journal (JOURNAL_LEN + 1 bytes) is the journal of this very database,
 * a new one where the stored identity is another's. */
enum status install_schema(struct pg *pg, char *journal, struct err *err) MUST_CHECK;

/* Begins another journal in place of *journal, whose events are gone; *journal is the new one then. */
enum status install_journal(struct pg *pg, char *journal, struct err *err) MUST_CHECK;

struct install_done {
	bool any;       /* something was done */
	bool misplaced; /* STATUS_TOO_MANY: triggers stand on tables whose changes must not be told, or are told by former rules */
};

/* Functions and triggers of the catalogue's tables, each under the claim; STATUS_CONFLICT: it was lost. Each statement on an
 * application's table waits at most 100 ms for its lock; STATUS_TOO_MANY: a table was busy, the rest is done: call again. Tables that are
 * not in the catalogue are taken out. What is done is logged. strict: the first table that fails ends it; else it stops no other, and is
 * tried again like a busy one. *complaint: a right that is wanting. */
enum status install_tables(struct pg *pg, const struct pg_catalog *catalog, const struct claim *claim,
	bool strict, struct install_done *done, struct err *complaint, struct err *err) MUST_CHECK;

/* The same as statements for a person, changing nothing: appends `CREATE ...;` lines, or nothing
 * where all is in place. */
enum status install_plan(struct pg *pg, const struct pg_catalog *catalog, struct buf *plan,
	struct summary *summary, struct err *err) MUST_CHECK;

/* Whether the table gets a row trigger: it can have one, and we may make it. */
bool install_attaches(const struct pg_table *table);

/* A trigger of ours that somebody disabled is named in complaint. */
enum status install_complaint(struct pg *pg, struct err *complaint, struct err *err) MUST_CHECK;

/* A short word for a text's content, the same in every process. */
void install_version(const char *text, char version[17]);
/* What may be made at any time, beside a journal that goes on: the consumers' tables where they are missing, all functions. */
void install_functions_text(struct buf *sql, char version[17]);

/* Drops the schema and with it every trigger, which is logged as `what`. judge: statements of PL/pgSQL that come first, in the same
 * transaction, when nobody else can make or drop it: RETURN leaves it as it is. STATUS_TOO_MANY: a table was busy. */
enum status install_drop(struct pg *pg, const char *what, const char *judge, struct err *err) MUST_CHECK;

/* The same; retries while tables are busy, up to a minute. */
enum status install_remove(struct pg *pg, const char *judge, struct err *err) MUST_CHECK;

#endif
