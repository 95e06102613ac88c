/* Prevents: one large row that costs a copy for each client that polls for it; answers whose clients have taken leave, and do
 * not read, that are kept beside every bound; clients that wait for ever because of them, or cannot turn to a websocket; another
 * answer in the midst of one, or behind the last.
 *
 * The relay's clock goes slowly: what is full does not become free, and what turns to a websocket is not given up, because the
 * machine is busy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "base/mem.h"
#include "memory.h"
#include "relay.h"
#include "socketio_client.h"

#define MEGABYTE 1000000
#define PATIENT_MS 300000 /* sockets are read one after the other, and the last one of them is neither slow nor gone */
#define SLOWER 5
#define COMES_MS 30000

static void assert_grown_less(long before, long mb)
{
	long now = resident_mb();

	if (RESIDENT_IS_TRUE && now - before >= mb)
		fail_msg("%ld MB have grown to %ld, by %ld and more", before, now, mb);
}

/* A poll of its own connection that has reached the session's home. */
static struct client wait_for_events(int port, const char *user, char sid[SID_BYTES])
{
	struct client client = polling_open(port, user, sid);

	assert_int_equal(strlen(sid), SID_BYTES - 1);
	polling_say(&client, sid);
	return client;
}

/* The first polls may bring a ping or the like. */
static void takes_the_event(struct client *client, const char *sid, size_t bytes)
{
	size_t len = 0;

	for (int i = 0; i < 5 && len < bytes; i++) {
		char *body = client_take_body(client);

		assert_non_null(body);
		len = strlen(body);
		free(body);
		polling_say(client, sid);
	}
	assert_true(len >= bytes);
}

#define CROWD (RESIDENT_IS_TRUE ? 50 : 10)

static void a_large_event_is_shared(unsigned threads)
{
	const struct relay_options options = {.server = {.threads = threads}};
	struct relay *relay = relay_start(&options);
	char sids[50][SID_BYTES];
	struct client clients[50];
	long before;

	for (size_t i = 0; i < CROWD; i++)
		clients[i] = wait_for_events(relay_port(relay), "7", sids[i]);
	before = resident_mb();
	relay_emit(relay, "7", 1, 5 * MEGABYTE);
	for (size_t i = 0; i < CROWD; i++)
		assert_true(client_has_come(&clients[i], COMES_MS));
	assert_grown_less(before, 200); /* of 970 */
	for (size_t i = 0; i < CROWD; i++) {
		takes_the_event(&clients[i], sids[i], 10 * MEGABYTE);
		client_close(&clients[i]);
	}
	relay_stop(relay);
}

static void a_large_event_is_shared_by_all_who_poll(void **state)
{
	(void)state;
	a_large_event_is_shared(1);
	a_large_event_is_shared(2);
}

/* Each is polled for, not read, and its client says `close`: the session is gone, and counts nowhere. */
static void who_takes_leave_does_not_leave_answers(void **state)
{
	const struct relay_options options = {.hub = {.tail_bytes = 16 * MEGABYTE, .max_sessions_per_user = 3}};
	struct relay *relay = relay_start(&options);
	char sid[SID_BYTES];
	struct client clients[40], late;
	long before = resident_mb();

	(void)state;
	clock_passes(1);
	for (size_t i = 0; i < 40; i++) {
		clients[i] = wait_for_events(relay_port(relay), "7", sid);
		assert_int_equal(polling_send(relay_port(relay), sid, "3"), 200);
		relay_emit(relay, "7", 1, 5 * MEGABYTE);
		client_has_come(&clients[i], 200);
		assert_int_equal(polling_send(relay_port(relay), sid, i % 2 ? "41" : "1"), 200);
	}
	assert_grown_less(before, 400); /* of 840 */
	/* There is room for who reads, once those have had their time. */
	late = wait_for_events(relay_port(relay), "8", sid);
	assert_int_equal(polling_send(relay_port(relay), sid, "3"), 200);
	relay_emit(relay, "8", 1, 5 * MEGABYTE);
	assert_true(client_has_come(&late, COMES_MS));
	takes_the_event(&late, sid, 10 * MEGABYTE);
	client_close(&late);
	for (size_t i = 0; i < 40; i++)
		client_close(&clients[i]);
	relay_stop(relay);
	clock_passes(SLOWER);
}

#define FULL 5

/* Each has an answer on its way that it does not read: all that a thread may hold. Of two, one may be full before the other. */
static void fill(struct relay *relay, unsigned threads, struct client full[FULL])
{
	for (size_t i = 0; i < FULL; i++) {
		char user[] = {(char)('a' + i), 0}, sid[SID_BYTES];

		full[i] = wait_for_events(relay_port(relay), user, sid);
		assert_int_equal(polling_send(relay_port(relay), sid, "3"), 200);
		relay_emit(relay, user, 1, 5 * MEGABYTE);
		assert_true(client_has_come(&full[i], threads == 1 ? COMES_MS : 200) || threads > 1);
	}
}

