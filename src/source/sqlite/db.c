/* Opening, waiting, and what went wrong.
 *
 * A connection to a file that was deleted is dangerous to a new file of that name: SQLite names the log by the path, and
 * the last connection to close copies the log into its own, unlinked file and then deletes «the log», which is the new
 * file's by then. So before closing we look whether our file is still the one under its name, and if not, leave all as is.
 *
 * We never checkpoint by ourselves after a commit: checkpoint.c does it beside. SQLITE_CHECKPOINT=false ends that for logs of usual
 * size, for tools that copy the log, such as Litestream, which depend on being the ones who decide it.
 */
#include "source/sqlite/db.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

#define PROGRESS_STEPS 20000 /* of SQLite's machine between two looks at the clock: well under a millisecond */
#define MAX_PAUSE_MS 5
#define INDEX_REGION 32768 /* of the log's index, as SQLite maps it */
#define INDEX_VERSION 3007000
#define INDEX_PAGES 4   /* words of it, by the same page: mxFrame, and, behind two copies of the header, nBackfill */
#define INDEX_COPIED 24

static bool is_stopped(const struct db *db, int wait_ms)
{
	struct pollfd fd = {db->stop_fd, POLLIN, 0};

	return poll(&fd, 1, wait_ms) > 0;
}

static int on_busy(void *opaque, int count)
{
	struct db *db = opaque;
	int pause = count < 2 ? 1 : count < MAX_PAUSE_MS ? count : MAX_PAUSE_MS;

	return db->deadline && clock_ms() < db->deadline && !is_stopped(db, pause);
}

static int on_progress(void *opaque)
{
	struct db *db = opaque;

	return (db->hurry && db->deadline && clock_ms() >= db->deadline) || is_stopped(db, 0);
}

void db_wait(struct db *db, int ms)
{
	db->deadline = ms ? clock_ms() + ms : 0;
}

static enum status interrupted(const struct db *db, struct err *err)
{
	if (is_stopped(db, 0))
		return err_set(err, STATUS_STOPPED, "stopped");
	return err_set(err, STATUS_TIMEOUT, "SQLITE_PATH: \"%s\" took longer than STATEMENT_TIMEOUT", db->path);
}

static enum status failure(const struct db *db, struct err *err)
{
	const char *text = sqlite3_errmsg(db->conn), *path = db->path;

	switch (sqlite3_errcode(db->conn) & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		if (is_stopped(db, 0))
			return err_set(err, STATUS_STOPPED, "stopped");
		return err_set(err, STATUS_UNAVAILABLE,
			"SQLITE_PATH: \"%s\" is locked by another process, which holds a transaction open or has set PRAGMA "
			"locking_mode=EXCLUSIVE: waiting until it lets go", path);
	case SQLITE_NOTADB:
		return err_set(err, STATUS_INVALID, "SQLITE_PATH: \"%s\" is not an SQLite database (or it is encrypted): name the "
			"database file of your application", path);
	case SQLITE_CORRUPT:
		return err_set(err, STATUS_INVALID, "SQLITE_PATH: \"%s\" is damaged (%s): restore it, or repair it with "
			"sqlite3's .recover", path, text);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return err_set(err, STATUS_DENIED, "SQLITE_PATH: no right to write to \"%s\" (%s): esink keeps its journal in "
			"it; give its user write access to the file, to its -wal and -shm files and to their directory", path, text);
	case SQLITE_INTERRUPT:
		return interrupted(db, err);
	case SQLITE_ERROR:
		return err_set(err, STATUS_FAILED, "SQLITE_PATH: \"%s\": %s", path, text);
	default: /* a full disk, an I/O error, a schema that changed meanwhile: it may pass */
		return err_set(err, STATUS_UNAVAILABLE, "SQLITE_PATH: \"%s\": %s", path, text);
	}
}

/* What open() would say less clearly. */
static enum status check_place(const char *path, bool create, struct err *err)
{
	AUTO_FREE char *copy = mem_text(path);
	const char *folder;
	struct stat file;

	if (stat(path, &file) == 0 && S_ISDIR(file.st_mode))
		return err_set(err, STATUS_INVALID, "SQLITE_PATH: \"%s\" is a directory: name a file in it", path);
	if (stat(path, &file) == 0) {
		if (!S_ISREG(file.st_mode))
			return err_set(err, STATUS_INVALID, "SQLITE_PATH: \"%s\" is not a regular file", path);
		if (access(path, R_OK | W_OK) != 0)
			return err_set(err, STATUS_DENIED, "SQLITE_PATH: no right to %s \"%s\": %s; esink keeps its journal in it",
				access(path, R_OK) ? "read" : "write to", path, strerror(errno));
	} else if (errno != ENOENT) {
		return err_set(err, STATUS_DENIED, "SQLITE_PATH: \"%s\" cannot be reached: %s", path, strerror(errno));
	}
	folder = dirname(copy);
	if (access(folder, F_OK) != 0)
		return err_set(err, create ? STATUS_NOT_FOUND : STATUS_UNAVAILABLE,
			"SQLITE_PATH: \"%s\": there is no directory \"%s\"", path, folder);
	if (access(folder, W_OK | X_OK) != 0)
		return err_set(err, STATUS_DENIED, "SQLITE_PATH: no right to write to the directory \"%s\", where SQLite keeps "
			"the files -wal and -shm of \"%s\"", folder, path);
	return STATUS_OK;
}

