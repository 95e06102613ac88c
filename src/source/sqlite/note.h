/* The note beside the database file, FILE-esink: who is at work on it, and how far its journal was told. */
#ifndef ESINK_SQLITE_NOTE_H
#define ESINK_SQLITE_NOTE_H

#include "esink/event.h"
#include "esink/status.h"

struct note {
	int fd; /* -1: not open */
	char *path;
	void *map; /* the file, in memory; NULL: not yet */
	bool alone; /* no other relay is at work */
	char word[17];
};

/* What is told of. */
struct note_state {
	char journal[JOURNAL_LEN + 1];
	uint64_t head; /* newest event that was handed on, 0: none */
	double at;     /* its time */
};

/* Opens or makes it, and claims the database for relays with these rules. STATUS_CONFLICT: one with others is at work. Until
 * lite_note_share() no other relay gets in, when alone. */
enum status lite_note_claim(struct note *note, const char *database, const char *word, struct err *err) MUST_CHECK;
void lite_note_share(struct note *note);
/* Why the journal that the database names may not be gone on with; NULL: it may. */
const char *lite_note_doubt(const struct note *note, const char *database, const char *journal);
/* How far it was told, as the note has it. */
struct note_state lite_note_told(const struct note *note);
/* Begins anew: from now on it is about this file and this journal. */
void lite_note_begin(struct note *note, const char *database, const struct note_state *state);
void lite_note_tell(struct note *note, uint64_t head, double at); /* before it is told */
/* Somebody deleted it, or put another one in its place: then no other relay sees our claim. */
bool lite_note_is_gone(const struct note *note);
/* Makes it anew, with what it said, or joins a twin that has. STATUS_CONFLICT: a relay with other rules has claimed the database. */
enum status lite_note_renew(struct note *note, const char *database, const struct note_state *state, struct err *err) MUST_CHECK;
void lite_note_close(struct note *note); /* the last one leaves it clean; also what never was open */
bool lite_note_busy(const char *database); /* a relay holds it */
/* No relay holds it, nor will one until *fd is closed; -1: there is none. */
bool lite_note_hold(const char *database, int *fd);
void lite_note_remove(const char *database);

#endif
