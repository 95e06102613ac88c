/* The socket options that every connection needs are set on the listening socket: Linux hands them down. A connection over
 * the limit is accepted, told so and closed: left in the queue it would wait for ever.
 */
#include "transport/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/conn.h"
#include "transport/reply.h"
#include "transport/thread.h"

#define BACKLOG 4096
#define ACCEPTS_A_TURN 64 /* so that a storm of connections does not starve those that are there */

struct address {
	struct sockaddr_storage bytes;
	socklen_t len;
	int family;
};

static void set(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value)); /* each only makes a good connection better */
}

static void set_port(struct address *address, int port)
{
	if (address->family == AF_INET6)
		((struct sockaddr_in6 *)&address->bytes)->sin6_port = htons((uint16_t)port);
	else
		((struct sockaddr_in *)&address->bytes)->sin_port = htons((uint16_t)port);
}

static int port_of(int fd)
{
	struct sockaddr_storage own = {0};
	socklen_t len = sizeof(own);

	getsockname(fd, (struct sockaddr *)&own, &len);
	return ntohs(own.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&own)->sin6_port
					       : ((struct sockaddr_in *)&own)->sin_port);
}

static bool has_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
	bool works = fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0;

	if (fd >= 0)
		close(fd);
	return works;
}

/* The addresses of HOST; for all interfaces one socket that takes both families, where the system has IPv6. */
static bool resolve(const char *host, struct address list[LISTEN_MAX], size_t *count, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
	bool all = !host || !host[0];
	int failure;

	if (all)
		host = has_ipv6() ? "::" : "0.0.0.0";
	failure = getaddrinfo(host, "0", &hints, &found);
	if (failure) {
		err_set(err, STATUS_INVALID, "HOST: \"%s\" is no address of this machine: %s", host, gai_strerror(failure));
		return false;
	}
	*count = 0;
	for (struct addrinfo *at = found; at && *count < LISTEN_MAX; at = at->ai_next) {
		list[*count] = (struct address){.len = at->ai_addrlen, .family = at->ai_family};
		memcpy(&list[(*count)++].bytes, at->ai_addr, at->ai_addrlen);
	}
	freeaddrinfo(found);
	return *count > 0;
}

static void set_options(int fd, const struct server_config *config)
{
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, SOL_SOCKET, SO_SNDBUF, config->send_buffer_bytes / 2); /* Linux doubles it */
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
	set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)config->lost_timeout_ms);
}

/* A bound, listening socket; -1 with errno. The first one of an address must find the port free. */
static int open_one(const struct address *address, bool first, bool both, const struct server_config *config)
{
	int fd = socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), failure;

	if (fd < 0)
		return -1;
	set(fd, SOL_SOCKET, SO_REUSEADDR, 1); /* connections of a former life may linger */
	if (!first)
		set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (address->family == AF_INET6)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !both);
	if (bind(fd, (const struct sockaddr *)&address->bytes, address->len) == 0) {
		set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
		set_options(fd, config);
		if (listen(fd, BACKLOG) == 0)
			return fd;
	}
	failure = errno;
	close(fd);
	errno = failure;
	return -1;
}

static enum status explain(const struct server_config *config, int port, struct err *err)
{
	const char *host = config->host && config->host[0] ? config->host : "all interfaces";

	if (errno == EADDRINUSE)
		return err_set(err, STATUS_CONFLICT, "PORT: %d is taken by another program on %s: stop it or choose another port",
			port, host);
	if (errno == EACCES)
		return err_set(err, STATUS_DENIED, "PORT: %d needs a right that this process does not have: choose one above 1023",
			port);
	if (errno == EADDRNOTAVAIL)
		return err_set(err, STATUS_INVALID, "HOST: \"%s\" is no address of this machine", host);
	return err_set(err, STATUS_INVALID, "PORT: cannot listen on %d of %s: %s", port, host, strerror(errno));
}

enum status listening_open(struct listening *listening, const struct server_config *config, struct err *err)
{
	struct address list[LISTEN_MAX];
	bool both = !config->host || !config->host[0];