/* One that still polls, and has a websocket that may take over. */
static struct client turn_around(int port, char sid[SID_BYTES], struct client *poll)
{
	struct client socket;

	*poll = polling_open(port, "7", sid);
	socket = upgrade_open(port, sid);
	assert_true(upgrade_probe(&socket));
	return socket;
}

/* Its event has no room, and its client says `upgrade` only when no poll of its own waits. */
static void a_full_thread_lets_polls_end_for_an_upgrade(void **state)
{
	const struct relay_options options = {.hub = {.tail_bytes = 200 * MEGABYTE, .slow_timeout_ms = PATIENT_MS}};
	struct relay *relay = relay_start(&options);
	struct client full[FULL], poll, socket;
	char sid[SID_BYTES], *text;
	size_t len;

	(void)state;
	socket = turn_around(relay_port(relay), sid, &poll);
	fill(relay, 1, full);
	relay_emit(relay, "7", 1, 5 * MEGABYTE);
	polling_say(&poll, sid);
	text = client_take_body(&poll);
	assert_non_null(text);
	assert_string_equal(text, "6");
	free(text);
	websocket_say(&socket, "5");
	do {
		assert_int_equal(websocket_next(&socket, &text, &len), 1);
		free(text);
	} while (len < 5 * MEGABYTE);
	for (size_t i = 0; i < FULL; i++)
		client_close(&full[i]);
	client_close(&poll);
	client_close(&socket);
	relay_stop(relay);
}

/* Each once, in order. */
static void count_on(const char *text, uint64_t *next)
{
	for (const char *at = text; (at = strstr(at, "[\"changes\",{\"id\":\"")); at++)
		assert_int_equal(strtoull(at + strlen("[\"changes\",{\"id\":\""), NULL, 10), (*next)++);
}

/* They take their large event to the websocket, which nobody reads at first. */
static void an_upgrade_does_not_go_round_the_bound(unsigned threads)
{
	const struct relay_options options = {.server = {.threads = threads, .engineio = {.ping_interval_ms = PATIENT_MS}},
		.hub = {.tail_bytes = 200 * MEGABYTE, .slow_timeout_ms = PATIENT_MS}};
	struct relay *relay = relay_start(&options);
	struct client full[2 * FULL], polls[20], sockets[20];
	size_t count = RESIDENT_IS_TRUE ? 20 : 4, len;
	char sids[20][SID_BYTES], *text;
	uint64_t first, next[20];
	long before;

	for (size_t i = 0; i < count; i++)
		sockets[i] = turn_around(relay_port(relay), sids[i], &polls[i]);
	for (size_t i = 0; i < threads; i++)
		fill(relay, threads, &full[i * FULL]);
	before = resident_mb();
	first = relay_emit(relay, "7", 1, 5 * MEGABYTE);
	for (size_t i = 0; i < count; i++) {
		next[i] = first;
		polling_say(&polls[i], sids[i]);
		text = client_take_body(&polls[i]);
		assert_non_null(text);
		count_on(text, &next[i]); /* where there is room after all */
		free(text);
		websocket_say(&sockets[i], "5");
	}
	for (size_t i = 0; i < count; i++)
		assert_true(next[i] > first || client_has_come(&sockets[i], COMES_MS));
	for (size_t i = 0; i < count; i++)
		before += (long)(polls[i].room >> 20); /* here, of what was answered after all */
	if (threads == 1)
		assert_grown_less(before, 120);
	relay_emit(relay, "7", 1, 10);
	for (size_t i = 0; i < count; i++) {
		while (next[i] < first + 2) {
			assert_int_equal(websocket_next(&sockets[i], &text, &len), 1);
			count_on(text, &next[i]);
			free(text);
		}
		client_close(&polls[i]);
		client_close(&sockets[i]);
	}
	for (size_t i = 0; i < threads * FULL; i++)
		client_close(&full[i]);
	relay_stop(relay);
}

static void upgrades_do_not_go_round_the_bound(void **state)
{
	(void)state;
	an_upgrade_does_not_go_round_the_bound(1);
	an_upgrade_does_not_go_round_the_bound(2);
}

