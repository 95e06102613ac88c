/* Prevents: an answer without CORS or security headers, a path that means something else than it says, an error that is not
 * JSON, a request that hangs, crashes or costs more than it may. Each line of the table is one request on a connection of
 * its own, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "client.h"
#include "relay.h"

#define HOST "Host: localhost\r\n"
#define END HOST "Connection: close\r\n\r\n"
#define POST(length) "POST /publish HTTP/1.1\r\n" HOST "Connection: close\r\nContent-Length: " #length "\r\n\r\n"
#define NOT_FOUND "{\"code\":404,\"message\":\"Route not found\"}"
#define NO_METHOD "{\"code\":405,\"message\":\"Method not allowed\"}"

static struct relay *relay;

static int start(void **state)
{
	static const struct relay_options options = {.server = {.threads = 2}};

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

struct request_case {
	const char *request;
	int status;
	const char *contains, *lacks; /* NULL: anything */
};

static const struct request_case requests[] = {
	/* routes and methods */
	{"GET /ping HTTP/1.1\r\n" END, 200, "\r\n\r\npong", NULL},
	{"HEAD /ping HTTP/1.1\r\n" END, 200, "Content-Length: 4", "pong"},
	{"DELETE /ping HTTP/1.1\r\n" END, 200, "pong", NULL},
	{"POST /ping HTTP/1.1\r\n" END, 200, "pong", NULL},
	{"POST /ping HTTP/1.1\r\nContent-Length: 3\r\n" END "abc", 200, "pong", NULL},
	{"PUT /ping HTTP/1.1\r\nContent-Length: 3\r\n" END "abc", 200, "pong", NULL},
	{"PURGE /ping HTTP/1.1\r\n" END, 200, "pong", NULL},
	{"OPTIONS /ping HTTP/1.1\r\n" END, 200, "pong", NULL},
	{"GET /ping HTTP/1.0\r\n\r\n", 200, "pong", NULL},
	{"GET /ready HTTP/1.1\r\n" END, 200, "{\"code\":200}", NULL},
	{"POST /ready HTTP/1.1\r\nContent-Length: 0\r\n" END, 405, "Allow: GET, HEAD, OPTIONS", NULL},
	{"GET /publish HTTP/1.1\r\n" END, 405, NO_METHOD, NULL},
	{"DELETE /publish HTTP/1.1\r\n" END, 405, "Allow: POST, OPTIONS", NULL},
	{"BREW /publish HTTP/1.1\r\n" END, 405, NO_METHOD, NULL},
	{"GET /nope HTTP/1.1\r\n" END, 404, NOT_FOUND, NULL},
	{"POST /nope HTTP/1.1\r\nContent-Length: 5\r\n" END "hello", 404, NOT_FOUND, "hello"},
	{"GET /ws HTTP/1.1\r\n" END, 426, "Upgrade: websocket", NULL},
	/* a session ends with the answer to HEAD before it begins */
	{"HEAD /stream HTTP/1.1\r\n" END, 200, "text/event-stream", "data:"},

	/* the live page and its parts */
	{"GET / HTTP/1.1\r\n" END, 200, "Content-Type: text/html; charset=utf-8\r\n", "no-store"},
	{"GET / HTTP/1.1\r\n" END, 200, "Content-Security-Policy: default-src 'none'; script-src 'self';", "unsafe-inline"},
	{"GET / HTTP/1.1\r\n" END, 200, "Cache-Control: no-cache\r\nETag: \"", NULL},
	{"GET /?token=x HTTP/1.1\r\n" END, 200, "<!doctype html>", NULL},
	{"HEAD / HTTP/1.1\r\n" END, 200, "Content-Length: ", "<!doctype"},
	{"GET / HTTP/1.1\r\nIf-None-Match: *\r\n" END, 304, "ETag: \"", "Content-Length"},
	{"GET / HTTP/1.1\r\nIf-None-Match: \"another\"\r\n" END, 200, "<!doctype html>", NULL},
	{"GET / HTTP/1.1\r\nContent-Length: 3\r\n" END "abc", 200, "<!doctype html>", NULL},
	{"POST / HTTP/1.1\r\nContent-Length: 0\r\n" END, 405, "Allow: GET, HEAD, OPTIONS\r\n", NULL},
	{"GET /page/page.js HTTP/1.1\r\n" END, 200, "Content-Type: text/javascript; charset=utf-8\r\n", NULL},
	{"GET /page HTTP/1.1\r\n" END, 404, NOT_FOUND, NULL},
	{"GET /page/../page/page.js HTTP/1.1\r\n" END, 200, "text/javascript", NULL},
	{"GET /page/%2e%2e/%2e%2e/meson.build HTTP/1.1\r\n" END, 404, NOT_FOUND, NULL},

	/* paths are decoded once, then compared */
	{"GET /%70ing HTTP/1.1\r\n" END, 200, "pong", NULL},
	{"GET /%2570ing HTTP/1.1\r\n" END, 404, NOT_FOUND, NULL},
	{"GET /ping/ HTTP/1.1\r\n" END, 404, NOT_FOUND, NULL},
	{"GET /Ping HTTP/1.1\r\n" END, 404, NOT_FOUND, NULL},
	{"GET /ping%00 HTTP/1.1\r\n" END, 0, NULL, "pong"},
	{"GET /%00ping HTTP/1.1\r\n" END, 404, NOT_FOUND, NULL},
	{"GET /ping&x HTTP/1.1\r\n" END, 404, NOT_FOUND, NULL},
	{"GET /ping;x HTTP/1.1\r\n" END, 404, NOT_FOUND, NULL},
	{"GET /ping%3Fx HTTP/1.1\r\n" END, 404, NOT_FOUND, NULL},
	{"GET /ping?x=1&x=2 HTTP/1.1\r\n" END, 200, "pong", NULL},
	{"GET /a/../ping HTTP/1.1\r\n" END, 200, "pong", NULL},
	{"GET /../../etc/passwd HTTP/1.1\r\n" END, 404, NOT_FOUND, NULL},
	{"GET /%zz HTTP/1.1\r\n" END, 400, "X-Content-Type-Options: nosniff", "pong"},
	{"GET http://localhost/ping HTTP/1.1\r\n" END, 400, NULL, NULL},

	/* what is no request */
	{"\r\n\r\n", 0, NULL, NULL},
	{"hello\r\n\r\n", 400, "{\"code\":400,\"message\":\"This is no HTTP request\"}", NULL},
	{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "\"code\":400", NULL},
	{"CONNECT a:1 HTTP/1.1\r\n" END, 405, NULL, NULL},
	{"GET /ping HTTP/1.1\r\nUpgrade: foo\r\nConnection: Upgrade\r\n" HOST "\r\n", 400, NULL, NULL},
	{"GET /ping HTTP/1.1\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n" END, 200, "pong", "101"},

	/* every answer says what a browser may do with it */
	{"GET /ping HTTP/1.1\r\n" END, 200, "Access-Control-Allow-Origin: *\r\n", NULL},
	{"GET /nope HTTP/1.1\r\n" END, 404, "Vary: Origin\r\n", NULL},
	{"GET /nope HTTP/1.1\r\n" END, 404, "X-Content-Type-Options: nosniff\r\n", NULL},
	{"GET /nope HTTP/1.1\r\n" END, 404, "X-Frame-Options: SAMEORIGIN\r\n", NULL},
	{"GET /nope HTTP/1.1\r\n" END, 404, "Referrer-Policy: no-referrer\r\n", "Strict-Transport-Security"},
	{"OPTIONS /publish HTTP/1.1\r\nOrigin: http://a.example\r\nAccess-Control-Request-Method: POST\r\n" END, 204,
		"Access-Control-Allow-Methods: POST, OPTIONS\r\n", "Content-Length"},
	{"OPTIONS /ping HTTP/1.1\r\nOrigin: http://a.example\r\nAccess-Control-Request-Method: GET\r\n" END, 204,
		"Access-Control-Allow-Headers: Authorization, Content-Type, Last-Event-ID\r\n", "pong"},
	{"OPTIONS /nope HTTP/1.1\r\nOrigin: http://a.example\r\nAccess-Control-Request-Method: GET\r\n" END, 404, NULL, NULL},
	{"OPTIONS /stream HTTP/1.1\r\n" END, 204, "Allow: GET, HEAD, OPTIONS\r\n", NULL},

	/* heads that hide something from us which a proxy sees, or the other way round */
	{"GET /ping HTTP/1.1\r\nX: 1\r\nContent-Length: 5\r\n" END "hello", 400, "hides the next one", "pong"},
	{"GET /ping HTTP/1.1\r\nX-Auth: 1\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n", 400, "hides", "pong"},
	{"GET /ping HTTP/1.1\r\nTransfer-Encoding : chunked\r\n" END "0\r\n\r\n", 400, "{\"code\":400", "pong"},
	{"GET /ping HTTP/1.1\r\nTransfer-Encoding:\r\n" END, 411, NULL, "pong"},
	{"GET /ping HTTP/1.1\r\nX-A: b\r\n folded: c\r\n" END, 400, NULL, "pong"},
	{"GET /ping HTTP/1.1\r\nno colon\r\n" END, 400, NULL, "pong"},
	{"GET /ping HTTP/1.1\r\n: no name\r\n" END, 400, NULL, "pong"},
	{"GET /ping HTTP/1.1\r\nContent-Length:\r\n" END, 400, "one number", "pong"},
	{"GET /ping HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n" END, 400, "one number", "pong"},
	{"GET /ping HTTP/1.1\r\nContent-Length: 0 \r\n" END, 200, "pong", NULL},
	{"GET /ping HTTP/1.1\r\nHost: a\r\n" END, 400, "more than one Host", "pong"},
	{"GET /ping HTTP/1.1\r\nX-1!#$%&'*+-.^_`|~z: any\r\n" END, 200, "pong", NULL},

	/* what libwebsockets would answer itself */
	{"GET http://localhost/ping HTTP/1.1\r\n" END, 400, "must be a path", "<html"},
	{"OPTIONS * HTTP/1.1\r\n" END, 400, "must be a path", "<html"},
	{"GET /ping HTTP/1.1\r\nUpgrade: foo\r\n" END, 400, "websocket\"}", "<html"},
	{"GET /stream?token=% HTTP/1.1\r\n" END, 400, "Access-Control-Allow-Origin: *", "<html"},

	/* bodies */
	{"POST /publish HTTP/1.1\r\n" END, 411, "Content-Length is missing: send 0", NULL},
	{"POST /publish HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "5\r\nhello\r\n0\r\n\r\n", 411, "Transfer-Encoding", NULL},
	{"POST /publish HTTP/1.1\r\nContent-Length: 2, 2\r\n" END "{}", 400, "one number", NULL},
	{"POST /publish HTTP/1.1\r\nContent-Length: -2\r\n" END "{}", 400, "one number", NULL},
	{"POST /publish HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n" END "{}", 400, "one number", NULL},
	{"POST /publish HTTP/1.1\r\nContent-Length: 102401\r\n" END "{}", 413, "{\"code\":413", NULL},
	{"POST /publish HTTP/1.1\r\nContent-Length: 102401\r\nExpect: 100-continue\r\n" END, 413, NULL, "100 Continue"},
	{POST(0), 400, "\"key\":\"body\"", NULL},
	{POST(1) "{", 400, "\"type\":\"ValidationError\",\"key\":\"body\"", NULL},
	{POST(2) "[]", 400, "\"key\":\"body\"", NULL},
	{POST(4) "null", 400, "\"key\":\"body\"", NULL},
	{POST(9) "{\"a\":\"\xff\"}", 400, "\"key\":\"body\"", NULL},
	{POST(17) "{\"securityToken\":", 400, "\"key\":\"body\"", NULL},
	{"POST /publish HTTP/1.1\r\nAuthorization: Bearer wrong\r\nContent-Length: 1\r\n" END "{", 401,
		"WWW-Authenticate: Bearer\r\n", "wrong"},
	{"POST /%70ublish HTTP/1.1\r\nContent-Length: 2\r\n" END "{}", 400, "\"key\":\"securityToken\"", NULL},

	/* tokens */
	{"GET /stream HTTP/1.1\r\n" END, 401, "{\"code\":401,\"message\":\"Unauthorized\"}", "text/event-stream"},
	{"GET /stream?token= HTTP/1.1\r\n" END, 401, "WWW-Authenticate: Bearer\r\n", NULL},
	{"GET /stream?token=nobody HTTP/1.1\r\n" END, 401, NULL, "nobody"},
	{"GET /stream?token=" RELAY_OPERATOR " HTTP/1.1\r\n" END, 401, NULL, RELAY_OPERATOR},
	{"GET /stream?token=%6fperator-secret HTTP/1.1\r\n" END, 401, NULL, RELAY_OPERATOR},
	{"GET /stream HTTP/1.1\r\nAuthorization: Basic dXNlci03Og==\r\n" END, 401, NULL, NULL},
	{"GET /stream?token=user-7&topics=( HTTP/1.1\r\n" END, 400, "\"code\":400", NULL},
	{"GET /stream?token=user-7&after=x HTTP/1.1\r\n" END, 400, "\"code\":400", NULL},
	{"GET /stream?token=user-7&after=&after=x HTTP/1.1\r\n" END, 400, "\"code\":400", NULL},
	{"GET /stream?token=user-7&after=1 HTTP/1.1\r\nLast-Event-ID: x\r\n" END, 400, "\"code\":400", NULL},
};

static void check(const struct request_case *request)
{
	char *answer = client_ask(relay_port(relay), request->request);

	if (client_status(answer) != request->status || (request->contains && !strstr(answer, request->contains)) ||
		(request->lacks && strstr(answer, request->lacks)))
		fail_msg("%s\n-> %s\nexpected %d, with %s, without %s", request->request, answer, request->status,
			request->contains ? request->contains : "-", request->lacks ? request->lacks : "-");
	free(answer);
}

static void test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
		check(&requests[i]);
}

