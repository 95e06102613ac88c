/* Prevents: a websocket that is opened where none should be, a broken or oversized message that crashes, stays unanswered or
 * is taken for a good one, a close without its code, a peer that is gone and still counted, a connection that stays half
 * open because the peer's answer to a close is not understood any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "client.h"
#include "relay.h"

#define END "Host: localhost\r\n\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define MESSAGE_MAX 5000
#define ENDS_MS 4000 /* libwebsockets' own patience is 5 s, ours a second */

static struct relay *relay;

static int start(void **state)
{
	static const char *const origins[] = {"https://good.example"};
	static const struct relay_options options = {
		.server = {.max_message_bytes = MESSAGE_MAX, .cors_origins = origins, .cors_origin_count = 1}};

	(void)state;
	relay = relay_start(&options);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	relay_stop(relay);
	return 0;
}

static const struct {
	const char *request;
	int status;
} handshakes[] = {
	{"GET /ws?token=user-7 HTTP/1.1\r\n" UPGRADE VERSION KEY END, 101},
	{"GET /ws?token=user-7 HTTP/1.1\r\n" UPGRADE VERSION KEY "Origin: https://good.example\r\n" END, 101},
	{"GET /ws?token=user-7 HTTP/1.1\r\n" UPGRADE VERSION KEY "Origin: https://GOOD.example:443\r\n" END, 101},
	{"GET /ws?token=user-7 HTTP/1.1\r\n" UPGRADE VERSION KEY "Origin: http://localhost\r\n" END, 101}, /* our own */
	{"GET /ws?token=user-7 HTTP/1.1\r\n" UPGRADE VERSION KEY "Sec-WebSocket-Protocol: a, esink\r\n" END, 101},
	{"GET /ws HTTP/1.1\r\n" UPGRADE VERSION KEY "Origin: https://bad.example\r\n" END, 403},
	{"GET /ws HTTP/1.1\r\n" UPGRADE VERSION KEY "Origin: http://good.example\r\n" END, 403},
	{"GET /ws HTTP/1.1\r\n" UPGRADE VERSION KEY "Origin: null\r\n" END, 403},
	{"GET /ws HTTP/1.1\r\n" UPGRADE VERSION KEY "Sec-WebSocket-Protocol: graphql-ws\r\n" END, 400},
	{"GET /ping HTTP/1.1\r\n" UPGRADE VERSION KEY END, 404},
	{"GET /ws/ HTTP/1.1\r\n" UPGRADE VERSION KEY END, 404},
	{"GET / HTTP/1.1\r\n" UPGRADE VERSION KEY END, 404},
	{"POST /ws HTTP/1.1\r\n" UPGRADE VERSION KEY END, 405},
	{"GET /ws HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Version: 8\r\n" KEY END, 426},
	{"GET /ws HTTP/1.1\r\n" UPGRADE KEY END, 426},
	{"GET /ws HTTP/1.1\r\n" UPGRADE VERSION END, 400},
	{"GET /ws HTTP/1.1\r\n" UPGRADE VERSION "Sec-WebSocket-Key: short\r\n" END, 400},
	{"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n" VERSION KEY END, 400},
	{"GET /ws HTTP/1.1\r\n" UPGRADE VERSION KEY "\r\n", 400},
};

static void test_handshakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(handshakes) / sizeof(*handshakes); i++) {
		struct client client = client_open(relay_port(relay));

		client_say(&client, handshakes[i].request);
		assert_true(client_await(&client, "\r\n\r\n"));
		if (client_status(client.in) != handshakes[i].status)
			fail_msg("%s\n-> %s", handshakes[i].request, client.in);
		if (client_status(client.in) != 101)
			assert_true(client_await(&client, "{\"code\":4"));
		client_close(&client);
	}
}

/* What the first packet brings, and how soon it is there. */
static int64_t first_packet(const char *request, char *bytes, size_t room, size_t *len)
{
	struct client client = client_open(relay_port(relay));
	struct pollfd ready = {client.fd, POLLIN, 0};
	int64_t begun = clock_ms();
	ssize_t n;

	client_say(&client, request);
	assert_int_equal(poll(&ready, 1, 5000), 1);
	begun = clock_ms() - begun;
	n = recv(client.fd, bytes, room, 0);
	assert_true(n > 0);
	*len = (size_t)n;
	client_close(&client);
	return begun;
}

