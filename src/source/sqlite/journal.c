/* An older state of the file may be put back under the name, and ids that were told already would then be given to other events. So the
 * newest event that anybody was told, which the note remembers, must be in the file with its time, and so must the one that this
 * process told last. When one is not, when the note has doubts of its own (note.c), or when the tables are new, the journal gets
 * a new name: clients and consumers find that it is not theirs, and are told so.
 *
 * Where another relay is at work it has settled this when it opened; then only what this process knows itself is looked at.
 */
#include "source/sqlite/journal.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/random.h"
#include "source/sqlite/hold.h"

static enum status read_head(struct sqlite *source, struct note_state *head, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	enum status status = db_prepare(&source->db, "SELECT id, at FROM esink_event ORDER BY id DESC LIMIT 1", &stmt, err);

	head->head = 0;
	head->at = 0;
	if (status == STATUS_OK)
		status = db_step(&source->db, stmt, err);
	if (status == STATUS_OK) {
		head->head = lite_reader_id(stmt);
		head->at = sqlite3_column_double(stmt, 1);
	}
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* Whether the journal has this event, with this time. */
static enum status has_event(struct sqlite *source, uint64_t id, double at, bool *ret, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	enum status status = STATUS_OK;

	*ret = true;
	if (!id)
		return STATUS_OK;
	status = db_prepare(&source->db, "SELECT at FROM esink_event WHERE id = ?1", &stmt, err);
	if (status != STATUS_OK)
		return status;
	sqlite3_bind_int64(stmt, 1, (sqlite3_int64)id);
	status = db_step(&source->db, stmt, err);
	*ret = status == STATUS_OK && sqlite3_column_double(stmt, 0) == at;
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* A consumer's cursor is an id of its journal: of another one it says nothing. */
static enum status begin_journal(struct sqlite *source, const char *why, char *journal, struct err *err)
{
	char sql[400];
	enum status status;

	random_hex(journal, JOURNAL_LEN);
	snprintf(sql, sizeof(sql), "BEGIN IMMEDIATE; UPDATE esink_meta SET journal = '%s'; UPDATE esink_consumer SET journal = '%s', "
		"cursor = " LITE_START "; DELETE FROM esink_mark; COMMIT", journal, journal);
	status = db_run(&source->db, sql, err);
	if (!sqlite3_get_autocommit(source->db.conn))
		sqlite3_exec(source->db.conn, "ROLLBACK", NULL, NULL, NULL);
	if (status == STATUS_OK)
		log_info("sqlite", "a new journal begins, %s: %s", journal, why);
	return status;
}

static enum status read_journal(struct sqlite *source, char *journal, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	enum status status = db_prepare(&source->db, "SELECT journal FROM esink_meta", &stmt, err);

	if (status == STATUS_OK)
		status = db_step(&source->db, stmt, err);
	if (status == STATUS_OK)
		snprintf(journal, JOURNAL_LEN + 1, "%s", (const char *)sqlite3_column_text(stmt, 0));
	return status;
}

enum status lite_journal_settle(struct sqlite *source, bool made_schema, struct note_state *head, struct err *err)
{
	struct note_state told = lite_note_told(&source->note);
	const char *why = NULL;
	bool told_there = true, ours_there = true;
	enum status status = read_journal(source, head->journal, err);

	if (status == STATUS_OK)
		status = read_head(source, head, err);
	if (status == STATUS_OK && source->note.alone)
		status = has_event(source, told.head, told.at, &told_there, err);
	if (status == STATUS_OK && !source->lost && !strcmp(source->journal, head->journal))
		status = has_event(source, source->position, source->at, &ours_there, err);
	if (status != STATUS_OK)
		return status;
	if (made_schema || strlen(head->journal) != JOURNAL_LEN)
		why = told.journal[0] || source->started ? "the tables of esink were gone and have been made anew" :
							   "the first one of this file";
	else
		why = lite_note_doubt(&source->note, source->config->path, head->journal);
	if (!why && (!told_there || !ours_there || source->broken))
		why = "the newest events are not those that were told: an older state of the file was put back";
	if (why)
		status = begin_journal(source, why, head->journal, err);
	if (status == STATUS_OK && (why || source->note.alone))
		lite_note_begin(&source->note, source->config->path, head);
	source->broken = false;
	return status == STATUS_OK ? lite_hold_settle(source, err) : status;
}
