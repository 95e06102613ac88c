/* Alone in its file: the kernel's struct tcp_info knows the figure, the C library's older one of the same name does not, and
 * the two cannot be included together. */
#include "transport/acknowledged.h"

#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* TCP_CLOSE, after a reset, and TCP_CLOSE_WAIT, which only the C library's header names. */
#define STATE_CLOSE 7
#define STATE_CLOSE_WAIT 8

unsigned long acknowledged(int fd, bool *closed)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0;
	*closed = info.tcpi_state == STATE_CLOSE_WAIT || info.tcpi_state == STATE_CLOSE;
	return (unsigned long)info.tcpi_bytes_acked;
}

unsigned long unacknowledged(int fd)
{
	int bytes = 0;

	return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (unsigned long)bytes : 0;
}

/* The buffer counts what the kernel needs for the bytes, too: an eighth is left for that. */
size_t send_room(int fd)
{
	uint32_t held[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(held);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, held, &len) < 0 || held[SK_MEMINFO_WMEM_QUEUED] >= held[SK_MEMINFO_SNDBUF])
		return 0;
	return (size_t)(held[SK_MEMINFO_SNDBUF] - held[SK_MEMINFO_WMEM_QUEUED]) / 8 * 7;
}
