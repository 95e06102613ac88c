/* Prevents: a second relay that shares the port unseen, an end that hangs on a client that does not read, connections beyond
 * the limit that hang or spin, an interface that is not listened on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "client.h"
#include "relay.h"
#include "transport/listen.h"

#define PING "GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
#define KEPT "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n"

static void expect_failure(const struct server_config *config, const char *says)
{
	const struct hub_config hub = {0};
	struct err err = {""};
	struct server *server = server_create(config, &hub, &err);

	if (server || !strstr(err.text, says))
		fail_msg("%s", server ? "it starts" : err.text);
}

static void test_port(void **state)
{
	static const struct relay_options options = {.server = {.threads = 2}};
	struct relay *relay = relay_start(&options);
	struct server_config same = {.host = "127.0.0.1", .port = relay_port(relay), .threads = 2};
	struct server_config all = {.port = relay_port(relay)};
	char says[64];

	(void)state;
	snprintf(says, sizeof(says), "PORT: %d is taken", relay_port(relay));
	expect_failure(&same, says);
	expect_failure(&all, says);
	expect_failure(&(struct server_config){.host = "no such host"}, "HOST: \"no such host\"");
	expect_failure(&(struct server_config){.host = "192.0.2.1"}, "HOST: \"192.0.2.1\"");
	expect_failure(&(struct server_config){.cert_file = "/none", .key_file = "/none"}, "SSL_CERT_FILE");
	relay_stop(relay);
}

static bool answers(int family, int port)
{
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = in6addr_loopback};
	int fd = socket(family, SOCK_STREAM, 0), ok;
	char in[64] = "";

	ok = family == AF_INET ? connect(fd, (struct sockaddr *)&four, sizeof(four))
			       : connect(fd, (struct sockaddr *)&six, sizeof(six));
	if (ok == 0 && send(fd, PING, strlen(PING), MSG_NOSIGNAL) > 0)
		(void)!read(fd, in, sizeof(in) - 1);
	close(fd);
	return client_status(in) == 200;
}

static bool has_ipv6(void)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool has = fd >= 0 && bind(fd, (struct sockaddr *)&six, sizeof(six)) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}

static bool never_ready(void *context, struct err *reason)
{
	(void)context;
	(void)reason;
	return false;
}

/* Every thread's socket is listened on: with 4 of them no connection of many hangs. */
static void test_all_interfaces(void **state)
{
	const struct server_config config = {.threads = 4, .ready = never_ready};
	const struct hub_config hub = {0};
	struct err err = {""};
	struct server *server = server_create(&config, &hub, &err);

	(void)state;
	assert_non_null(server);
	assert_int_equal(server_start(server, &err), STATUS_OK);
	for (int i = 0; i < 40; i++)
		assert_true(answers(AF_INET, server_port(server)));
	if (has_ipv6())
		assert_true(answers(AF_INET6, server_port(server)));
	server_stop(server, 1000);
	server_destroy(server);
}

static void test_never_started(void **state)
{
	const struct server_config config = {.threads = 2};
	const struct hub_config hub = {0};
	struct err err = {""};

	(void)state;
	server_destroy(server_create(&config, &hub, &err));
	server_destroy(NULL);
}

static bool is_quiet(const struct client *client)
{
	struct pollfd fd = {.fd = client->fd, .events = POLLIN};

	return poll(&fd, 1, 0) == 0;
}

/* Until it is answered with that status. */
static char *await_answer(struct relay *relay, const char *request, int status)
{
	int64_t patience = clock_ms() + 30000;
	char *answer = client_ask(relay_port(relay), request);

	while (client_status(answer) != status && clock_ms() < patience) {
		free(answer);
		answer = client_ask(relay_port(relay), request);
	}
	assert_int_equal(client_status(answer), status);
	return answer;
}

/* A relay that is full is well: whoever restarts it because a health probe had no answer throws all its clients out. */
static void test_connection_limit(void **state)
{
	static const char full[] = "{\"code\":503,\"message\":\"Too many connections\"}";
	static const char other[] = "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	static const struct relay_options options = {.server = {.max_connections = 10}};
	struct relay *relay = relay_start(&options);
	struct client idle[10 + SPARE_CONNECTIONS];
	char *answer;

	(void)state;
	for (int i = 0; i < 10 + SPARE_CONNECTIONS; i++)
		idle[i] = client_open(relay_port(relay));
	answer = await_answer(relay, PING, 503); /* the spare ones are taken, too */
	assert_non_null(strstr(answer, full));
	free(answer);
	answer = await_answer(relay, PING, 200); /* those that say nothing lose them soon */
	assert_non_null(strstr(answer, "onnection: close"));
	free(answer);
	answer = await_answer(relay, other, 503);
	assert_non_null(strstr(answer, full));
	free(answer);
	for (int i = 0; i < 10 + SPARE_CONNECTIONS; i++)
		client_close(&idle[i]);
	free(await_answer(relay, other, 404)); /* places are free again */
	relay_stop(relay);
}

