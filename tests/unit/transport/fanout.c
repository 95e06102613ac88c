/* Not a test: what one delivery costs the server in processor time, against a bare loop of send() over as many sockets with
 * the same bytes. The readers are a process of their own. `transport_fanout [CLIENTS]` prints microseconds per delivery. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "client.h"
#include "relay.h"

#define DATA_BYTES 60 /* with the envelope about 200 */

static double cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Reads everything from the sockets for ever; tells through the pipe after every `share` bytes of them all. */
static void drain(const int *fds, size_t count, int pipe_fd)
{
	int epoll = epoll_create1(0);
	struct epoll_event events[256];
	static char in[262144];

	for (size_t i = 0; i < count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fds[i]};

		epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
	}
	for (;;) {
		int n = epoll_wait(epoll, events, 256, -1);
		unsigned long got = 0;

		for (int i = 0; i < n; i++) {
			ssize_t len = recv(events[i].data.fd, in, sizeof(in), MSG_DONTWAIT);

			if (len <= 0)
				_exit(0);
			got += (unsigned long)len;
		}
		if (write(pipe_fd, &got, sizeof(got)) < 0)
			_exit(0);
	}
}

static void await(int pipe_fd, unsigned long bytes)
{
	unsigned long got;

	while (bytes && read(pipe_fd, &got, sizeof(got)) == sizeof(got))
		bytes -= got < bytes ? got : bytes;
}

static pid_t readers(int port, size_t count, bool websocket, int pipes[2])
{
	pid_t child = fork();
	int *fds;

	if (child)
		return child;
	fds = mem_alloc(count * sizeof(*fds));
	for (size_t i = 0; i < count; i++) {
		struct client client = websocket ? websocket_open(port, "/ws?token=user-7", "") : client_open(port);

		if (websocket)
			client_await(&client, "Successfully connected.");
		fds[i] = client.fd;
	}
	if (write(pipes[1], &(unsigned long){0}, sizeof(unsigned long)) < 0)
		_exit(1);
	drain(fds, count, pipes[1]);
	return 0;
}

/* Bytes of one frame as this relay sends it. */
static size_t frame_size(struct relay *relay)
{
	struct client client = websocket_open(relay_port(relay), "/ws?token=user-7", "");
	char *payload;
	size_t len;

	client_await(&client, "Successfully connected.");
	free((websocket_next(&client, &payload, &len), payload));
	relay_emit(relay, NULL, 1, DATA_BYTES);
	free((websocket_next(&client, &payload, &len), payload));
	client_close(&client);
	return len + 4;
}

static double relayed(struct relay *relay, int pipe_fd, size_t clients, size_t events, size_t size, int rounds)
{
	double before = cpu_us();

	for (int i = 0; i < rounds; i++) {
		relay_emit(relay, NULL, events, DATA_BYTES);
		await(pipe_fd, clients * events * size);
	}
	return (cpu_us() - before) / ((double)clients * (double)events * rounds);
}

static double raw(const int *fds, int pipe_fd, size_t clients, size_t events, size_t size, int rounds)
{
	char *bytes = mem_zero(events, size);
	double before = cpu_us();

	for (int i = 0; i < rounds; i++) {
		for (size_t c = 0; c < clients; c++)
			if (send(fds[c], bytes, events * size, MSG_NOSIGNAL) < 0)
				abort();
		await(pipe_fd, clients * events * size);
	}
	free(bytes);
	return (cpu_us() - before) / ((double)clients * (double)events * rounds);
}

static int raw_listener(int *port)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(own);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&own, len) < 0 || listen(fd, 1024) < 0)
		abort();
	getsockname(fd, (struct sockaddr *)&own, &len);
	*port = ntohs(own.sin_port);
	return fd;
}

int main(int argc, char **argv)
{
	size_t clients = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000, size;
	struct relay_options options = {.server = {.port = 0}};
	struct relay *relay;
	int pipes[2], raw_pipes[2], port, listener, *fds = mem_alloc(clients * sizeof(int));
	pid_t children[2];
	double one, burst, raw_one, raw_burst;

	log_init(LOG_ERROR, 0);
	if (pipe(pipes) < 0 || pipe(raw_pipes) < 0)
		return 1;
	listener = raw_listener(&port);
	children[1] = readers(port, clients, false, raw_pipes);
	for (size_t i = 0; i < clients; i++) {
		fds[i] = accept(listener, NULL, NULL);
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	}
	relay = relay_start(&options);
	size = frame_size(relay);
	children[0] = readers(relay_port(relay), clients, true, pipes);
	if (read(pipes[0], &(unsigned long){0}, sizeof(long)) < 0 || read(raw_pipes[0], &(unsigned long){0}, sizeof(long)) < 0)
		return 1;
	raw(fds, raw_pipes[0], clients, 1, size, 20);
	relayed(relay, pipes[0], clients, 1, size, 20);
	raw_one = raw(fds, raw_pipes[0], clients, 1, size, 200);
	one = relayed(relay, pipes[0], clients, 1, size, 200);
	raw_burst = raw(fds, raw_pipes[0], clients, 100, size, 20);
	burst = relayed(relay, pipes[0], clients, 100, size, 20);
	printf("%zu clients, frames of %zu bytes, us of processor time per delivery\n"
	       "single events: raw %.2f  relay %.2f  ratio %.2f\nbursts of 100: raw %.3f  relay %.3f  ratio %.2f\n",
		clients, size, raw_one, one, one / raw_one, raw_burst, burst, burst / raw_burst);
	for (int i = 0; i < 2; i++)
		kill(children[i], SIGKILL);
	relay_stop(relay);
	free(fds);
	return 0;
}