	*listening = (struct listening){.threads = config->threads, .port = config->port};
	if (!resolve(config->host, list, &listening->addresses, err))
		return STATUS_INVALID;
	listening->fds = mem_alloc(listening->threads * listening->addresses * sizeof(int));
	for (size_t i = 0; i < listening->threads * listening->addresses; i++)
		listening->fds[i] = -1;
	for (size_t t = 0; t < listening->threads; t++) {
		for (size_t a = 0; a < listening->addresses; a++) {
			int *fd = &listening->fds[t * listening->addresses + a];

			set_port(&list[a], listening->port);
			*fd = open_one(&list[a], t == 0, both, config);
			if (*fd < 0) {
				enum status status = explain(config, listening->port, err);

				listening_close(listening);
				return status;
			}
			if (!listening->port)
				listening->port = port_of(*fd);
		}
	}
	return STATUS_OK;
}

void listening_close(struct listening *listening)
{
	for (size_t i = 0; listening->fds && i < listening->threads * listening->addresses; i++) {
		if (listening->fds[i] >= 0)
			close(listening->fds[i]);
	}
	free(listening->fds);
	listening->fds = NULL;
}

static void complain(struct thread *thread, const char *what)
{
	int64_t now = clock_ms(), before = atomic_load(&thread->shared->complained);

	if (now - before < 10000 || !atomic_compare_exchange_strong(&thread->shared->complained, &before, now))
		return;
	log_warn("http", "connections are refused: %s", what);
}

void listen_full(struct thread *thread)
{
	complain(thread, "MAX_CONNECTIONS are open");
}

static void refuse(struct thread *thread, int fd)
{
	AUTO_BUF struct buf body = buf_init(256), out = buf_init(4096);

	listen_full(thread);
	if (!thread->tls) {
		reply_error_body(&body, 503, "Too many connections");
		reply_write(&out, &(struct reply){.status = 503, .body = buf_as_span(&body), .close = true}, NULL, false);
		if (send(fd, out.bytes, out.len, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			shutdown(fd, SHUT_WR);
	}
	close(fd);
}

static void pause_listening(struct thread *thread)
{
	complain(thread, strerror(errno));
	for (size_t i = 0; i < thread->listen_count; i++)
		uv_poll_stop(&thread->listeners[i]);
	thread->listen_paused = true;
}

static void accept_one(struct thread *thread, int fd)
{
	struct shared *shared = thread->shared;
	uint32_t surplus = atomic_load(&shared->surplus);
	bool is_full = atomic_load(&shared->connections) >= shared->config.max_connections + surplus;
	struct lws *wsi;

	if (is_full && surplus >= SPARE_CONNECTIONS) {
		refuse(thread, fd);
		return;
	}
	wsi = lws_adopt_socket_vhost(thread->vhost, fd); /* closes it when it fails */
	if (wsi && is_full)
		conn_make_surplus(wsi);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct thread *thread = poll->data;
	int listener = thread->listen_fds[poll - thread->listeners];

	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			accept_one(thread, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_listening(thread);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

bool listen_begin(struct thread *thread)
{
	for (size_t i = 0; i < thread->listen_count; i++) {
		if (uv_poll_init(&thread->loop, &thread->listeners[i], thread->listen_fds[i]) < 0)
			return false;
		thread->listeners[i].data = thread;
	}
	thread->listening = true;
	for (size_t i = 0; i < thread->listen_count; i++)
		uv_poll_start(&thread->listeners[i], UV_READABLE, on_readable);
	return true;
}

void listen_resume(struct thread *thread)
{
	if (!thread->listen_paused)
		return;
	thread->listen_paused = false;
	for (size_t i = 0; i < thread->listen_count; i++)
		uv_poll_start(&thread->listeners[i], UV_READABLE, on_readable);
}

void listen_end(struct thread *thread)
{
	if (thread->listening) {
		for (size_t i = 0; i < thread->listen_count; i++)
			uv_close((uv_handle_t *)&thread->listeners[i], NULL);
	}
	for (size_t i = 0; i < thread->listen_count; i++)
		close(thread->listen_fds[i]);
	thread->listening = thread->listen_paused = false;
	thread->listen_count = 0;
}
