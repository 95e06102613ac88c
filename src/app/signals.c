/* The main thread waits here for most of its life. While it shuts down it is busy waiting for other threads, so the second
 * signal and the clock are handled the old way, by handlers that only write(2) and _exit(2).
 *
 * Whoever signals a process and then its group (timeout(1) does, and a terminal beside a supervisor) asks once: signals that come
 * within TOGETHER_MS are one.
 */
#include "app/signals.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define TOGETHER_MS 100

static int64_t first_ms; /* monotonic: when we were told to end; 0: not by a signal. Set before there are handlers */
static volatile sig_atomic_t status_at_limit;

static void expected(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

int signals_open(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	expected(&set);
	sigaddset(&set, SIGALRM); /* kept from the threads to come */
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return -1;
	expected(&set);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int signals_wait(int signal_fd, int wake_fd)
{
	struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
	struct signalfd_siginfo info;

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue; /* EINTR: a debugger */
		if (fds[0].revents && read(signal_fd, &info, sizeof(info)) == sizeof(info)) {
			first_ms = info.ssi_signo == SIGHUP ? 0 : clock_ms();
			return (int)info.ssi_signo;
		}
		if (fds[1].revents)
			return 0;
	}
}

static void end_at_once(int number)
{
	static const char second[] = "esink: second signal: ending at once\n";
	static const char late[] = "esink: shutting down took too long: ending at once\n";
	ssize_t n;

	if (number != SIGALRM && first_ms && clock_ms() - first_ms < TOGETHER_MS)
		return;
	if (number == SIGALRM)
		n = write(STDERR_FILENO, late, sizeof(late) - 1);
	else
		n = write(STDERR_FILENO, second, sizeof(second) - 1);
	(void)n; /* nowhere left to say so */
	_exit(number == SIGALRM ? status_at_limit : 1);
}

void signals_shutdown(int limit_ms, int exit_status)
{
	struct sigaction action = {.sa_handler = end_at_once, .sa_flags = SA_RESTART};
	struct itimerval limit = {.it_value = {.tv_sec = limit_ms / 1000, .tv_usec = limit_ms % 1000 * 1000}};
	sigset_t set;

	status_at_limit = exit_status;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGALRM);
	for (int number = 1; number < NSIG; number++)
		if (sigismember(&set, number) == 1)
			sigaction(number, &action, NULL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	setitimer(ITIMER_REAL, &limit, NULL);
}