static char *publish(const char *headers, const char *body)
{
	char *request = mem_format("POST /publish HTTP/1.1\r\n%sContent-Length: %zu\r\n" END "%s", headers, strlen(body), body);
	char *answer = client_ask(relay_port(relay), request);

	free(request);
	return answer;
}

#define BEARER "Authorization: Bearer " RELAY_OPERATOR "\r\n"
#define TOKEN "\"securityToken\":\"" RELAY_OPERATOR "\""
#define FIELDS "\"table\":\"games\",\"type\":\"update\",\"userId\":7"

/* headers, body, status, what the answer holds */
static const struct {
	const char *headers, *body;
	int status;
	const char *contains;
} publications[] = {
	{"", "{" TOKEN "," FIELDS ",\"data\":{}}", 200, "\"sentTo\":[],\"message\":\"Message queued for publishing\"}"},
	{BEARER, "{" FIELDS ",\"data\":{}}", 200, "{\"code\":200,\"id\":\"1"},
	{"Authorization: Bearer wrong\r\n", "{" TOKEN "," FIELDS ",\"data\":{}}", 200, "\"code\":200"},
	{"", "{" FIELDS ",\"data\":{}}", 400, "\"key\":\"securityToken\""},
	{"", "{\"securityToken\":null}", 400, "\"key\":\"securityToken\""},
	{"", "{\"securityToken\":\"\"}", 400, "\"key\":\"securityToken\""},
	{"", "{\"securityToken\":{}}", 401, "Unauthorized"},
	{"", "{\"securityToken\":\"wrong\"}", 401, "Unauthorized"},
	{"Authorization: Bearer user-7\r\n", "{" FIELDS ",\"data\":{}}", 401, "Unauthorized"},
	{BEARER, "{\"type\":\"update\",\"userId\":7,\"data\":{}}", 400, "\"key\":\"table\""},
	{BEARER, "{" FIELDS "}", 400, "\"key\":\"data\""},
	{BEARER, "{" FIELDS ",\"data\":[]}", 400, "\"key\":\"data\""},
	{BEARER, "{\"table\":\"games\",\"type\":\"update\",\"data\":{}}", 400, "\"key\":\"userId\""},
};