static bool has(const char *bytes, size_t len, const char *text)
{
	return memmem(bytes, len, text, strlen(text)) != NULL;
}

/* Whoever is let in at once is told so in the packet of the head; where nothing follows the head it is not held back, as the kernel
 * would for a fifth of a second. */
static void test_first_packet(void **state)
{
	char bytes[4096];
	size_t len;
	int64_t best = INT64_MAX;

	(void)state;
	first_packet("GET /ws?token=TEST HTTP/1.1\r\n" UPGRADE VERSION KEY END, bytes, sizeof(bytes), &len);
	assert_true(has(bytes, len, "HTTP/1.1 101 "));
	assert_true(has(bytes, len, "\"event\":\"connected\""));
	first_packet("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n" UPGRADE VERSION KEY END, bytes, sizeof(bytes), &len);
	assert_true(has(bytes, len, "HTTP/1.1 101 "));
	assert_true(has(bytes, len, "0{\"sid\":\""));
	for (int i = 0; i < 40 && best >= 100; i++) { /* held back each time, or now and then for the machine is busy */
		int64_t ms = first_packet("GET /ws HTTP/1.1\r\n" UPGRADE VERSION KEY END, bytes, sizeof(bytes), &len);

		assert_true(has(bytes, len, "HTTP/1.1 101 "));
		best = ms < best ? ms : best;
	}
	assert_true(best < 100);
}

/* The next message, which must be a text that holds this. */
static void expect(struct client *client, const char *text)
{
	char *payload = NULL;
	size_t len;
	int opcode = websocket_next(client, &payload, &len);

	if (opcode != 1 || !strstr(payload, text))
		fail_msg("%d %s, expected %s", opcode, opcode >= 0 ? payload : "", text);
	free(payload);
}

static struct client connect_user(const struct relay *to)
{
	struct client client = websocket_open(relay_port(to), "/ws?token=user-7", "");

	assert_true(client_await(&client, "\"message\":\"Successfully connected.\""));
	expect(&client, "{\"event\":\"connected\"");
	return client;
}

static void test_tokens(void **state)
{
	static const struct {
		const char *path, *headers;
		int code; /* 0: connected */
	} cases[] = {
		{"/ws?token=user-7", "", 0},
		{"/ws", "Authorization: Bearer user-7\r\n", 0},
		{"/ws", "Authorization: Bearer " RELAY_OPERATOR "\r\n", 0},
		{"/ws?token=" RELAY_OPERATOR, "", 4401},
		{"/ws?token=wrong", "", 4401},
		{"/ws?token=user-7&after=x", "", 4400},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct client client = websocket_open(relay_port(relay), cases[i].path, cases[i].headers);

		if (cases[i].code)
			assert_int_equal(websocket_close_code(&client), cases[i].code);
		else
			expect(&client, "\"code\":200");
		client_close(&client);
	}
}

static void test_first_message(void **state)
{
	struct client client = websocket_open(relay_port(relay), "/ws", "");

	(void)state;
	websocket_say(&client, "{\"event\":\"auth\",\"data\":{\"token\":\"user-9\"}}");
	expect(&client, "\"userId\":\"9\"");
	client_close(&client);
}

/* A client that has no position yet says an empty one. */
static void test_no_position(void **state)
{
	struct client query = websocket_open(relay_port(relay), "/ws?token=user-7&after=", "");
	struct client message = websocket_open(relay_port(relay), "/ws", "");

	(void)state;
	expect(&query, "\"recovered\":false");
	client_close(&query);
	websocket_say(&message, "{\"event\":\"auth\",\"data\":{\"token\":\"user-9\",\"after\":\"\"}}");
	expect(&message, "\"recovered\":false");
	client_close(&message);
}

/* As the query says once decoded: %2F is no second pattern, %26 does not split. */
static void test_query(void **state)
{
	struct client client =
		websocket_open(relay_port(relay), "/ws?token=user-7&topics=ga%6Des%24&topics=a%26b&types=up+date&types=update", "");

	(void)state;
	expect(&client, "connected");
	relay_emit(relay, "7", 1, 10);
	expect(&client, "{\"event\":\"changes\"");
	client_close(&client);
}

