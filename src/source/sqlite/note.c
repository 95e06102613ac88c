/* A journal belongs to one history of one file. The journal's name is in the file, so it comes along when the file is copied,
 * moved to another machine or restored from a backup; ids would then be given twice under one name, and a client that resumes
 * would miss, silently, what it has not seen. The note stays where the file was. It says which file it is about (inode and
 * time of birth), which journal, and which event was the newest that anybody was told, with its time.
 *
 *   no note, another file, another journal     the file was copied, moved or restored: a new journal
 *   the newest event is older than the note's, or that event has another time: an older state was restored: a new journal
 *   not closed properly and the machine was started since: with synchronous=NORMAL the last commits may be gone, and
 *   others have their ids by now: a new journal
 *
 * It also is the claim of a configuration, as a lock that ends with its process: relays with the same rules share it. When
 * somebody deletes it under them, the first that sees it makes it anew, with what it said.
 */
#include "source/sqlite/note.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define MAGIC "esink 2"
#define TRIES 20
#define PAUSE_US 10000

struct content {
	char magic[8];
	char word[24];
	char journal[24];
	char boot[48];
	uint64_t ino;
	int64_t born_s, born_ns;
	uint64_t clean;
	/* The newer one that is whole counts, and the other one is written next: whoever is killed in the middle, or meets another relay there,
	 * leaves one that is not whole, beside one that is. */
	struct slot {
		uint64_t head;
		double at;
		uint64_t sum;
	} told[2];
};

/* Of the former build: one slot, without a sum. The next start alone writes it anew. */
#define FORMER_MAGIC "esink 1"
#define FORMER_SIZE offsetof(struct content, told[0].sum)

static uint64_t sum_of(uint64_t head, double at)
{
	uint64_t bits;

	memcpy(&bits, &at, sizeof(bits));
	return (head * UINT64_C(0x9e3779b97f4a7c15) ^ bits) * UINT64_C(0xd6e8feb86659fd93) ^ UINT64_MAX; /* zeros are no whole slot */
}

static struct slot slot_of(uint64_t head, double at)
{
	return (struct slot){head, at, sum_of(head, at)};
}

/* That counts; -1: none. */
static int newest(const struct slot told[2])
{
	int ret = -1;

	for (int i = 0; i < 2; i++)
		if (told[i].sum == sum_of(told[i].head, told[i].at) && (ret < 0 || told[i].head > told[ret].head))
			ret = i;
	return ret;
}

static char *path_of(const char *database)
{
	AUTO_FREE char *real = realpath(database, NULL);

	return mem_format("%s-esink", real ? real : database);
}

static struct content read_content(const struct note *note)
{
	struct content content = {0};
	ssize_t n = note->fd < 0 ? 0 : pread(note->fd, &content, sizeof(content), 0);

	if (n >= (ssize_t)FORMER_SIZE && !memcmp(content.magic, FORMER_MAGIC, sizeof(content.magic))) {
		memcpy(content.magic, MAGIC, sizeof(content.magic));
		content.told[0].sum = sum_of(content.told[0].head, content.told[0].at);
		content.told[1] = (struct slot){0};
	} else if (n != (ssize_t)sizeof(content) || memcmp(content.magic, MAGIC, sizeof(content.magic)) != 0) {
		content = (struct content){0};
	}
	return content;
}

static bool write_at(const struct note *note, const void *bytes, size_t len, size_t at)
{
	return note->fd >= 0 && pwrite(note->fd, bytes, len, (off_t)at) == (ssize_t)len;
}

static void read_boot(char boot[48])
{
	AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, boot, 47);

	boot[n > 0 ? n : 0] = 0;
}

static void identify(const char *database, struct content *content)
{
	struct statx file = {0};

	content->ino = 0;
	if (statx(AT_FDCWD, database, 0, STATX_INO | STATX_BTIME, &file) != 0)
		return;
	content->ino = file.stx_ino;
	content->born_s = file.stx_mask & STATX_BTIME ? file.stx_btime.tv_sec : 0;
	content->born_ns = file.stx_mask & STATX_BTIME ? file.stx_btime.tv_nsec : 0;
}

/* Alone, or with those of the same rules. A lock for one is only ever held for moments. */
static enum status lock(struct note *note, struct err *err)
{
	for (int i = 0; i < TRIES; i++) {
		struct content content;

		if (flock(note->fd, LOCK_EX | LOCK_NB) == 0) {
			note->alone = true;
			return STATUS_OK;
		}
		if (flock(note->fd, LOCK_SH | LOCK_NB) == 0) {
			content = read_content(note);
			content.word[sizeof(content.word) - 1] = 0;
			if (!strcmp(content.word, note->word))
				return STATUS_OK;
			flock(note->fd, LOCK_UN);
		}
		usleep(PAUSE_US);
	}
	return err_set(err, STATUS_CONFLICT,
		"another relay with other rules (TABLE_NAMES, TABLE_AUTH_COLUMN_ROUTING, FILTERS, COLUMNS, OLD_ROWS or AUTH_TABLE) "
		"is at work on this database: this one waits until it has ended");
}

bool lite_note_is_gone(const struct note *note)
{
	struct stat ours, there;

	return note->fd < 0 || fstat(note->fd, &ours) != 0 || lstat(note->path, &there) != 0 || ours.st_dev != there.st_dev ||
		ours.st_ino != there.st_ino;
}

enum status lite_note_claim(struct note *note, const char *database, const char *word, struct err *err)
{
	enum status status;

