/* Not a test: what an idle connection costs the server in memory. `transport_idle [CONNECTIONS]` prints bytes for each kind:
 * plain websockets, Socket.IO on websockets, Socket.IO by polling with a poll that waits, each of a user of its own. Each
 * kind has a server process, which has had a quarter as many connections come and go before it is looked at; the clients are
 * in another one.
 *
 * Told twice: what the process holds more of (resident memory, after what is free was given back), and what it has
 * allocated (malloc's own count). The kernel's buffers are not in it.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "memory.h"
#include "relay.h"
#include "socketio_client.h"

struct kind {
	const char *name;
	struct client (*open)(int port, const char *user);
};

struct memory {
	size_t resident, allocated;
};

static struct client open_plain(int port, const char *user)
{
	char *path = mem_format("/ws?token=user-%s", user);
	struct client client = websocket_open(port, path, "");

	client_await(&client, "Successfully connected.");
	free(path);
	return client;
}

static struct client open_socketio(int port, const char *user)
{
	struct client client = socketio_open(port, user);

	client_await(&client, "Successfully connected.");
	return client;
}

static struct client open_polling(int port, const char *user)
{
	char sid[SID_BYTES];
	struct client client = polling_open(port, user, sid);

	polling_say(&client, sid);
	return client;
}

static struct memory memory_now(void)
{
	struct memory memory = {0};

	malloc_trim(0);
	memory.allocated = mallinfo2().uordblks + mallinfo2().hblkhd;
	memory.resident = resident_bytes();
	return memory;
}

/* Opens that many and keeps them until the word comes to let go of them. */
static void keep(const struct kind *kind, int port, size_t count, const int *told, const int *tells)
{
	struct client *clients = mem_zero(count, sizeof(*clients));
	char word = 0;

	for (size_t i = 0; i < count; i++) {
		char user[24];

		snprintf(user, sizeof(user), "%zu", i);
		clients[i] = kind->open(port, user);
	}
	if (write(tells[1], &word, 1) != 1 || read(told[0], &word, 1) != 1)
		_exit(1);
	_exit(0);
}

static void await_sessions(struct relay *relay, size_t count)
{
	for (int i = 0; i < 3000 && relay_sessions(relay) != count; i++)
		usleep(10000);
	usleep(500000); /* what ends, ends in later turns; polls arrive after their sessions */
}

/* What the process holds while that many are there. */
static struct memory with(struct relay *relay, const struct kind *kind, size_t count)
{
	struct memory memory;
	int told[2], tells[2];
	char word = 0;
	pid_t child;

	if (pipe(told) < 0 || pipe(tells) < 0)
		abort();
	child = fork();
	if (!child)
		keep(kind, relay_port(relay), count, told, tells);
	if (read(tells[0], &word, 1) != 1)
		abort();
	await_sessions(relay, count);
	memory = memory_now();
	if (write(told[1], &word, 1) != 1)
		abort();
	waitpid(child, NULL, 0);
	await_sessions(relay, 0);
	return memory;
}

static void look_at(const struct kind *kind, size_t count)
{
	struct relay_options options = {.server = {.port = 0, .engineio.ping_interval_ms = 3600000},
		.hub = {.heartbeat_ms = 3600000}};
	struct relay *relay = relay_start(&options);
	struct memory before, after;

	with(relay, kind, count / 4);
	before = memory_now();
	after = with(relay, kind, count);
	printf("%-28s %6.0f resident  %6.0f allocated\n", kind->name,
		((double)after.resident - (double)before.resident) / (double)count,
		((double)after.allocated - (double)before.allocated) / (double)count);
	fflush(stdout);
	relay_stop(relay);
}

int main(int argc, char **argv)
{
	static const struct kind kinds[] = {{"websocket", open_plain}, {"socket.io on a websocket", open_socketio},
		{"socket.io, a poll waits", open_polling}};
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 4000;
	struct rlimit files;

	log_init(LOG_ERROR, 0);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	printf("%zu connections each, bytes per connection\n", count);
	fflush(stdout);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		pid_t child = fork();

		if (!child) {
			look_at(&kinds[i], count);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
	return 0;
}