static void test_publications(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(publications) / sizeof(*publications); i++) {
		char *answer = publish(publications[i].headers, publications[i].body);

		if (client_status(answer) != publications[i].status || !strstr(answer, publications[i].contains) ||
			strstr(answer, RELAY_OPERATOR))
			fail_msg("%s\n-> %s", publications[i].body, answer);
		free(answer);
	}
}

/* A stream sees what is published, digit for digit and less the filtered column; the answer names its session. */
static void test_published_arrives(void **state)
{
	struct client stream = client_open(relay_port(relay));
	char *answer;

	(void)state;
	client_say(&stream, "GET /stream?token=user-8 HTTP/1.1\r\n" HOST "\r\n");
	assert_true(client_await(&stream, "\"message\":\"Successfully connected.\""));
	answer = publish(BEARER, "{\"table\":\"users\",\"type\":\"update\",\"userId\":\"8\","
				 "\"data\":{\"n\": 1.10, \"big\":123456789012345678901234567890, \"password\":\"x\"}}");
	assert_int_equal(client_status(answer), 200);
	assert_non_null(strstr(answer, "\"sentTo\":[\""));
	assert_true(client_await(&stream, "\"source_type\":\"api\""));
	assert_non_null(strstr(stream.in, "1.10"));
	assert_non_null(strstr(stream.in, "123456789012345678901234567890"));
	assert_null(strstr(stream.in, "password"));
	free(answer);
	client_close(&stream);
}

