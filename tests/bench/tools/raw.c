/* The physical limit that a relay is measured against: websockets are answered with a fixed head, a message is framed once, and
 * every connection gets the same bytes with one send(). No protocol, no bookkeeping, no slow client: one that takes nothing is
 * waited for. A batch of several messages is laid side by side and is one send(), too; messages to single users are one send() each user
 * and batch.
 *
 *   raw PORT CONTROL-PORT      prints a line when it listens
 *
 * On the control port: `* TEXT` or `USER TEXT`, a line each; `.` sends. A user is what the request's `user=` says.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct bytes {
	char *p;
	size_t len, room;
};

static int *fds, *fd_of_user; /* -1: not here */
static int fd_count, user_room;
static struct bytes shared, line, *of_user;
static int *touched, touched_count;

static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void add(struct bytes *to, const void *p, size_t len)
{
	if (to->len + len > to->room) {
		to->room = (to->len + len) * 2;
		to->p = realloc(to->p, to->room);
	}
	memcpy(to->p + to->len, p, len);
	to->len += len;
}

static void add_frame(struct bytes *to, const char *text, size_t len)
{
	unsigned char start[10] = {0x81};
	size_t n = 2;

	if (len < 126) {
		start[1] = (unsigned char)len;
	} else if (len < 65536) {
		start[1] = 126;
		start[2] = (unsigned char)(len >> 8);
		start[3] = (unsigned char)len;
		n = 4;
	} else {
		start[1] = 127;
		for (int i = 0; i < 8; i++)
			start[2 + i] = (unsigned char)((uint64_t)len >> (56 - 8 * i));
		n = 10;
	}
	add(to, start, n);
	add(to, text, len);
}

static void send_all(int fd, const struct bytes *what)
{
	size_t at = 0;

	while (at < what->len) {
		ssize_t n = send(fd, what->p + at, what->len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		struct pollfd full = {fd, POLLOUT, 0};

		if (n > 0)
			at += (size_t)n;
		else if (errno == EAGAIN)
			poll(&full, 1, -1);
		else
			return;
	}
}

static void flush_out(void)
{
	for (int i = 0; shared.len && i < fd_count; i++)
		send_all(fds[i], &shared);
	shared.len = 0;
	for (int i = 0; i < touched_count; i++) {
		struct bytes *its = &of_user[touched[i]];

		if (fd_of_user[touched[i]] >= 0)
			send_all(fd_of_user[touched[i]], its);
		its->len = 0;
	}
	touched_count = 0;
}

static void need_user(int user)
{
	int from = user_room;

	if (user < user_room)
		return;
	user_room = user * 2 + 1024;
	fd_of_user = realloc(fd_of_user, (size_t)user_room * sizeof(int));
	of_user = realloc(of_user, (size_t)user_room * sizeof(*of_user));
	touched = realloc(touched, (size_t)user_room * sizeof(int));
	for (; from < user_room; from++) {
		fd_of_user[from] = -1;
		of_user[from] = (struct bytes){0};
	}
}

static void take_line(const char *text, size_t len)
{
	const char *space = memchr(text, ' ', len);
	size_t begin = space ? (size_t)(space + 1 - text) : 0;
	int user;

	if (*text == '.') {
		flush_out();
	} else if (*text == '*') {
		add_frame(&shared, text + begin, len - begin);
	} else {
		need_user(user = (int)strtol(text, NULL, 10));
		if (!of_user[user].len)
			touched[touched_count++] = user;
		add_frame(&of_user[user], text + begin, len - begin);
	}
}

static bool control(int fd)
{
	static char in[1 << 20];
	ssize_t n = recv(fd, in, sizeof(in), MSG_DONTWAIT);
	char *p, *end;

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	add(&line, in, (size_t)n);
	for (p = line.p; (end = memchr(p, '\n', line.len - (size_t)(p - line.p))); p = end + 1)
		take_line(p, (size_t)(end - p));
	line.len -= (size_t)(p - line.p);
	memmove(line.p, p, line.len);
	return true;
}

static void forget(int fd)
{
	for (int i = 0; i < fd_count; i++)
		if (fds[i] == fd)
			fds[i] = fds[--fd_count];
	for (int i = 0; i < user_room; i++)
		if (fd_of_user[i] == fd)
			fd_of_user[i] = -1;
	close(fd);
}

/* A request comes in one piece from our own client. What comes later is only looked at for its end. */
static void client(int fd)
{
	static char in[8192];
	ssize_t n = recv(fd, in, sizeof(in) - 1, MSG_DONTWAIT);
	const char *user;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		forget(fd);
		return;
	}
	in[n] = 0;
	if (strncmp(in, "GET ", 4) != 0)
		return;
	if ((user = strstr(in, "user="))) {
		int number = (int)strtol(user + 5, NULL, 10);

		need_user(number);
		fd_of_user[number] = fd;
	}
	fds = realloc(fds, (size_t)(fd_count + 1) * sizeof(int));
	fds[fd_count++] = fd;
	send_all(fd, &(struct bytes){(char *)head, sizeof(head) - 1, 0});
}

static int listen_on(const char *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtol(port, NULL, 10)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4096) < 0) {
		perror("raw: listen");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	struct epoll_event events[256], event = {.events = EPOLLIN};
	int loop = epoll_create1(0), listener, gate, controller = -1, one = 1;

	if (argc != 3) {
		fprintf(stderr, "raw PORT CONTROL-PORT\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	listener = listen_on(argv[1]);
	gate = listen_on(argv[2]);
	epoll_ctl(loop, EPOLL_CTL_ADD, event.data.fd = listener, &event);
	epoll_ctl(loop, EPOLL_CTL_ADD, event.data.fd = gate, &event);
	printf("listening\n");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(loop, events, 256, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd, next;

			if (fd == controller) {
				if (!control(fd))
					close(fd), controller = -1;
			} else if (fd != listener && fd != gate) {
				client(fd);
			} else if ((next = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
				setsockopt(next, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
				if (fd == gate)
					controller = next;
				epoll_ctl(loop, EPOLL_CTL_ADD, event.data.fd = next, &event);
			}
		}
	}
}
