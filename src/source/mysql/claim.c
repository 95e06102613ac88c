/* Named locks end with the connection that holds them, however it ends, and cost an idle relay nothing; the server's
 * wait_timeout, which is seconds, ends a connection whose other end was cut off (and net_write_timeout, net_read_timeout). Their names have no more than 64 characters on MySQL and are
 * common to the whole server, so they begin with a word for the database and the outbox.
 *
 * Relays with the same rules hold one lock each, of SLOTS that the word of their rules has; one with other rules looks whether
 * any lock of the word that esink_meta has is held.
 *
 * A journal belongs to one history of one database. A dump that is loaded again brings its name along with other rows behind
 * it, so esink_meta says of which server and which making of esink_journal and of itself it is: tables that were made anew (or copied
 * by files, on MariaDB) have other times. OPTIMIZE TABLE also gives one, but to one of them. What cannot be seen is a server whose files were set back as a whole while no relay ran.
 */
#include "source/mysql/claim.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "source/fingerprint.h"
#include "source/mysql/hold.h"
#include "source/mysql/text.h"

#define SLOTS 32 /* relays with the same rules */

static char *lock_name(const struct my_db *db, const char *what)
{
	AUTO_FREE char *whose = mem_format("%s/%s", db->config->database, db->config->outbox);
	char word[FINGERPRINT_LEN + 1];

	fingerprint_text(span_of(whose), word);
	return mem_format("esink-%s-%s", word, what);
}

static enum status get_lock(struct my_db *db, const char *what, int seconds, bool *ours, struct err *err)
{
	AUTO_FREE char *name = lock_name(db, what), *sql = mem_format("SELECT GET_LOCK('%s', %d)", name, seconds);
	int64_t got = 0;
	enum status status = my_number(db, sql, &got, err);

	*ours = status == STATUS_OK && got == 1;
	return status;
}

enum status my_claim_enter(struct my_db *db, struct err *err)
{
	bool ours = false;
	enum status status = get_lock(db, "install", 5, &ours, err);

	if (status == STATUS_OK && !ours)
		return err_set(err, STATUS_UNAVAILABLE, "another relay is making tables or triggers on this database: waiting for its end");
	return status;
}

void my_claim_leave(struct my_db *db)
{
	AUTO_FREE char *name = lock_name(db, "install"), *sql = mem_format("DO RELEASE_LOCK('%s')", name);
	struct err ignored;

	if (db->conn && my_run(db, sql, MY_TIMEOUT_MS, &ignored) != STATUS_OK)
		my_close(db);
}

/* Whether a relay with the rules of this word is at work. */
static enum status word_busy(struct my_db *db, const char *word, bool *busy, struct err *err)
{
	AUTO_BUF struct buf sql = buf_init(BUF_NO_MAX); /* SLOTS names */
	int64_t holder = 0;
	enum status status;

	buf_text(&sql, "SELECT COALESCE(");
	for (int slot = 0; slot < SLOTS; slot++) {
		char what[FINGERPRINT_LEN + 8];
		AUTO_FREE char *name = NULL;

		snprintf(what, sizeof(what), "%s-%d", word, slot);
		name = lock_name(db, what);
		buf_printf(&sql, "IS_USED_LOCK('%s'), ", name);
	}
	buf_text(&sql, "0)");
	status = my_number(db, sql.bytes, &holder, err);
	*busy = holder > 0;
	return status;
}

static enum status read_word(struct my_db *db, char word[FINGERPRINT_LEN + 1], struct err *err)
{
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status = my_query(db, "SELECT word FROM esink_meta", MY_TIMEOUT_MS, &rows, err);
	MYSQL_ROW row = status == STATUS_OK ? mysql_fetch_row(rows) : NULL;

	snprintf(word, FINGERPRINT_LEN + 1, "%s", row && row[0] ? row[0] : "");
	return status;
}

enum status my_claim_busy(struct my_db *db, bool *busy, struct err *err)
{
	char word[FINGERPRINT_LEN + 1];
	enum status status = read_word(db, word, err);

	*busy = false;
	return status == STATUS_OK && *word ? word_busy(db, word, busy, err) : status;
}

static enum status take_slot(struct my_db *db, const char *word, struct err *err)
{
	bool ours = false;
	enum status status = STATUS_OK;