/* An EventSource that has seen nothing yet says an empty position, and must not be refused: no answer but 200 is tried again. */
static void test_no_position(void **state)
{
	static const char *const asked[] = {
		"GET /stream?token=user-7&after= HTTP/1.1\r\n" HOST "\r\n",
		"GET /stream?token=user-7&after HTTP/1.1\r\nLast-Event-ID:\r\n" HOST "\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		struct client stream = client_open(relay_port(relay));

		client_say(&stream, asked[i]);
		assert_true(client_await(&stream, "\"recovered\":false"));
		client_close(&stream);
	}
}

static int count_answers(const char *text)
{
	int answers = 0;

	for (const char *at = text; (at = strstr(at, "HTTP/1.1 ")); at++)
		answers++;
	return answers;
}

static void test_pipelining(void **state)
{
	static const char body[] = "{" TOKEN "," FIELDS ",\"data\":{}}";
	struct client client = client_open(relay_port(relay));
	char *many = mem_format("POST /publish HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n%sGET /ping HTTP/1.1\r\n" HOST
				"\r\nGET /ready HTTP/1.1\r\n" HOST "\r\nGET /last HTTP/1.1\r\n" END, strlen(body), body);

	(void)state;
	client_say(&client, many);
	assert_true(client_ends(&client));
	assert_int_equal(client_status(client.in), 200);
	assert_int_equal(count_answers(client.in), 4);
	assert_non_null(strstr(client.in, NOT_FOUND));
	free(many);
	client_close(&client);
}

