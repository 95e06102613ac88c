/* What a call waits for, in one poll(): its own socket, the source's stop_fd, its deadline, the library's own timeout, and on a
 * connection of capture the time to ask whether the server still has it (probe.c).
 *
 * To give a call up its socket is shut down and it is continued to its end, which is then near; what the library holds is freed
 * in its own way. So a call that was given up is still awaited, and never blocks from there on.
 */
#include "source/mysql/call.h"

#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"

struct my_call my_call_begin(struct my_db *db, int timeout_ms)
{
	int64_t now = clock_ms();

	return (struct my_call){db, timeout_ms ? now + timeout_ms : 0, db->idle_s ? now + db->idle_s * INT64_C(1000) : 0, STATUS_OK};
}

/* The time for a question has come, and the answer is that nobody will ever answer. */
static bool is_dead(struct my_call *call)
{
	if (!call->probe || clock_ms() < call->probe)
		return false;
	if (!my_probe(call->db))
		return true;
	call->probe = clock_ms() + call->db->idle_s * INT64_C(1000);
	return false;
}

int my_call_await(struct my_call *call, int want)
{
	struct pollfd fds[2] = {{mysql_get_socket(call->db->conn), 0, 0}, {call->db->config->stop_fd, POLLIN, 0}};
	int64_t left = call->deadline ? call->deadline - clock_ms() : -1;
	int wait = left > INT32_MAX ? INT32_MAX : (int)left, own = -1, got = 0;

	if (call->given_up != STATUS_OK)
		return MYSQL_WAIT_TIMEOUT | (want & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE));
	if (want & MYSQL_WAIT_TIMEOUT)
		own = (int)mysql_get_timeout_value_ms(call->db->conn);
	fds[0].events = (short)((want & MYSQL_WAIT_READ ? POLLIN : 0) | (want & MYSQL_WAIT_WRITE ? POLLOUT : 0) |
		(want & MYSQL_WAIT_EXCEPT ? POLLPRI : 0));
	if (call->deadline && wait < 0)
		wait = 0;
	if (own >= 0 && (wait < 0 || own < wait))
		wait = own;
	if (call->probe && (wait < 0 || call->probe - clock_ms() < wait))
		wait = call->probe > clock_ms() ? (int)(call->probe - clock_ms()) : 0;
	if (poll(fds, 2, wait) < 0)
		return 0;
	if (!fds[0].revents && !fds[1].revents && is_dead(call)) {
		call->given_up = STATUS_UNAVAILABLE;
		shutdown(fds[0].fd, SHUT_RDWR);
		return MYSQL_WAIT_TIMEOUT | (want & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE));
	}
	if (fds[1].revents || (call->deadline && clock_ms() >= call->deadline && !fds[0].revents)) {
		call->given_up = fds[1].revents ? STATUS_STOPPED : STATUS_TIMEOUT;
		shutdown(fds[0].fd, SHUT_RDWR);
		return MYSQL_WAIT_TIMEOUT | (want & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE));
	}
	if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
		got |= want & MYSQL_WAIT_READ;
	if (fds[0].revents & (POLLOUT | POLLHUP | POLLERR))
		got |= want & MYSQL_WAIT_WRITE;
	if (fds[0].revents & POLLPRI)
		got |= want & MYSQL_WAIT_EXCEPT;
	return got ? got : own >= 0 && wait == own && !fds[0].revents ? MYSQL_WAIT_TIMEOUT : 0;
}

enum status my_call_given_up(struct my_call *call, struct err *err)
{
	my_close(call->db);
	if (call->given_up == STATUS_STOPPED)
		return err_set(err, STATUS_STOPPED, "stopped");
	if (call->given_up == STATUS_UNAVAILABLE)
		return err_set(err, STATUS_UNAVAILABLE, "the MySQL server at %s:%d has stopped answering, or no longer has our connection",
			my_host(call->db->config), call->db->config->port);
	return err_set(err, STATUS_TIMEOUT, "the MySQL server at %s:%d did not answer in time", my_host(call->db->config),
		call->db->config->port);
}
