/* Prevents: events that a Socket.IO client gets twice because they came together with the close packet; packets beside the
 * vocabulary that cost unbounded memory; handshakes that keep others out; a heartbeat among the fragments of a large event, which no
 * client can read; polls that are answered at once for ever after a websocket that came to nothing.
 *
 * The relay's clock goes slowly: last words are still there when a busy machine comes to fetch them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../clock.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "esink/event.h"
#include "memory.h"
#include "relay.h"
#include "socketio_client.h"

#define SLOWER 5
#define NEVER_MS 300 /* what would come comes within a tenth of it */

static void join(int port, char sid[SID_BYTES])
{
	struct client client = polling_open(port, "7", sid);

	assert_int_equal(strlen(sid), SID_BYTES - 1);
	client_close(&client);
}

/* -- the close packet -- */

struct last_turn {
	struct task task;
	struct hub *hub;
	struct event *event;
};

/* On the hub's thread: an event that is in its inbox when the drain begins, and is sent in the turn that closes its session. */
static void in_the_last_turn(struct task *task)
{
	struct last_turn *last = (struct last_turn *)task;

	assert_true(hub_deliver(last->hub, &last->event, 1));
	hub_drain(last->hub, 1);
	pause_ms(3); /* and it is to be closed now */
}

static struct event *an_event(uint64_t id)
{
	struct span user = span_of("7");
	const struct event_parts parts = {.id = id, .timestamp = 1700000000000, .version = 1, .journal = span_of(RELAY_JOURNAL),
		.topic = span_of("games"), .type = span_of("update"), .data = span_of("{}"), .source = span_of("postgres"),
		.source_type = span_of("database"), .users = &user, .user_count = 1};

	return event_create(&parts);
}

static void close_packet_comes_alone(void **state)
{
	const struct relay_options options = {0};
	struct relay *relay = relay_start(&options);
	struct last_turn last = {.task.run = in_the_last_turn, .event = an_event(101)};
	size_t hubs;
	struct client poll;
	char sid[SID_BYTES], *text;
	int status;

	(void)state;
	last.hub = server_hubs(relay_server(relay), &hubs)[0];
	join(relay_port(relay), sid);
	poll = polling_request(relay_port(relay), sid, NULL, 0);
	assert_int_equal(polling_send(relay_port(relay), sid, "3"), 200); /* the poll has been there */
	inbox_post(hub_inbox(last.hub), &last.task);
	text = polling_answer(&poll, &status);
	assert_int_equal(status, 200);
	assert_non_null(strstr(text, "42[\"changes\""));
	assert_null(strstr(text, "\x1e" "1"));
	free(text);
	text = polling_fetch(relay_port(relay), sid, &status);
	assert_string_equal(text, "1");
	free(text);
	event_unref(last.event);
	relay_stop(relay);
}

/* -- what a client may make us say -- */

static char *many(const char *packet, size_t count, size_t *len)
{
	AUTO_BUF struct buf body = buf_init(BUF_NO_MAX);

	for (size_t i = 0; i < count; i++) {
		buf_text(&body, i ? "\x1e" : "");
		buf_text(&body, packet);
	}
	*len = body.len;
	return mem_text_n(body.bytes, body.len);
}

/* The last words, not many of them, then the close packet. */
static void is_closed(int port, const char *sid)
{
	int status;
	char *text = polling_fetch(port, sid, &status);

	assert_int_equal(status, 200);
	assert_true(strlen(text) < 100000);
	if (strcmp(text, "1") != 0) {
		free(text);
		text = polling_fetch(port, sid, &status);
		assert_string_equal(text, "1");
	}
	free(text);
	assert_int_equal(polling_send(port, sid, "3"), 400);
}

/* Each is answered, and the client never asks for the answers. */
static void refusals_are_not_heaped_up(void **state)
{
	static const char *const packets[] = {"40/x,", "40/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,"};
	const struct relay_options options = {0};
	struct relay *relay = relay_start(&options);
	int port = relay_port(relay);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		char sid[SID_BYTES], *body;
		size_t len;

		body = many(packets[i], 10000, &len);
		assert_true(polling_handshake(port, sid));
		assert_int_not_equal(polling_send_bytes(port, sid, body, len), 0);
		for (int more = 0; more < 3; more++)
			assert_int_not_equal(polling_send_bytes(port, sid, body, len), 0);
		is_closed(port, sid);
		free(body);
	}
	relay_stop(relay);
}

/* In and out of a namespace, each time with a token to be looked up, and a new count of messages. */
static void connects_are_counted(void **state)
{
	const struct relay_options options = {0};
	struct relay *relay = relay_start(&options);
	char sid[SID_BYTES], *body;
	size_t len;

	(void)state;
	body = many("40{\"token\":\"user-7\"}\x1e" "41", 10000, &len);
	assert_true(polling_handshake(relay_port(relay), sid));
	assert_int_not_equal(polling_send_bytes(relay_port(relay), sid, body, len), 0);
	assert_int_equal(polling_send(relay_port(relay), sid, "3"), 400); /* gone at once: none was answered yet */
	assert_int_equal(relay_sessions(relay), 0);
	free(body);
	relay_stop(relay);
}