/* An event that has no room is not sent behind the word that its client may not be here. */
static void nothing_comes_behind_the_last_words(void **state)
{
	const struct relay_options options = {.hub = {.tail_bytes = 200 * MEGABYTE, .slow_timeout_ms = PATIENT_MS}};
	struct relay *relay = relay_start(&options);
	struct client full[FULL], poll;
	char sid[SID_BYTES], *text;

	(void)state;
	fill(relay, 1, full);
	poll = wait_for_events(relay_port(relay), "7", sid);
	assert_int_equal(polling_send(relay_port(relay), sid, "3"), 200);
	relay_emit(relay, "7", 1, 5 * MEGABYTE);
	assert_false(client_has_come(&poll, 100));
	assert_int_equal(polling_send(relay_port(relay), sid, "42[\"auth\",{\"token\":\"user-8\"}]"), 200);
	text = client_take_body(&poll);
	assert_non_null(text);
	assert_non_null(strstr(text, "Unauthorized"));
	assert_non_null(strstr(text, "\x1e" "41"));
	free(text);
	polling_say(&poll, sid);
	text = client_take_body(&poll);
	assert_non_null(text);
	assert_string_equal(text, "1");
	free(text);
	for (size_t i = 0; i < FULL; i++)
		client_close(&full[i]);
	client_close(&poll);
	relay_stop(relay);
}

/* What comes before the large one and after it, in order, each once. */
static void order_is_kept(void **state)
{
	const struct relay_options options = {.server = {.threads = 2}};
	struct relay *relay = relay_start(&options);
	static const size_t sizes[] = {10, 300000, 10, 300000, 300000, 10};
	char sid[SID_BYTES];
	struct client client = wait_for_events(relay_port(relay), "7", sid);
	uint64_t last = 0;

	(void)state;
	for (size_t i = 0; i < 6; i++)
		last = relay_emit(relay, "7", 1, sizes[i]);
	for (uint64_t id = last - 5; id <= last;) {
		char *body = client_take_body(&client);

		assert_non_null(body);
		for (const char *at = body; (at = strstr(at, "[\"changes\",")); at++) {
			char *want = mem_format("[\"changes\",{\"id\":\"%llu\"", (unsigned long long)id++);

			if (strncmp(at, want, strlen(want)) != 0)
				fail_msg("%.60s and not %s", at, want);
			free(want);
		}
		free(body);
		polling_say(&client, sid);
	}
	client_close(&client);
	relay_stop(relay);
}

/* What comes behind a poll while its answer is on its way, or is waited for, and behind a stream. None of it may be answered into the middle. */
static void nothing_cuts_into_an_answer(void **state)
{
	static const char *const next[] = {
		("GET /ws?token=user-7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"),
		"GET /nowhere HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"GET /ping HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
		"GET /ping HTTP/1.1\r\nHost: x\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n",
		"GET http://x/ping HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n",
		"BREW /ping HTTP/1.1\r\nHost: x\r\n\r\n",
		"hello\r\n\r\n",
	};
	const struct relay_options options = {0};
	struct relay *relay = relay_start(&options);

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(next) / sizeof(*next); i++) {
		char sid[SID_BYTES];
		struct client client = wait_for_events(relay_port(relay), "7", sid);

		assert_int_equal(polling_send(relay_port(relay), sid, "3"), 200); /* the poll is there */
		if (i % 2) {
			relay_emit(relay, "7", 1, 5 * MEGABYTE);
			assert_true(client_has_come(&client, COMES_MS));
		}
		client_say(&client, next[i / 2]);
		if (!client_ends(&client))
			fail_msg("it goes on after %s", next[i / 2]);
		if (memmem(client.in + (i % 2), client.len - (i % 2), "HTTP/1.1 ", 9))
			fail_msg("%.60s is answered: %.200s", next[i / 2],
				(char *)memmem(client.in + (i % 2), client.len - (i % 2), "HTTP/1.1 ", 9));
		client_close(&client);
		client = client_open(relay_port(relay));
		client_say(&client, "GET /stream?token=user-7 HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_true(client_await(&client, "Successfully connected."));
		client_say(&client, next[i / 2]);
		assert_true(client_ends(&client));
		assert_null(memmem(client.in + 1, client.len - 1, "HTTP/1.1 ", 9));
		client_close(&client);
	}
	relay_stop(relay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_event_is_shared_by_all_who_poll),
		cmocka_unit_test(who_takes_leave_does_not_leave_answers),
		cmocka_unit_test(a_full_thread_lets_polls_end_for_an_upgrade),
		cmocka_unit_test(upgrades_do_not_go_round_the_bound),
		cmocka_unit_test(nothing_comes_behind_the_last_words),
		cmocka_unit_test(order_is_kept),
		cmocka_unit_test(nothing_cuts_into_an_answer),
	};

	clock_passes(SLOWER);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