enum status db_open(struct db *db, bool create, struct err *err)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
	enum status status = check_place(db->path, create, err);
	struct stat file;

	if (status != STATUS_OK)
		return status;
	if (!create && access(db->path, F_OK) != 0)
		return err_set(err, STATUS_UNAVAILABLE, "SQLITE_PATH: \"%s\" is gone: waiting until there is one again", db->path);
	if (sqlite3_open_v2(db->path, &db->conn, flags, NULL) != SQLITE_OK) {
		status = err_set(err, STATUS_UNAVAILABLE, "SQLITE_PATH: \"%s\": %s", db->path, sqlite3_errmsg(db->conn));
		db_close(db);
		return status;
	}
	db->dev = db->ino = 0;
	if (stat(db->path, &file) == 0) {
		db->dev = file.st_dev;
		db->ino = file.st_ino;
	}
	sqlite3_extended_result_codes(db->conn, 1);
	sqlite3_busy_handler(db->conn, on_busy, db);
	sqlite3_progress_handler(db->conn, PROGRESS_STEPS, on_progress, db);
	sqlite3_db_config(db->conn, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
	status = db_run(db, "PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF;"
		"PRAGMA foreign_keys = OFF; SELECT count(*) FROM sqlite_schema", err);
	if (status != STATUS_OK)
		db_close(db);
	return status;
}

/* The log's index begins with its header (https://sqlite.org/walformat.html), 48 bytes that the committing process writes last.
 * The connection holds the memory as long as the log is open. */
static uint32_t volatile *index_of(const struct db *db)
{
	sqlite3_file *file = NULL;
	void volatile *index = NULL;

	if (sqlite3_file_control(db->conn, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file || !file->pMethods ||
		file->pMethods->iVersion < 2 || file->pMethods->xShmMap(file, 0, INDEX_REGION, 0, &index) != SQLITE_OK)
		return NULL;
	return index;
}

bool db_mark(const struct db *db, struct db_mark *mark)
{
	uint32_t volatile *index = index_of(db);

	for (size_t i = 0; index && i < sizeof(mark->words) / sizeof(*mark->words); i++)
		mark->words[i] = index[i];
	return index && mark->words[0] == INDEX_VERSION;
}

bool db_log(const struct db *db, struct db_log *log)
{
	uint32_t volatile *index = index_of(db);

	if (!index || index[0] != INDEX_VERSION)
		return false;
	log->pages = index[INDEX_PAGES];
	log->copied = index[INDEX_COPIED] <= log->pages ? index[INDEX_COPIED] : 0; /* a log that begins anew tells the first word first */
	return true;
}

bool db_is_moved(const struct db *db)
{
	struct stat file;

	return db->conn && (stat(db->path, &file) != 0 || file.st_dev != db->dev || file.st_ino != db->ino);
}

void db_close(struct db *db)
{
	int keep = 1;

	if (db_is_moved(db)) {
		sqlite3_db_config(db->conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		sqlite3_file_control(db->conn, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
	}
	sqlite3_close_v2(db->conn);
	db->conn = NULL;
}

enum status db_run(struct db *db, const char *sql, struct err *err)
{
	return sqlite3_exec(db->conn, sql, NULL, NULL, NULL) == SQLITE_OK ? STATUS_OK : failure(db, err);
}

enum status db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret, struct err *err)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v3(db->conn, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK)
		return failure(db, err);
	*ret = stmt;
	return STATUS_OK;
}

enum status db_step(struct db *db, sqlite3_stmt *stmt, struct err *err)
{
	switch (sqlite3_step(stmt)) {
	case SQLITE_ROW:
		return STATUS_OK;
	case SQLITE_DONE:
		return STATUS_NOT_FOUND;
	default:
		return failure(db, err);
	}
}

enum status db_finish_step(struct db *db, sqlite3_stmt *stmt, struct err *err)
{
	enum status status;

	do
		status = db_step(db, stmt, err);
	while (status == STATUS_OK);
	sqlite3_reset(stmt);
	return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status db_number(struct db *db, const char *sql, int64_t *ret, struct err *err)
{
	AUTO_STMT sqlite3_stmt *stmt = NULL;
	enum status status = db_prepare(db, sql, &stmt, err);

	if (status == STATUS_OK)
		status = db_step(db, stmt, err);
	if (status == STATUS_OK)
		*ret = sqlite3_column_int64(stmt, 0);
	return status;
}

bool db_bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
	return sqlite3_bind_text(stmt, at, text, -1, SQLITE_TRANSIENT) == SQLITE_OK;
}

struct span db_bytes(sqlite3_stmt *stmt, int column)
{
	const char *p;

	if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
		return (struct span){NULL, 0};
	p = sqlite3_column_type(stmt, column) == SQLITE_BLOB ? sqlite3_column_blob(stmt, column)
							      : (const char *)sqlite3_column_text(stmt, column);
	return (struct span){p ? p : "", (size_t)sqlite3_column_bytes(stmt, column)};
}