static void a_long_namespace_is_malformed(void **state)
{
	const struct relay_options options = {0};
	struct relay *relay = relay_start(&options);
	char sid[SID_BYTES], *body = mem_format("40/%0100000d,", 0);

	(void)state;
	assert_true(polling_handshake(relay_port(relay), sid));
	assert_int_not_equal(polling_send(relay_port(relay), sid, body), 0);
	assert_int_equal(polling_send(relay_port(relay), sid, "3"), 400);
	free(body);
	relay_stop(relay);
}

/* -- memory -- */

#define CROWD 60

/* Nobody knows them, and a megabyte of each is on its way. */
static void bodies_for_nobody_are_not_kept(void **state)
{
	const struct relay_options options = {0};
	struct relay *relay = relay_start(&options);
	struct client clients[CROWD];
	char *part = mem_zero(900000, 1);
	long before = resident_mb();

	(void)state;
	for (size_t i = 0; i < CROWD; i++) {
		clients[i] = client_open(relay_port(relay));
		client_say(&clients[i], "POST /socket.io/?EIO=4&transport=polling&sid=aaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: x\r\n"
					"Content-Length: 900001\r\n\r\n");
		client_send(&clients[i], part, 900000);
	}
	free(part);
	for (int i = 0; RESIDENT_IS_TRUE && i < 2 * NEVER_MS / 10; i++, usleep(10000))
		assert_true(resident_mb() - before < CROWD / 3);
	client_say(&clients[0], "x");
	assert_true(client_await(&clients[0], "\"code\":1"));
	for (size_t i = 0; i < CROWD; i++)
		client_close(&clients[i]);
	relay_stop(relay);
}

/* JSON of a megabyte, and an attachment that does not come. */
static void attachments_are_not_awaited_with_all_that_was_read(void **state)
{
	const struct relay_options options = {.hub = {.slow_timeout_ms = 60000}};
	struct relay *relay = relay_start(&options);
	AUTO_BUF struct buf text = buf_init(BUF_NO_MAX);
	char sids[8][SID_BYTES];
	long before;

	(void)state;
	buf_text(&text, "451-[\"event\",{\"_placeholder\":true,\"num\":0},[[]");
	for (size_t i = 0; i < 300000; i++)
		buf_text(&text, ",[]");
	buf_text(&text, "]]");
	for (size_t i = 0; i < 8; i++)
		join(relay_port(relay), sids[i]);
	before = resident_mb();
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(polling_send_bytes(relay_port(relay), sids[i], text.bytes, text.len), 200);
	if (RESIDENT_IS_TRUE)
		assert_true(resident_mb() - before < 100);
	for (size_t i = 0; i < 8; i++) {
		int status;
		char *answer_text;

		assert_int_equal(polling_send(relay_port(relay), sids[i], "bAA=="), 200);
		answer_text = polling_fetch(relay_port(relay), sids[i], &status);
		if (!strstr(answer_text, "\"code\":400"))
			fail_msg("%d %s", status, answer_text);
		free(answer_text);
	}
	clock_passes(1); /* their last words are waited for */
	relay_stop(relay);
	clock_passes(SLOWER);
}

static void an_address_has_a_bound_before_connect_too(void **state)
{
	const struct relay_options options = {.hub = {.max_sessions_per_address = 5}};
	struct relay *relay = relay_start(&options);
	char sids[20][SID_BYTES];
	int status;

	(void)state;
	for (size_t i = 0; i < 20; i++)
		assert_true(polling_handshake(relay_port(relay), sids[i]));
	free(polling_fetch(relay_port(relay), NULL, &status));
	assert_int_equal(status, 503);
	assert_int_equal(polling_send(relay_port(relay), sids[7], "1"), 200);
	for (int64_t end = clock_ms() + 5000; status == 503 && clock_ms() < end; usleep(10000))
		free(polling_fetch(relay_port(relay), NULL, &status));
	assert_int_equal(status, 200);
	relay_stop(relay);
}

static bool is_let_in(int port)
{
	struct client client = socketio_open(port, "9");
	bool in = client_await(&client, "Successfully connected.");

	client_close(&client);
	return in;
}

/* Handshakes without a CONNECT, on one thread or several: whoever is oldest of those makes room, and of nobody else. */
static void handshakes_do_not_keep_others_out(void **state)
{
	(void)state;
	for (unsigned threads = 1; threads <= 2; threads++) {
		const struct relay_options options = {.server = {.threads = threads, .max_connections = 8}};
		struct relay *relay = relay_start(&options);
		char joined[SID_BYTES], left[SID_BYTES], sids[20][SID_BYTES];

		join(relay_port(relay), joined);
		join(relay_port(relay), left);
		assert_int_equal(polling_send(relay_port(relay), left, "41"), 200);
		for (size_t i = 0; i < 20; i++)
			assert_true(polling_handshake(relay_port(relay), sids[i]));
		assert_true(is_let_in(relay_port(relay)));
		assert_int_equal(polling_send(relay_port(relay), joined, "3"), 200);
		assert_int_equal(polling_send(relay_port(relay), sids[19], "3"), 200);
		assert_int_equal(polling_send(relay_port(relay), sids[0], "3"), 400);
		assert_int_equal(polling_send(relay_port(relay), left, "3"), 400);
		relay_stop(relay);
	}
}