	for (int slot = 0; slot < SLOTS && status == STATUS_OK && !ours; slot++) {
		char what[FINGERPRINT_LEN + 8];

		snprintf(what, sizeof(what), "%s-%d", word, slot);
		status = get_lock(db, what, 0, &ours, err);
	}
	if (status == STATUS_OK && !ours)
		return err_set(err, STATUS_CONFLICT, "%d relays are at work on this database, which is as many as may be", SLOTS);
	return status;
}

enum status my_claim_rules(struct my_db *db, struct err *err)
{
	char word[FINGERPRINT_LEN + 1], theirs[FINGERPRINT_LEN + 1];
	char sql[96];
	bool busy = false;
	enum status status = read_word(db, theirs, err);

	fingerprint_rules(db->config->rules, word);
	if (status == STATUS_OK && *theirs && strcmp(word, theirs) != 0)
		status = word_busy(db, theirs, &busy, err);
	if (status == STATUS_OK && busy)
		return err_set(err, STATUS_CONFLICT, "another relay with other rules (TABLE_NAMES, TABLE_AUTH_COLUMN_ROUTING, FILTERS, "
			"COLUMNS, OLD_ROWS or AUTH_TABLE) is at work on this database: this one waits until it has ended");
	if (status == STATUS_OK)
		status = take_slot(db, word, err);
	snprintf(sql, sizeof(sql), "UPDATE esink_meta SET word = '%s'", word); /* also says whether the server is read-only */
	return status == STATUS_OK ? my_run(db, sql, MY_TIMEOUT_MS, err) : status;
}

enum status my_claim_mover(struct my_db *db, bool *ours, struct err *err)
{
	return get_lock(db, "move", 0, ours, err);
}

/* -- the journal ------------------------------------------------------------------------------------------------------ */

enum status my_meta_read(struct my_db *db, struct my_meta *meta, struct err *err)
{
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status = my_query(db, "SELECT journal, head FROM esink_meta", MY_TIMEOUT_MS, &rows, err);
	MYSQL_ROW row = status == STATUS_OK ? mysql_fetch_row(rows) : NULL;

	if (status != STATUS_OK)
		return status;
	if (!row)
		return err_set(err, STATUS_UNAVAILABLE, "esink_meta is empty");
	snprintf(meta->journal, sizeof(meta->journal), "%s", row[0] ? row[0] : "");
	meta->head = row[1] ? strtoull(row[1], NULL, 10) : 0;
	return STATUS_OK;
}

/* When the two tables were made. esink_meta.made has both, with a NUL between: earlier versions, which read up to it, know the first one
 * alone, and must find what they wrote, since of relays that take each other's journal for a strange one each begins another. */
struct made {
	char journal[20], meta[12]; /* `2026-11-29 02:00:00`, `1764368640` */
};

static enum status read_here(struct my_db *db, char server[65], struct made *made, struct err *err)
{
	AUTO_RESULT MYSQL_RES *rows = NULL;
	AUTO_FREE char *sql = mem_format("SELECT %s, MAX(IF(TABLE_NAME = 'esink_journal', CAST(CREATE_TIME AS CHAR), '')), "
		"MAX(IF(TABLE_NAME = 'esink_meta', UNIX_TIMESTAMP(CREATE_TIME), 0)) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() "
		"AND TABLE_NAME IN ('esink_journal', 'esink_meta')", db->maria ? "''" : "@@server_uuid");
	enum status status = my_query(db, sql, MY_TIMEOUT_MS, &rows, err);
	MYSQL_ROW row = status == STATUS_OK ? mysql_fetch_row(rows) : NULL;

	snprintf(server, 65, "%s", row && row[0] ? row[0] : "");
	snprintf(made->journal, sizeof(made->journal), "%s", row && row[1] ? row[1] : "");
	snprintf(made->meta, sizeof(made->meta), "%s", row && row[2] ? row[2] : "");
	return status;
}

static enum status write_made(struct my_db *db, const struct made *made, const char *where, bool *same, struct err *err)
{
	AUTO_FREE char *sql = mem_format("UPDATE esink_meta SET made = '%s\\0%s'%s", made->journal, made->meta, where);
	enum status status = my_run(db, sql, MY_TIMEOUT_MS, err);

