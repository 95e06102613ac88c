/* A checkpoint copies the log's pages into the database's file and waits for the disk, twice. SQLite leaves that to whoever commits
 * when the log has a thousand pages: an application's write takes some milliseconds then, and with a page of ours in each
 * commit that is due twice as often. It is a third of what the trigger costs, and it need not be the writer's: another
 * process can do the same, while everybody goes on reading and writing (https://sqlite.org/wal.html, «Avoiding Excessively Large
 * WAL Files»).
 *
 * So capture, when it sees a busy log with enough in it, asks the thread here. PASSIVE takes no lock that a reader or a writer
 * needs. A log beyond a thousand pages is its writers' again, as without us: only a commit at rest can begin the log anew, and a
 * copy that is always under way would keep them from that.
 */
#include "source/sqlite/checkpoint.h"

#include "base/log.h"

static bool wait_for_work(struct checkpoint *checkpoint)
{
	bool work;

	pthread_mutex_lock(&checkpoint->lock);
	while (!checkpoint->wanted && !checkpoint->ended)
		pthread_cond_wait(&checkpoint->asked, &checkpoint->lock);
	work = !checkpoint->ended;
	checkpoint->wanted = false;
	pthread_mutex_unlock(&checkpoint->lock);
	return work;
}

/* False: it is to end. */
static bool mark(struct checkpoint *checkpoint, sqlite3 *running)
{
	bool go;

	pthread_mutex_lock(&checkpoint->lock);
	go = !checkpoint->ended;
	checkpoint->running = go ? running : NULL;
	pthread_mutex_unlock(&checkpoint->lock);
	return go;
}

/* Another file under our name has a log under our log's name, which is not to be touched. A copy that fails is the next one's, and the
 * disk's complaint reaches capture by itself. */
static void copy(struct checkpoint *checkpoint)
{
	struct db *db = &checkpoint->db;
	struct err err = {""};

	if (!db->conn && db_open(db, false, &err) != STATUS_OK) {
		log_debug("sqlite", "no checkpoint: %s", err.text);
		return;
	}
	if (db_is_moved(db))
		return;
	if (mark(checkpoint, db->conn))
		sqlite3_wal_checkpoint_v2(db->conn, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	mark(checkpoint, NULL);
}

static void *run(void *opaque)
{
	struct checkpoint *checkpoint = opaque;

	while (wait_for_work(checkpoint))
		copy(checkpoint);
	db_close(&checkpoint->db);
	return NULL;
}

void lite_checkpoint_start(struct checkpoint *checkpoint, const char *path)
{
	lite_checkpoint_finish(checkpoint);
	*checkpoint = (struct checkpoint){.db = {.path = path, .stop_fd = -1}};
	pthread_mutex_init(&checkpoint->lock, NULL);
	pthread_cond_init(&checkpoint->asked, NULL);
	checkpoint->started = pthread_create(&checkpoint->thread, NULL, run, checkpoint) == 0;
	if (!checkpoint->started)
		log_warn("sqlite", "no thread for checkpoints: the writers make them");
}

void lite_checkpoint_finish(struct checkpoint *checkpoint)
{
	if (!checkpoint->started)
		return;
	pthread_mutex_lock(&checkpoint->lock);
	checkpoint->ended = true;
	if (checkpoint->running)
		sqlite3_interrupt(checkpoint->running);
	pthread_cond_signal(&checkpoint->asked);
	pthread_mutex_unlock(&checkpoint->lock);
	pthread_join(checkpoint->thread, NULL);
	pthread_cond_destroy(&checkpoint->asked);
	pthread_mutex_destroy(&checkpoint->lock);
	checkpoint->started = false;
}

void lite_checkpoint_ask(struct checkpoint *checkpoint)
{
	if (!checkpoint->started)
		return;
	pthread_mutex_lock(&checkpoint->lock);
	checkpoint->wanted = true;
	pthread_cond_signal(&checkpoint->asked);
	pthread_mutex_unlock(&checkpoint->lock);
}