/* -- websockets that come to nothing -- */

static void polls_wait_again_after_a_probe(void **state)
{
	const struct relay_options options = {.server = {.threads = 2}};
	struct relay *relay = relay_start(&options);
	int port = relay_port(relay), status;
	char sid[SID_BYTES], *text;
	struct client poll, socket;

	(void)state;
	join(port, sid);
	for (int i = 0; i < 3; i++) {
		socket = upgrade_open(port, sid);
		assert_true(upgrade_probe(&socket));
		text = polling_fetch(port, sid, &status); /* while it probes polls are answered */
		assert_string_equal(text, "6");
		free(text);
		websocket_frame(&socket, 0x88, "", 0);
		assert_true(client_ends(&socket));
		client_close(&socket);
		assert_int_equal(polling_send(port, sid, "3"), 200);
	}
	poll = polling_request(port, sid, NULL, 0);
	for (int i = 0; i < 50 && client_has_come(&poll, NEVER_MS); i++) { /* until the other thread has heard of it */
		text = polling_answer(&poll, &status);
		assert_string_equal(text, "6");
		free(text);
		usleep(10000);
		poll = polling_request(port, sid, NULL, 0);
	}
	assert_false(client_has_come(&poll, NEVER_MS));
	relay_emit(relay, "7", 1, 10);
	text = polling_answer(&poll, &status);
	assert_non_null(strstr(text, "changes"));
	free(text);
	relay_stop(relay);
}

/* Neither reads: what we would say to each probe or refusal has nowhere to go. The little that fits into this socket's buffers
 * is full after some thousands of answers, also where a sanitizer makes each take long. */
static void who_does_not_read_is_not_answered_for_ever(void **state)
{
	static const char *const packets[] = {"2probe", "40/x,"};
	const struct relay_options options = {.server = {.send_buffer_bytes = 16384}};
	struct relay *relay = relay_start(&options);
	int port = relay_port(relay);

	(void)state;
	clock_passes(1);
	for (int i = 0; i < 2; i++) {
		char sid[SID_BYTES];
		struct client socket;
		int64_t deadline = clock_ms() + 60000;
		int size = 32768;

		assert_true(polling_handshake(port, sid));
		socket = upgrade_open(port, i == 0 ? sid : NULL);
		assert_int_equal(client_status(socket.in), 0); /* the head was taken off: it is open */
		setsockopt(socket.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		while (!socket.reset && clock_ms() < deadline)
			websocket_say(&socket, packets[i]);
		assert_true(socket.reset);
		client_close(&socket);
	}
	relay_stop(relay);
	clock_passes(SLOWER);
}

/* A client that reads slowly is in the middle of a large event when its heartbeat is due, and when it asks for a namespace: what it is
 * told is a message of its own, for which there is no place between the fragments of another. */
static void nothing_stands_within_a_large_event(void **state)
{
	const struct relay_options options = {.server = {.send_buffer_bytes = 65536, .engineio = {.ping_interval_ms = 200 / SLOWER, .ping_timeout_ms = 60000}}};
	struct relay *relay = relay_start(&options);
	struct client client = socketio_open(relay_port(relay), "7");
	int size = 32768, pings = 0, events = 0, refusals = 0;

	(void)state;
	setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	assert_true(client_await(&client, "Successfully connected."));
	relay_emit(relay, "7", 2, 1000000);
	usleep(100000); /* the event is under way, and fills the socket */
	websocket_say(&client, "40/x,");
	usleep(600000); /* a ping is due, too */
	while (events < 4 || !pings || !refusals) {
		char *payload;
		size_t len;
		int opcode = websocket_next(&client, &payload, &len);

		if (opcode != 1)
			fail_msg("opcode %d after %d events, %d pings, %d refusals", opcode, events, pings, refusals);
		pings += strcmp(payload, "2") == 0;
		events += len > 1000000;
		refusals += strncmp(payload, "44/x,", 5) == 0;
		free(payload);
	}
	client_close(&client);
	relay_stop(relay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close_packet_comes_alone),
		cmocka_unit_test(refusals_are_not_heaped_up),
		cmocka_unit_test(connects_are_counted),
		cmocka_unit_test(a_long_namespace_is_malformed),
		cmocka_unit_test(bodies_for_nobody_are_not_kept),
		cmocka_unit_test(attachments_are_not_awaited_with_all_that_was_read),
		cmocka_unit_test(an_address_has_a_bound_before_connect_too),
		cmocka_unit_test(handshakes_do_not_keep_others_out),
		cmocka_unit_test(polls_wait_again_after_a_probe),
		cmocka_unit_test(who_does_not_read_is_not_answered_for_ever),
		cmocka_unit_test(nothing_stands_within_a_large_event),
	};

	clock_passes(SLOWER);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