static int64_t processor_ms(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* Out of file descriptors: those that are there are served, the loop sleeps, and it goes on when there are some again. */
static void test_no_descriptors(void **state)
{
	static const struct relay_options options = {0};
	struct relay *relay = relay_start(&options);
	struct client there = client_open(relay_port(relay)), waiting;
	struct rlimit limit, tight;
	int64_t before;

	(void)state;
	client_say(&there, KEPT);
	assert_true(client_await(&there, "pong"));
	waiting = client_socket(); /* the lowest number that was free, and the last there will be */
	getrlimit(RLIMIT_NOFILE, &limit);
	tight = limit;
	tight.rlim_cur = (rlim_t)waiting.fd;
	setrlimit(RLIMIT_NOFILE, &tight);
	client_connect(&waiting, relay_port(relay));
	client_say(&waiting, PING);
	before = processor_ms();
	usleep(1000000);
	assert_in_range(processor_ms() - before, 0, 300);
	there.len = 0;
	client_say(&there, KEPT);
	assert_true(client_await(&there, "pong"));
	assert_true(is_quiet(&waiting));
	client_close(&there); /* one is free again, now or when the limit is what it was */
	setrlimit(RLIMIT_NOFILE, &limit);
	assert_true(client_await(&waiting, "pong"));
	client_close(&waiting);
	relay_stop(relay);
}

#define LIMIT_MS 4000

static void await_publication(struct relay *relay)
{
	for (int i = 0; i < 3000 && !relay_asked(relay); i++)
		usleep(10000);
}

/* Readers, clients that read nothing, idle connections, half a request, a publication under way: do all end in time, those
 * that read with a close that says «come back»? */
static bool drains(void)
{
	static const struct relay_options options = {.server = {.threads = 2, .send_buffer_bytes = 65536}, .publish_delay_ms = 300};
	static const char body[] = "{\"securityToken\":\"" RELAY_OPERATOR "\",\"table\":\"a\",\"type\":\"b\",\"userId\":7,\"data\":{}}";
	struct relay *relay = relay_start(&options);
	struct client readers[20], stalled[10], streams[5], idle = client_open(relay_port(relay)),
		half = client_open(relay_port(relay)), publisher = client_open(relay_port(relay));
	char *request = mem_format("POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	int64_t ms;
	int told = 0, ended = 0, published;

	for (int i = 0; i < 10; i++) {
		stalled[i] = websocket_open(relay_port(relay), "/ws?token=user-7", "");
		assert_true(client_await(&stalled[i], "Successfully connected."));
	}
	relay_emit(relay, "7", 1000, 5000);
	for (int i = 0; i < 20; i++) {
		readers[i] = websocket_open(relay_port(relay), "/ws?token=user-8", "");
		assert_true(client_await(&readers[i], "Successfully connected."));
	}
	for (int i = 0; i < 5; i++) {
		streams[i] = client_open(relay_port(relay));
		client_say(&streams[i], "GET /stream?token=user-8 HTTP/1.1\r\nHost: a\r\n\r\n");
		assert_true(client_await(&streams[i], "Successfully connected."));
	}
	client_say(&half, "POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{");
	client_say(&publisher, request);
	await_publication(relay);
	ms = clock_ms();
	server_stop(relay_server(relay), LIMIT_MS);
	ms = clock_ms() - ms;
	for (int i = 0; i < 20; i++) {
		told += websocket_close_code(&readers[i]) == 1012;
		client_close(&readers[i]);
	}
	for (int i = 0; i < 5; i++) {
		ended += client_ends(&streams[i]);
		client_close(&streams[i]);
	}
	published = client_ends(&publisher) ? client_status(publisher.in) : -1;
	for (int i = 0; i < 10; i++)
		client_close(&stalled[i]);
	client_close(&publisher);
	client_close(&idle);
	client_close(&half);
	free(request);
	relay_stop(relay);
	print_message("%d ms, %d of 20 told, %d of 5 ended, published: %d\n", (int)ms, told, ended, published);
	return ms <= LIMIT_MS + 500 && told == 20 && ended == 5 && published == 200;
}

/* A machine that is busy with something else at that moment may be late, but not each time. */
static void test_drain(void **state)
{
	(void)state;
	assert_true(drains() || drains() || drains());
}

static int64_t end_with_one_idle(void)
{
	static const struct relay_options options = {.server = {.threads = 2}};
	struct relay *relay = relay_start(&options);
	struct client idle = client_open(relay_port(relay));
	int64_t began = clock_ms();

	server_stop(relay_server(relay), LIMIT_MS);
	began = clock_ms() - began;
	client_close(&idle);
	relay_stop(relay);
	return began;
}

/* With nobody who stalls the end does not wait for its limit. */
static void test_quick_end(void **state)
{
	int64_t ms = end_with_one_idle();

	(void)state;
	for (int more = 0; more < 4 && ms > 500; more++)
		ms = end_with_one_idle();
	assert_in_range(ms, 0, 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_all_interfaces),
		cmocka_unit_test(test_never_started),
		cmocka_unit_test(test_connection_limit),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_quick_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