/* A browser is shown neither the status nor the body of a refused handshake: only a message can say what is wrong. */
static void test_bad_query(void **state)
{
	static const struct {
		const char *path, *message;
	} cases[] = {
		{"/ws?token=user-7&after=soon", "after is not a position"},
		{"/ws?token=user-7&topics=%28a", "missing closing parenthesis"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct client client = websocket_open(relay_port(relay), cases[i].path, "");
		char *payload;
		size_t len;

		assert_int_equal(websocket_next(&client, &payload, &len), 1);
		assert_non_null(strstr(payload, "{\"event\":\"error\",\"data\":{\"code\":400,"));
		assert_non_null(strstr(payload, cases[i].message));
		free(payload);
		assert_int_equal(websocket_close_code(&client), 4400);
		client_close(&client);
	}
}

/* A message of len bytes that is a good one: a subscription to everything. */
static char *subscription(size_t len)
{
	char *text = mem_format("{\"event\":\"subscribe\",\"data\":{}%*s}", (int)len, "");

	text[len - 1] = '}';
	text[len] = 0;
	return text;
}

static void test_messages(void **state)
{
	struct client client = connect_user(relay);
	char *large = subscription(MESSAGE_MAX);

	(void)state;
	websocket_say(&client, large);
	expect(&client, "subscribed");
	websocket_frame(&client, 0x01, large, 300);
	websocket_frame(&client, 0x89, "ping", 4); /* may come between the parts */
	websocket_frame(&client, 0x00, large + 300, 0);
	for (size_t at = 300; at + 1 < MESSAGE_MAX; at++)
		websocket_frame(&client, at + 2 < MESSAGE_MAX ? 0x00 : 0x80, large + at, at + 2 < MESSAGE_MAX ? 1 : 2);
	for (int i = 0; i < 2; i++) {
		char *payload = NULL;
		size_t len;
		int opcode = websocket_next(&client, &payload, &len);

		assert_true(opcode == 10 ? strcmp(payload, "ping") == 0 : opcode == 1 && strstr(payload, "subscribed"));
		free(payload);
	}
	free(large);
	client_close(&client);
}

static const struct {
	int first_byte;
	const char *payload;
	size_t len; /* 0: the payload's */
	int code;
} bad_messages[] = {
	{0x82, "binary", 0, 4400},
	{0x81, "{\"event\":\"\xff\"}", 0, 4400},
	{0x81, "\xed\xa0\x80", 0, 4400},
	{0x83, "reserved opcode", 0, 1002},
	{0xc1, "reserved bit", 0, 1002},
	{0x80, "nothing to continue", 0, 1002},
	{0x09, "a ping in parts", 0, 1002},
	{0x88, "\x03\xe8", 2, 1000},
	{0x88, "\x0f\xa0 4000", 0, 4000},
	{0x88, "\x00\x01", 2, 1002},
};

/* How long it takes from our answer to the close to the end. */
static int64_t bad_message(size_t i)
{
	struct client client = connect_user(relay);
	size_t len = bad_messages[i].len ? bad_messages[i].len : strlen(bad_messages[i].payload);
	int64_t answered;
	int code;

	websocket_frame(&client, bad_messages[i].first_byte, bad_messages[i].payload, len);
	code = websocket_close_code(&client);
	if (code != bad_messages[i].code)
		fail_msg("%02x %s -> %d", (unsigned)bad_messages[i].first_byte, bad_messages[i].payload, code);
	websocket_frame(&client, 0x88, "\x03\xe8", 2);
	answered = clock_ms();
	assert_true(client_ends(&client));
	client_close(&client);
	return clock_ms() - answered;
}

static void test_bad_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_messages) / sizeof(*bad_messages); i++) {
		int64_t ms = bad_message(i);

		for (int more = 0; more < 4 && ms > ENDS_MS; more++) /* a busy machine is late now and then, not each time */
			ms = bad_message(i);
		if (ms > ENDS_MS)
			fail_msg("%02x: %d ms to the end", (unsigned)bad_messages[i].first_byte, (int)ms);
	}
}