static void test_keep_alive(void **state)
{
	static const char body[] = "{" TOKEN "," FIELDS ",\"data\":{}}";
	struct client client = client_open(relay_port(relay));
	char *request = mem_format("POST /publish HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", strlen(body));

	(void)state;
	for (int i = 0; i < 20; i++) {
		client.len = 0;
		client.in[0] = 0;
		client_say(&client, request);
		client_say(&client, body); /* mostly a packet of its own */
		assert_true(client_await(&client, "publishing\"}"));
		assert_int_equal(client_status(client.in), 200);
	}
	free(request);
	client_close(&client);
}

/* libwebsockets loops for ever over a body that came with an earlier request: that must not reach it. */
static void test_pipelined_bodies(void **state)
{
	static const char *const before[] = {"GET /ping HTTP/1.1\r\n" HOST "\r\n",
		"POST /ping HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx",
		"POST /publish HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}"};
	static const char *const then[] = {"POST /publish HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}",
		"POST /ping HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", "POST /ping HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n",
		"PUT /ping HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", "POST /ping HTTP/1.1\r\n" HOST "\r\n{}"};

	(void)state;
	for (size_t i = 0; i < 15; i++) {
		char *both = mem_format("%s%s%s", before[i / 5], then[i % 5], "GET /ping HTTP/1.1\r\n" END);
		char *answer = client_ask(relay_port(relay), both), *alive;

		assert_true(count_answers(answer) == 2);
		alive = client_ask(relay_port(relay), "GET /ping HTTP/1.1\r\n" END);
		assert_int_equal(client_status(alive), 200);
		free(both);
		free(answer);
		free(alive);
	}
}