	*same = status == STATUS_OK && my_changed(db) == 1;
	return status;
}

/* One of the tables was rebuilt, by OPTIMIZE TABLE, say: both still end at the same event. Another relay may be moving: first its end is
 * waited for, since a statement that waits would compare what the journal had before with the head that is there afterwards. */
static enum status adopt(struct my_db *db, const struct made *made, bool *same, struct err *err)
{
	int64_t head = 0;
	enum status status = my_run(db, "START TRANSACTION", MY_TIMEOUT_MS, err);

	if (status == STATUS_OK)
		status = my_number(db, "SELECT head FROM esink_meta FOR UPDATE", &head, err);
	if (status == STATUS_OK)
		status = write_made(db, made, " WHERE head = (SELECT COALESCE(MAX(id), 0) FROM esink_journal)", same, err);
	if (status == STATUS_OK)
		status = my_run(db, "COMMIT", MY_TIMEOUT_MS, err);
	if (status != STATUS_OK)
		my_close(db); /* and with it the transaction */
	return status;
}

static enum status same_history(struct my_db *db, const char *server, const struct made *made, bool *same, bool *any, struct err *err)
{
	AUTO_RESULT MYSQL_RES *rows = NULL;
	enum status status = my_query(db, "SELECT server, made FROM esink_meta", MY_TIMEOUT_MS, &rows, err);
	MYSQL_ROW row = status == STATUS_OK ? mysql_fetch_row(rows) : NULL;
	size_t first = row ? strlen(row[1]) : 0;
	bool earlier = row && mysql_fetch_lengths(rows)[1] == first; /* an earlier version began it */
	bool journal_same = row && !strcmp(row[1], made->journal), meta_same = row && !earlier && !strcmp(row[1] + first + 1, made->meta);

	*any = row != NULL;
	*same = false;
	if (!row || strcmp(row[0], server) != 0)
		return status;
	if (journal_same && earlier)
		return write_made(db, made, "", same, err);
	*same = journal_same && meta_same;
	return *same || (!journal_same && !meta_same) ? status : adopt(db, made, same, err);
}

static enum status begin(struct my_db *db, const char *why, const char *server, const struct made *made, struct err *err)
{
	char journal[JOURNAL_LEN + 1];
	AUTO_FREE char *sql = NULL;
	enum status status;

	random_hex(journal, JOURNAL_LEN);
	sql = mem_format("INSERT INTO esink_meta (one, journal, head, server, made, word) SELECT 1, '%s', COALESCE(MAX(id), 0), '%s', '%s\\0%s', '' "
		"FROM esink_journal ON DUPLICATE KEY UPDATE journal = VALUES(journal), server = VALUES(server), made = VALUES(made), "
		"head = GREATEST(head, VALUES(head))", journal, server, made->journal, made->meta);
	status = my_run(db, "START TRANSACTION", MY_TIMEOUT_MS, err);
	if (status == STATUS_OK)
		status = my_run(db, sql, MY_TIMEOUT_MS, err);
	if (status == STATUS_OK)
		status = my_hold_begin(db, journal, err);
	if (status == STATUS_OK)
		status = my_run(db, "COMMIT", MY_TIMEOUT_MS, err);
	if (status != STATUS_OK)
		my_close(db); /* and with it the transaction */
	if (status == STATUS_OK)
		log_info("mysql", "a new journal begins, %s: %s", journal, why);
	return status;
}

enum status my_meta_settle(struct my_db *db, const char *told, uint64_t position, struct my_meta *meta, struct err *err)
{
	char server[65];
	struct made made;
	const char *why = NULL;
	bool same = false, any = false;
	enum status status = read_here(db, server, &made, err);

	if (status == STATUS_OK)
		status = same_history(db, server, &made, &same, &any, err);
	if (status == STATUS_OK && any)
		status = my_meta_read(db, meta, err);
	if (status != STATUS_OK)
		return status;
	if (!any)
		why = "the first one of this database";
	else if (!same)
		why = "the tables of esink were copied, loaded from a dump or made anew";
	else if (!strcmp(meta->journal, told) && meta->head < position)
		why = "events that were told are gone: an older state of the database was put back";
	if (why)
		status = begin(db, why, server, &made, err);
	return status == STATUS_OK && why ? my_meta_read(db, meta, err) : status;
}