static void test_too_large(void **state)
{
	struct client client = connect_user(relay), parts = connect_user(relay), claim = connect_user(relay);
	char *large = subscription(MESSAGE_MAX + 1);

	(void)state;
	websocket_say(&client, large);
	assert_int_equal(websocket_close_code(&client), 4400);
	for (int i = 0; i < 100; i++)
		websocket_frame(&parts, i ? 0x00 : 0x01, large, 1000);
	assert_int_equal(websocket_close_code(&parts), 4400);
	/* a length of 2^63 - 1, of which little comes */
	client_send(&claim, "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 14);
	client_send(&claim, large, MESSAGE_MAX + 1);
	assert_int_equal(websocket_close_code(&claim), 4400);
	free(large);
	client_close(&client);
	client_close(&parts);
	client_close(&claim);
}

/* A frame that comes with the whole handshake in one packet; and everything byte by byte, the frame when it may come: after
 * the answer. (What is read together with the last part of a handshake alone, libwebsockets 4.1 takes for other bytes: it
 * makes its answer where they lie.) */
static void test_packets(void **state)
{
	static const char handshake[] = "GET /ws HTTP/1.1\r\n" UPGRADE VERSION KEY END;
	static const char auth[] = "{\"event\":\"auth\",\"data\":{\"token\":\"user-7\"}}";
	char both[1000];
	size_t at = sizeof(handshake) - 1;
	struct client whole = client_open(relay_port(relay)), slow = client_open(relay_port(relay));

	(void)state;
	memcpy(both, handshake, at);
	both[at++] = (char)0x81;
	both[at++] = (char)(0x80 | (sizeof(auth) - 1));
	memset(both + at, 0, 4);
	memcpy(both + at + 4, auth, sizeof(auth) - 1);
	at += 4 + sizeof(auth) - 1;
	client_send(&whole, both, at);
	assert_true(client_await(&whole, "Successfully connected."));
	for (size_t i = 0; i < at; i++) {
		if (i == sizeof(handshake) - 1)
			assert_true(client_await(&slow, "\r\n\r\n"));
		client_send(&slow, both + i, 1);
		if (i % 10 == 0)
			usleep(1000);
	}
	assert_true(client_await(&slow, "Successfully connected."));
	client_close(&whole);
	client_close(&slow);
}

/* Quiet peers are pinged; who does not answer is closed. Does who answers stay? */
static bool who_answers_stays(int64_t timeout_ms)
{
	const struct relay_options options = {.hub = {.heartbeat_ms = 500, .heartbeat_timeout_ms = timeout_ms}};
	struct relay *quick = relay_start(&options);
	struct client dead = connect_user(quick), client = connect_user(quick);
	char *payload;
	size_t len;
	int opcode = 9;

	for (int answered = 0; answered < 1 + timeout_ms / 500 && opcode == 9; answered++) { /* after which the dead one is gone */
		opcode = websocket_next(&client, &payload, &len);
		if (opcode >= 0) {
			websocket_frame(&client, 0x8a, payload, len);
			free(payload);
		}
	}
	assert_int_equal(websocket_close_code(&dead), 1001);
	websocket_say(&client, "{\"event\":\"subscribe\",\"data\":{}}");
	opcode = opcode == 9 && !client_await(&client, "\"subscribed\"") ? 8 : opcode;
	client_close(&client);
	client_close(&dead);
	relay_stop(quick);
	return opcode == 9;
}

/* A busy machine may keep our answer for longer than a little time. */
static void test_heartbeat(void **state)
{
	(void)state;
	assert_true(who_answers_stays(2500) || who_answers_stays(5000) || who_answers_stays(20000));
}

/* Every way to leave, many times, while events are on their way: nothing crashes, and no session is left over. */
static void test_aborts(void **state)
{
	int64_t patience;

	(void)state;
	for (int i = 0; i < 60; i++) {
		struct client client = websocket_open(relay_port(relay), "/ws?token=user-7", "");
		struct linger hard = {.l_onoff = 1};

		if (i % 3 == 0)
			relay_emit(relay, NULL, 10, 1000);
		if (i % 4 == 1)
			setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)); /* a reset */
		if (i % 4 == 2)
			shutdown(client.fd, SHUT_WR);
		if (i % 4 == 3)
			client_send(&client, "\x81\xfe\x01", 3); /* in the middle of a frame */
		if (i % 4 == 2)
			assert_true(client_ends(&client));
		client_close(&client);
	}
	patience = clock_ms() + 30000; /* less than the relay's own clocks would take */
	while (relay_sessions(relay) && clock_ms() < patience)
		usleep(10000);
	assert_int_equal(relay_sessions(relay), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshakes),
		cmocka_unit_test(test_first_packet),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_first_message),
		cmocka_unit_test(test_no_position),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_bad_query),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_bad_messages),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_heartbeat),
		cmocka_unit_test(test_aborts),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