/* A requester that goes while its event is on the way: the event is published, nothing is touched that is gone. */
static void test_requester_leaves(void **state)
{
	static const struct relay_options slow = {.publish_delay_ms = 200};
	static const char body[] = "{" TOKEN "," FIELDS ",\"data\":{}}";
	struct relay *own = relay_start(&slow);
	char *request = mem_format("POST /publish HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
	int64_t patience;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct client client = client_open(relay_port(own));

		client_say(&client, request);
		if (i == 1)
			client_say(&client, request); /* and one that has asked for more */
		client_close(&client);
	}
	patience = clock_ms() + 30000;
	while (relay_published(own) < 3 && clock_ms() < patience)
		usleep(10000);
	assert_true(relay_published(own) >= 3);
	free(request);
	relay_stop(own);
}

static void test_expect_continue(void **state)
{
	struct client client = client_open(relay_port(relay));

	(void)state;
	client_say(&client, "POST /publish HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n" END);
	assert_true(client_await(&client, "HTTP/1.1 100 Continue\r\n\r\n"));
	client_say(&client, "{}");
	assert_true(client_ends(&client));
	assert_non_null(strstr(client.in, "HTTP/1.1 400"));
	client_close(&client);
}

static const struct {
	const char *head;
	int status;
} refused_unread[] = {
	{"POST /publish HTTP/1.1\r\nContent-Length: 3000000\r\n" HOST "\r\n", 413},
	{"POST /publish HTTP/1.1\r\nContent-Length: 3000000\r\nExpect: 100-continue\r\n" HOST "\r\n", 413},
	{"POST /publish HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "\r\n", 411},
	{"POST /ping HTTP/1.1\r\nContent-Length: 3000000\r\n" HOST "\r\n", 413},
	{"PUT /ping HTTP/1.1\r\nContent-Length: 3000000\r\n" HOST "\r\n", 200},
	{"GET /ws HTTP/1.1\r\nContent-Length: 3000000\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" HOST "\r\n", 426},
	{"BREW / HTTP/1.1\r\nContent-Length: 3000000\r\n" HOST "\r\n", 405},
	{"POST publish HTTP/1.1\r\nContent-Length: 3000000\r\n" HOST "\r\n", 400},
};

/* A request that is refused unread meets no reset while its client sends on, and then finds the answer. */
static void test_refused_unread(void **state)
{
	enum { BODY = 3000000 };
	char *body = mem_alloc(BODY);

	(void)state;
	memset(body, 'x', BODY);
	for (size_t i = 0; i < sizeof(refused_unread) / sizeof(*refused_unread); i++) {
		struct client client = client_open(relay_port(relay));

		client_say(&client, refused_unread[i].head);
		client_send(&client, body, BODY);
		assert_true(client_ends(&client));
		if (client.reset || client_status(client.in) != refused_unread[i].status)
			fail_msg("%s%d\n%s", refused_unread[i].head, client.reset, client.in);
		client_close(&client);
	}
	free(body);
}

/* Who sends on without end is read up to a bound, and cut off: the answer is there all the while. */
static void test_endless_body(void **state)
{
	struct client client = client_open(relay_port(relay));
	char bytes[10000];
	size_t sent = 0;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	client_say(&client, "POST /publish HTTP/1.1\r\nContent-Length: 900000000000\r\n" HOST "\r\n");
	for (; !client.reset && sent < 100000000; sent += sizeof(bytes))
		client_send(&client, bytes, sizeof(bytes));
	assert_true(client.reset && sent < 50000000); /* what the kernel holds comes on top */
	assert_true(client_ends(&client));
	assert_int_equal(client_status(client.in), 413);
	client_close(&client);
}

/* Headers that never end, a body that never comes. How long it takes until they are cut off. */
static int64_t slow_requests(void)
{
	static const char *const beginnings[] = {"GET /ping HT", "", "POST /publish HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n{",
		"POST /ping HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n{"};
	static const struct relay_options options = {.server = {.threads = 2, .request_timeout_ms = 1000}};
	struct relay *own = relay_start(&options);
	struct client clients[4];
	int64_t began = clock_ms(), ms;

	for (int i = 0; i < 4; i++) {
		clients[i] = client_open(relay_port(own));
		client_say(&clients[i], beginnings[i]);
	}
	for (int i = 0; i < 4; i++) {
		assert_true(client_ends(&clients[i]));
		client_close(&clients[i]);
	}
	ms = clock_ms() - began;
	relay_stop(own);
	assert_true(ms >= 500);
	return ms;
}

/* In about a second, here; of five tries, for a machine that is busy with something else may be late. */
static void test_slow_requests(void **state)
{
	int64_t best = INT64_MAX;

	(void)state;
	for (int i = 0; i < 5 && best > 4000; i++) {
		int64_t ms = slow_requests();

		best = ms < best ? ms : best;
	}
	assert_in_range(best, 500, 4000);
}

/* A head of any size costs a bounded buffer. */
static void test_huge_head(void **state)
{
	struct client client = client_open(relay_port(relay));
	char *head = mem_zero(1, 300001);

	(void)state;
	memset(head, 'a', 300000);
	client_say(&client, "GET /ping?");
	client_send(&client, head, 300000);
	assert_true(client_ends(&client));
	client_close(&client);
	for (size_t i = 0; i < 300000; i += 2)
		memcpy(head + i, "a&", 2);
	client = client_open(relay_port(relay));
	client_say(&client, "GET /ping?");
	client_send(&client, head, 300000);
	assert_true(client_ends(&client));
	client_close(&client);
	free(head);
}

static void test_not_ready(void **state)
{
	char *answer;

	(void)state;
	relay_set_ready(relay, false);
	answer = client_ask(relay_port(relay), "GET /ready HTTP/1.1\r\n" END);
	relay_set_ready(relay, true);
	assert_int_equal(client_status(answer), 503);
	assert_non_null(strstr(answer, "{\"code\":503,\"message\":\"PostgreSQL is away\"}"));
	free(answer);
}

static void test_no_security_token(void **state)
{
	static const struct relay_options options = {.no_operator = true};
	struct relay *own = relay_start(&options);
	char *answer = client_ask(relay_port(own), "POST /publish HTTP/1.1\r\nContent-Length: 1\r\n" END "{");

	(void)state;
	assert_int_equal(client_status(answer), 403);
	free(answer);
	relay_stop(own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_publications),
		cmocka_unit_test(test_published_arrives),
		cmocka_unit_test(test_no_position),
		cmocka_unit_test(test_pipelining),
		cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_pipelined_bodies),
		cmocka_unit_test(test_requester_leaves),
		cmocka_unit_test(test_expect_continue),
		cmocka_unit_test(test_refused_unread),
		cmocka_unit_test(test_endless_body),
		cmocka_unit_test(test_slow_requests),
		cmocka_unit_test(test_huge_head),
		cmocka_unit_test(test_not_ready),
		cmocka_unit_test(test_no_security_token),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
