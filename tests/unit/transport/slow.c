/* Prevents: a frame cut by a pong or by another frame when a socket takes bytes only in part, an event lost or repeated when
 * a client falls behind and catches up, a client that reads nothing and is kept for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "client.h"
#include "relay.h"

#define FIRST 101 /* the id of the first event that is emitted */

static struct relay *begin(int64_t slow_timeout_ms)
{
	const struct relay_options options = {
		.server = {.send_buffer_bytes = 65536}, .hub = {.slow_timeout_ms = slow_timeout_ms}};

	return relay_start(&options);
}

static void shrink(int fd)
{
	int size = 32768; /* less, and loopback waits for delayed acknowledgements */

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

static struct client connect_user(struct relay *relay)
{
	struct client client = websocket_open(relay_port(relay), "/ws?token=user-7", "");
	char *payload;
	size_t len;

	shrink(client.fd);
	assert_int_equal(websocket_next(&client, &payload, &len), 1);
	assert_non_null(strstr(payload, "connected"));
	free(payload);
	return client;
}

/* The id of a `changes` message, 0 for any other. */
static uint64_t id_of(const char *text)
{
	const char *at = strstr(text, "\"data\":{\"id\":\"");

	return at && strstr(text, "\"changes\"") ? strtoull(at + 14, NULL, 10) : 0;
}

/* Reads frames with a pause now and then, pinging all the while: every event once, in order, every pong whole. False: it was closed. */
static bool reads_all(struct client *client, uint64_t first, uint64_t last, int pause_us)
{
	uint64_t expected = first;
	int pongs = 0;

	for (int i = 0; expected <= last || !pongs; i++) { /* a pong may come behind all that was sent before */
		char *payload = NULL, ping[16];
		size_t len;
		int opcode;

		if (i % 16 == 0) {
			snprintf(ping, sizeof(ping), "ping %d", i);
			websocket_frame(client, 0x89, ping, strlen(ping));
			usleep((useconds_t)pause_us);
		}
		opcode = websocket_next(client, &payload, &len);
		if (opcode == 8 || opcode == -1) {
			free(payload);
			return false;
		}
		if (opcode == 10 && strncmp(payload, "ping ", 5) == 0)
			pongs++;
		else if (opcode == 1 && id_of(payload))
			assert_int_equal(id_of(payload), expected++);
		else if (opcode != 1 && opcode != 9)
			fail_msg("frame %d after event %d: opcode %d", i, (int)expected - 1, opcode);
		free(payload);
	}
	return true;
}

static void read_all(struct client *client, uint64_t first, uint64_t last, int pause_us)
{
	assert_true(reads_all(client, first, last, pause_us));
}

static void test_partial_sends(void **state)
{
	struct relay *relay = begin(30000);
	struct client slow = connect_user(relay), quick = connect_user(relay);

	(void)state;
	relay_emit(relay, "7", 2000, 300);  /* far more than the socket takes */
	relay_emit(relay, NULL, 50, 40000);
	relay_emit(relay, "7", 1, 1000000); /* one frame larger than every bound */
	relay_emit(relay, "7", 500, 10);
	read_all(&quick, FIRST, FIRST + 2550, 0);
	read_all(&slow, FIRST, FIRST + 2550, 2000);
	client_close(&slow);
	client_close(&quick);
	relay_stop(relay);
}

/* While it is behind more comes, now and then: it catches up and goes on live. */
static void test_catches_up(void **state)
{
	struct relay *relay = begin(30000);
	struct client client = connect_user(relay);
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		last = relay_emit(relay, "7", 10, 2000);
		usleep(1000);
	}
	read_all(&client, FIRST, last, 500);
	last = relay_emit(relay, "7", 1, 10);
	read_all(&client, last, last, 0);
	client_close(&client);
	relay_stop(relay);
}

static void test_slow_stream(void **state)
{
	struct relay *relay = begin(30000);
	struct client client = client_open(relay_port(relay));
	char last[64];

	(void)state;
	shrink(client.fd);
	client_say(&client, "GET /stream?token=user-7 HTTP/1.1\r\nHost: localhost\r\n\r\n");
	assert_true(client_await(&client, "Successfully connected."));
	snprintf(last, sizeof(last), "id: " RELAY_JOURNAL ":%d\nevent: changes", FIRST + 2999);
	relay_emit(relay, "7", 3000, 1000);
	usleep(300000);
	assert_true(client_await(&client, last));
	for (int i = 0, found = 0; i < 3000; i++) {
		char *at;

		snprintf(last, sizeof(last), "\nid: " RELAY_JOURNAL ":%d\nevent: changes\n", FIRST + i);
		at = strstr(client.in + found, last);
		assert_non_null(at);
		found = (int)(at - client.in);
	}
	client_close(&client);
	relay_stop(relay);
}

/* One that takes nothing for SLOW_TIMEOUT is closed. Does one stay that is merely slow? */
static bool the_slow_one_stays(int64_t slow_timeout_ms)
{
	struct relay *relay = begin(slow_timeout_ms);
	struct client stalled = connect_user(relay), slow = connect_user(relay), stream = client_open(relay_port(relay));
	int64_t until;
	uint64_t last;
	bool stays;

	shrink(stream.fd);
	client_say(&stream, "GET /stream?token=user-7 HTTP/1.1\r\nHost: localhost\r\n\r\n");
	assert_true(client_await(&stream, "Successfully connected."));
	assert_int_equal(relay_sessions(relay), 3);
	last = relay_emit(relay, "7", 1000, 2000);
	stays = reads_all(&slow, FIRST, last, 40000);
	until = clock_ms() + 5 * slow_timeout_ms;
	while (relay_sessions(relay) > stays && clock_ms() < until)
		usleep(10000);
	assert_in_range(relay_sessions(relay), 0, stays);
	last = relay_emit(relay, "7", 1, 10);
	stays = stays && reads_all(&slow, last, last, 0);
	client_close(&stalled);
	client_close(&slow);
	client_close(&stream);
	relay_stop(relay);
	return stays;
}

/* On a busy machine it may take nothing for a little time. */
static void test_stalled(void **state)
{
	(void)state;
	assert_true(the_slow_one_stays(1500) || the_slow_one_stays(5000) || the_slow_one_stays(15000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_partial_sends),
		cmocka_unit_test(test_catches_up),
		cmocka_unit_test(test_slow_stream),
		cmocka_unit_test(test_stalled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
