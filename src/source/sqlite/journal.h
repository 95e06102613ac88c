/* Which journal the file holds: the one that was told, or a new one. */
#ifndef ESINK_SQLITE_JOURNAL_H
#define ESINK_SQLITE_JOURNAL_H

#include "source/sqlite/sqlite.h"

/* At opening, on capture's connection, which waits for locks as it was told (db_wait()); the note is claimed and not shared yet, the
 * tables are there. Begins a new journal where what the file holds is not what was told, and then the note anew. *head: the journal,
 * and its newest event. Consumers' cursors fit it afterwards. */
enum status lite_journal_settle(struct sqlite *source, bool made_schema, struct note_state *head, struct err *err) MUST_CHECK;

#endif
