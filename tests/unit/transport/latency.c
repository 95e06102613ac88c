/* Not a test: how long an event is on its way, from relay_emit() to the last byte at the client: to a plain websocket and as
 * the answer to a Socket.IO poll that waits. `transport_latency [THREADS] [EVENTS]` prints microseconds. The clients take
 * turns on one relay. With several threads a session's home and the connection that polls are mostly on different ones:
 * there are PAIRS of connections, the second of which polls for what the first has begun.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "relay.h"
#include "socketio_client.h"

#define PAIRS 16
#define REST_US 2000 /* before each event: the poll has arrived, and all threads sleep */

struct poller {
	struct client first, second;
	char sid[21], user[16];
};

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void tell(const char *name, double *took, size_t count)
{
	qsort(took, count, sizeof(*took), by_size);
	printf("%-24s p50 %4.0f  p90 %4.0f  p99 %4.0f  most %4.0f\n", name, took[count / 2], took[count * 9 / 10],
		took[count * 99 / 100], took[count - 1]);
}

static double poll_once(struct relay *relay, struct poller *poller)
{
	double began;

	polling_say(&poller->second, poller->sid);
	usleep(REST_US);
	began = now_us();
	relay_emit(relay, poller->user, 1, 60);
	if (!client_take_answer(&poller->second))
		abort();
	return now_us() - began;
}

static double push_once(struct relay *relay, struct client *client)
{
	double began;
	char *payload;
	size_t len;

	usleep(REST_US);
	began = now_us();
	relay_emit(relay, "plain", 1, 60);
	if (websocket_next(client, &payload, &len) != 1)
		abort();
	free(payload);
	return now_us() - began;
}

int main(int argc, char **argv)
{
	struct relay_options options = {.server = {.port = 0, .threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1,
						.engineio.ping_interval_ms = 3600000},
		.hub = {.heartbeat_ms = 3600000}};
	size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
	double *polled = mem_zero(count, sizeof(*polled)), *pushed = mem_zero(count, sizeof(*pushed));
	struct relay *relay = relay_start(&options);
	struct client plain = websocket_open(relay_port(relay), "/ws?token=user-plain", "");
	struct poller pollers[PAIRS];
	char *payload;
	size_t len;

	log_init(LOG_ERROR, 0);
	websocket_next(&plain, &payload, &len);
	free(payload);
	for (size_t i = 0; i < PAIRS; i++) {
		snprintf(pollers[i].user, sizeof(pollers[i].user), "%zu", i);
		pollers[i].first = polling_open(relay_port(relay), pollers[i].user, pollers[i].sid);
		pollers[i].second = client_open(relay_port(relay));
	}
	for (size_t i = 0; i < count; i++) {
		polled[i] = poll_once(relay, &pollers[i % PAIRS]);
		pushed[i] = push_once(relay, &plain);
	}
	printf("%u threads, %zu events, us\n", options.server.threads, count);
	tell("websocket", pushed, count);
	tell("socket.io, a poll waits", polled, count);
	for (size_t i = 0; i < PAIRS; i++) {
		client_close(&pollers[i].first);
		client_close(&pollers[i].second);
	}
	client_close(&plain);
	relay_stop(relay);
	free(polled);
	free(pushed);
	return 0;
}