	lite_note_close(note);
	note->path = path_of(database);
	snprintf(note->word, sizeof(note->word), "%s", word);
	for (int i = 0; i < TRIES; i++) {
		note->alone = false;
		note->fd = open(note->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (note->fd < 0)
			return err_set(err, STATUS_DENIED, "SQLITE_PATH: \"%s\", where esink notes how far it has come, cannot be "
				"written: %s", note->path, strerror(errno));
		status = lock(note, err);
		if (status == STATUS_OK && !lite_note_is_gone(note))
			return STATUS_OK;
		close(note->fd); /* deleted while we waited: the lock is one that nobody sees */
		note->fd = -1;
		if (status != STATUS_OK)
			return status;
	}
	return err_set(err, STATUS_UNAVAILABLE, "SQLITE_PATH: \"%s\" is deleted again and again", note->path);
}

static void map_told(struct note *note)
{
	struct stat file;

	if (note->map || note->fd < 0 || fstat(note->fd, &file) != 0 || file.st_size < (off_t)sizeof(struct content))
		return;
	note->map = mmap(NULL, sizeof(struct content), PROT_READ | PROT_WRITE, MAP_SHARED, note->fd, 0);
	if (note->map == MAP_FAILED)
		note->map = NULL;
}

void lite_note_share(struct note *note)
{
	if (note->fd >= 0 && note->alone)
		flock(note->fd, LOCK_SH);
	note->alone = false;
	map_told(note);
}

const char *lite_note_doubt(const struct note *note, const char *database, const char *journal)
{
	struct content content = read_content(note), now = {0};

	if (!note->alone)
		return NULL; /* those that are at work have looked */
	identify(database, &now);
	read_boot(now.boot);
	if (!content.magic[0] || strcmp(content.journal, journal) != 0)
		return "the file comes from elsewhere, or its note (FILE-esink) is gone";
	if (newest(content.told) < 0)
		return "its note (FILE-esink) does not say how far it was told";
	if (content.ino != now.ino || content.born_s != now.born_s || content.born_ns != now.born_ns)
		return "the file is another one than before, such as a copy or a restored backup";
	if (!content.clean && strcmp(content.boot, now.boot) != 0)
		return "the machine went down under esink, which may have cost the last commits";
	return NULL;
}

struct note_state lite_note_told(const struct note *note)
{
	struct content content = read_content(note);
	int slot = newest(content.told);
	struct note_state state = {.head = slot < 0 ? 0 : content.told[slot].head, .at = slot < 0 ? 0 : content.told[slot].at};

	memcpy(state.journal, content.journal, JOURNAL_LEN);
	return state;
}

void lite_note_begin(struct note *note, const char *database, const struct note_state *state)
{
	struct content content = {.magic = MAGIC, .told = {slot_of(state->head, state->at)}};

	identify(database, &content);
	read_boot(content.boot);
	memcpy(content.word, note->word, sizeof(note->word));
	memcpy(content.journal, state->journal, sizeof(state->journal));
	if (!write_at(note, &content, sizeof(content), 0) || fdatasync(note->fd) != 0)
		note->word[0] = 0; /* the next start finds a note that does not fit, and begins a new journal */
}

/* Through memory: a write() may wait for a commit of the file system's own journal, tens of milliseconds on a busy disk, and
 * an event would wait with it. */
void lite_note_tell(struct note *note, uint64_t head, double at)
{
	struct content *content = note->map;
	struct stat file;

	/* Of a note that somebody cut off the memory is gone, too; the next start finds that it does not fit. */
	if (content && (fstat(note->fd, &file) != 0 || file.st_size < (off_t)sizeof(*content)))
		return;
	if (content) {
		struct slot told[2];
		int slot;

		memcpy(told, content->told, sizeof(told));
		slot = newest(told);
		if (slot < 0 || told[slot].head < head)
			content->told[slot == 0] = slot_of(head, at);
	}
}

enum status lite_note_renew(struct note *note, const char *database, const struct note_state *state, struct err *err)
{
	char word[sizeof(note->word)];
	enum status status;

	memcpy(word, note->word, sizeof(word));
	status = lite_note_claim(note, database, word, err);
	if (status == STATUS_OK && note->alone)
		lite_note_begin(note, database, state);
	if (status == STATUS_OK)
		lite_note_share(note);
	return status;
}

void lite_note_close(struct note *note)
{
	uint64_t clean = 1;

	if (note->map)
		munmap(note->map, sizeof(struct content));
	note->map = NULL;
	if (note->path && note->fd >= 0) {
		if (flock(note->fd, LOCK_EX | LOCK_NB) == 0 && note->word[0] && read_content(note).ino &&
			fdatasync(note->fd) == 0 && write_at(note, &clean, sizeof(clean), offsetof(struct content, clean)))
			fdatasync(note->fd);
		close(note->fd);
	}
	free(note->path);
	note->path = NULL;
	note->fd = -1;
}

bool lite_note_hold(const char *database, int *fd)
{
	AUTO_FREE char *path = path_of(database);

	*fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return *fd < 0 || flock(*fd, LOCK_EX | LOCK_NB) == 0;
}

bool lite_note_busy(const char *database)
{
	AUTO_CLOSE int fd = -1;

	return !lite_note_hold(database, &fd);
}

void lite_note_remove(const char *database)
{
	AUTO_FREE char *path = path_of(database);

	unlink(path);
}
