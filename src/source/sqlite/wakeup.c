/* A commit writes frames to FILE-wal, then perhaps waits for the disk, then shows them to readers by words in shared memory,
 * which nobody can be told of. So a write to the log, which inotify tells at once, is the promise of a commit: we look again
 * every 0.1 ms for 2 ms, and if the commit has not come by then (synchronous=FULL, a big transaction that fills the log as it
 * goes) less and less often, until the writer has been silent for a second. An idle database costs nothing but POLL_INTERVAL_MS,
 * which is there for file systems without inotify.
 *
 * Once the commit has been found, the next one is told again, and the looks that follow are for the one whose writes were told together
 * with it. Twenty in 2 ms, for nothing, were most of what an event cost capture.
 *
 * Telling us costs the writer, a tenth of a small commit. While events are known to come, we do not listen.
 */
#include "source/sqlite/wakeup.h"

#include <libgen.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

#define CHANGES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)

/* Silence so far, in us: pause before the next look. Of a commit that must come, and when it has. */
#define PACES 4
static const struct pace {
	int64_t until, pause;
} expected[PACES] = {{2000, 100}, {20000, 500}, {100000, 2000}, {1000000, 10000}},
  met[PACES] = {{2000, 500}, {20000, 2000}, {100000, 5000}, {1000000, 10000}};

void lite_wakeup_start(struct wakeup *wakeup, const char *database, int stop_fd, int poll_ms)
{
	AUTO_FREE char *real = realpath(database, NULL), *folder = NULL, *name = NULL;

	lite_wakeup_finish(wakeup);
	if (!real)
		real = mem_text(database);
	folder = mem_text(real);
	name = mem_text(real);
	wakeup->log = mem_format("%s-wal", real);
	wakeup->base = mem_text(basename(name));
	wakeup->base_log = mem_format("%s-wal", wakeup->base);
	wakeup->base_note = mem_format("%s-esink", wakeup->base);
	wakeup->stop_fd = stop_fd;
	wakeup->poll_ms = poll_ms;
	wakeup->written = clock_us();
	wakeup->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	prctl(PR_SET_TIMERSLACK, 1000UL); /* 50 us are too many to wait for 100 */
	if (wakeup->fd < 0)
		return;
	if (inotify_add_watch(wakeup->fd, dirname(folder), CHANGES) < 0) {
		close(wakeup->fd);
		wakeup->fd = -1;
		return;
	}
	wakeup->watch = inotify_add_watch(wakeup->fd, wakeup->log, IN_MODIFY);
}

void lite_wakeup_finish(struct wakeup *wakeup)
{
	if (!wakeup->log)
		return;
	if (wakeup->fd >= 0)
		close(wakeup->fd);
	free(wakeup->log);
	free(wakeup->base);
	free(wakeup->base_log);
	free(wakeup->base_note);
	*wakeup = (struct wakeup){.fd = -1, .watch = -1};
}

static void take_one(struct wakeup *wakeup, const struct inotify_event *event, bool *replaced)
{
	if (event->mask & IN_MODIFY) {
		wakeup->written = clock_us();
		wakeup->met = false;
		return;
	}
	if (!event->len)
		return;
	if (!strcmp(event->name, wakeup->base) || !strcmp(event->name, wakeup->base_note))
		*replaced = true;
	if (!strcmp(event->name, wakeup->base_log)) {
		wakeup->watch = inotify_add_watch(wakeup->fd, wakeup->log, IN_MODIFY);
		wakeup->written = clock_us();
		wakeup->met = false;
	}
}

static void take_all(struct wakeup *wakeup, bool *replaced)
{
	_Alignas(struct inotify_event) char bytes[8192];
	ssize_t n;

	while (wakeup->fd >= 0 && (n = read(wakeup->fd, bytes, sizeof(bytes))) > 0) {
		for (char *p = bytes; p < bytes + n;) {
			const struct inotify_event *event = (const struct inotify_event *)(void *)p;

			if (event->mask & IN_Q_OVERFLOW)
				*replaced = true;
			take_one(wakeup, event, replaced);
			p += sizeof(*event) + event->len;
		}
	}
}

static int64_t next_pause(const struct wakeup *wakeup)
{
	int64_t silent = clock_us() - wakeup->written;
	const struct pace *pace = wakeup->met ? met : expected;

	for (size_t i = 0; i < PACES && wakeup->written; i++)
		if (silent < pace[i].until)
			return pace[i].pause;
	return (int64_t)wakeup->poll_ms * 1000;
}

/* The wait that begins now must hear what comes; what came before is found by looking soon. */
static void listen_again(struct wakeup *wakeup)
{
	if (!wakeup->deaf)
		return;
	wakeup->deaf = false;
	wakeup->watch = inotify_add_watch(wakeup->fd, wakeup->log, IN_MODIFY);
	wakeup->written = clock_us();
	wakeup->met = false;
}

void lite_wakeup_met(struct wakeup *wakeup)
{
	wakeup->met = wakeup->watch >= 0;
}

bool lite_wakeup_wait(struct wakeup *wakeup, int timeout_ms, bool *replaced)
{
	int64_t pause, most = (int64_t)timeout_ms * 1000;
	struct pollfd fds[] = {{wakeup->stop_fd, POLLIN, 0}, {wakeup->fd, POLLIN, 0}};
	nfds_t count;
	struct timespec time;

	listen_again(wakeup);
	pause = next_pause(wakeup);
	/* While we look again and again, more writes to the log are no news: they would only shorten the pause. */
	count = pause < 1000 && !wakeup->met ? 1 : 2;
	pause = pause < most ? pause : most;
	time = (struct timespec){pause / 1000000, pause % 1000000 * 1000};
	if (ppoll(fds, count, &time, NULL) > 0 && fds[0].revents)
		return false;
	take_all(wakeup, replaced);
	return true;
}

bool lite_wakeup_pause(struct wakeup *wakeup, int64_t us)
{
	struct pollfd fd = {wakeup->stop_fd, POLLIN, 0};
	struct timespec time = {us / 1000000, us % 1000000 * 1000};

	if (wakeup->watch >= 0) {
		inotify_rm_watch(wakeup->fd, wakeup->watch);
		wakeup->watch = -1;
		wakeup->deaf = true;
	}
	return ppoll(&fd, 1, &time, NULL) <= 0;
}
