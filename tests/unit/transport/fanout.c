/* Not a test: what one delivery costs the server in processor time: to plain websockets, to Socket.IO clients on websockets,
 * and by a bare loop of send() over as many sockets with the bytes of either. `transport_fanout [CLIENTS] [ROUNDS]` prints
 * microseconds per delivery. All are measured in turns, round after round, on one relay, and the medians are what counts: so
 * whatever else the machine does falls on all alike. The readers are processes of their own.
 */
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
#include "relay.h"
#include "socketio_client.h"

#define DATA_BYTES 60 /* with the envelope about 200 */
#define ROUNDS_MAX 99
#define BURST 100

/* Many sockets that one process reads, and the far ends of those that are fed by no relay. */
struct crowd {
	const char *name;
	const char *user;   /* of a relay; NULL: raw */
	bool socketio;
	int *fds;           /* raw */
	size_t clients, size; /* size: of what one event is to each */
	int pipe_fd;        /* tells how much was read */
	pid_t readers;
};

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

static struct client open_one(const struct crowd *crowd, int port)
{
	char *path = mem_format("/ws?token=user-%s", crowd->user ? crowd->user : "");
	struct client client;

	if (!crowd->user)
		client = client_open(port);
	else if (crowd->socketio)
		client = socketio_open(port, crowd->user);
	else
		client = websocket_open(port, path, "");
	if (crowd->user && !client_await(&client, "Successfully connected."))
		abort();
	free(path);
	return client;
}

/* Starts the process that opens the sockets and reads them. */
static void gather(struct crowd *crowd, int port)
{
	int pipes[2], *fds;

	if (pipe(pipes) < 0)
		abort();
	crowd->pipe_fd = pipes[0];
	crowd->readers = fork();
	if (crowd->readers)
		return;
	fds = mem_alloc(crowd->clients * sizeof(*fds));
	for (size_t i = 0; i < crowd->clients; i++)
		fds[i] = open_one(crowd, port).fd;
	if (write(pipes[1], &(unsigned long){0}, sizeof(unsigned long)) < 0)
		_exit(1);
	drain(fds, crowd->clients, pipes[1]);
}

static void gathered(const struct crowd *crowd)
{
	if (read(crowd->pipe_fd, &(unsigned long){0}, sizeof(unsigned long)) < 0)
		abort();
}

/* Bytes of one event as this relay sends it. */
static void measure(struct crowd *crowd, struct relay *relay)
{
	struct client client = open_one(crowd, relay_port(relay));
	size_t before = client.len;

	relay_emit(relay, crowd->user, 1, DATA_BYTES);
	if (crowd->socketio ? !client_await(&client, "[\"changes\"") : !client_await(&client, "\"games\""))
		abort();
	crowd->size = client.len - before;
	client_close(&client);
}

static void gather_raw(struct crowd *crowd, int listener, int port)
{
	crowd->fds = mem_alloc(crowd->clients * sizeof(int));
	gather(crowd, port);
	for (size_t i = 0; i < crowd->clients; i++) {
		crowd->fds[i] = accept(listener, NULL, NULL);
		setsockopt(crowd->fds[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	}
	gathered(crowd);
}

static void send_raw(const struct crowd *crowd, const char *bytes, size_t events)
{
	for (size_t c = 0; c < crowd->clients; c++)
		if (send(crowd->fds[c], bytes, events * crowd->size, MSG_NOSIGNAL) < 0)
			abort();
}

/* Microseconds of processor time per delivery. */
static double cost(const struct crowd *crowd, struct relay *relay, size_t events, int times)
{
	char *bytes = mem_zero(events, crowd->size);
	double before = cpu_us();

	for (int i = 0; i < times; i++) {
		if (crowd->fds)
			send_raw(crowd, bytes, events);
		else
			relay_emit(relay, crowd->user, events, DATA_BYTES);
		await(crowd->pipe_fd, crowd->clients * events * crowd->size);
	}
	free(bytes);
	return (cpu_us() - before) / ((double)crowd->clients * (double)events * times);
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

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), by_size);
	return values[count / 2];
}

enum { RAW, RAW_TWICE, PLAIN, SOCKETIO, CROWDS };

static void compare(struct crowd *crowds, struct relay *relay, const char *title, size_t events, int times, size_t rounds)
{
	static double costs[CROWDS][ROUNDS_MAX], ratios[ROUNDS_MAX];
	double middle[CROWDS], ratio;

	for (size_t r = 0; r < rounds; r++) {
		for (size_t i = 0; i < CROWDS; i++)
			costs[i][r] = cost(&crowds[i], relay, events, times);
		ratios[r] = costs[SOCKETIO][r] / costs[PLAIN][r];
	}
	for (size_t i = 0; i < CROWDS; i++)
		middle[i] = median(costs[i], rounds);
	ratio = median(ratios, rounds);
	printf("%s:", title);
	for (size_t i = 0; i < CROWDS; i++)
		printf("  %s %.3f", crowds[i].name, middle[i]);
	printf("\n    websocket/raw %.2f  socket.io/raw of its bytes %.2f  raw/raw %.2f"
	       "  socket.io/websocket %.2f (rounds: %.2f to %.2f)\n",
		middle[PLAIN] / middle[RAW], middle[SOCKETIO] / middle[RAW_TWICE], middle[RAW_TWICE] / middle[RAW],
		ratio, ratios[0], ratios[rounds - 1]);
}

int main(int argc, char **argv)
{
	size_t clients = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000, rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 9;
	/* Nobody here answers a ping. */
	struct relay_options options = {.server = {.port = 0, .engineio.ping_interval_ms = 3600000},
		.hub = {.heartbeat_ms = 3600000}};
	struct crowd crowds[CROWDS] = {{.name = "raw"}, {.name = "raw of socket.io's bytes"},
		{.name = "websocket", .user = "7"}, {.name = "socket.io", .user = "8", .socketio = true}};
	struct relay *relay;
	int port, listener = raw_listener(&port);

	log_init(LOG_ERROR, 0);
	rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
	for (size_t i = 0; i < CROWDS; i++)
		crowds[i].clients = clients;
	gather_raw(&crowds[RAW], listener, port);
	gather_raw(&crowds[RAW_TWICE], listener, port);
	relay = relay_start(&options);
	for (size_t i = PLAIN; i < CROWDS; i++) {
		measure(&crowds[i], relay);
		gather(&crowds[i], relay_port(relay));
		gathered(&crowds[i]);
		crowds[i - PLAIN + RAW].size = crowds[i].size;
	}
	for (size_t i = 0; i < CROWDS; i++)
		cost(&crowds[i], relay, 1, 20);
	printf("%zu clients each, events of %zu bytes to websockets and of %zu to socket.io, us of processor time per delivery\n",
		clients, crowds[PLAIN].size, crowds[SOCKETIO].size);
	compare(crowds, relay, "single events", 1, 50, rounds);
	compare(crowds, relay, "bursts of 100", BURST, 5, rounds);
	for (size_t i = 0; i < CROWDS; i++)
		kill(crowds[i].readers, SIGKILL);
	relay_stop(relay);
	free(crowds[RAW].fds);
	free(crowds[RAW_TWICE].fds);
	return 0;
}
