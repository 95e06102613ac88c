/* Waking up when somebody wrote to the database's log. */
#ifndef ESINK_SQLITE_WAKEUP_H
#define ESINK_SQLITE_WAKEUP_H

#include <stdbool.h>
#include <stdint.h>

struct wakeup {
	int fd, stop_fd;   /* fd: inotify; -1: none, and only the poll is left */
	int watch;         /* on the log; -1: none, it is not there or we are deaf */
	bool deaf;         /* after a pause: we do not listen, to spare the writers */
	char *log, *base, *base_log, *base_note; /* path of FILE-wal; names in its folder */
	bool met;          /* what was written has come */
	int poll_ms;
	int64_t written;   /* us, monotonic: when it was last written to; 0: long ago */
};

void lite_wakeup_start(struct wakeup *wakeup, const char *database, int stop_fd, int poll_ms);
void lite_wakeup_finish(struct wakeup *wakeup);
/* Waits for the next moment that is worth a look, at most timeout_ms. False: stopping. *replaced: a file was made, moved or
 * deleted under the database's name. */
bool lite_wakeup_wait(struct wakeup *wakeup, int timeout_ms, bool *replaced);
void lite_wakeup_met(struct wakeup *wakeup); /* a commit was found */
bool lite_wakeup_pause(struct wakeup *wakeup, int64_t us); /* deaf to the log; false: stopping */

#endif
