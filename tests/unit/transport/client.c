#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define PATIENCE_MS 30000

/* Of the machine, whatever the relay's clock says. */
static int64_t real_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct client client_socket(void)
{
	return (struct client){.fd = socket(AF_INET, SOCK_STREAM, 0), .in = mem_zero(1, 1), .room = 1};
}

void client_connect(struct client *client, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	if (connect(client->fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("connect");
		abort();
	}
}

struct client client_open(int port)
{
	struct client client = client_socket();

	client_connect(&client, port);
	return client;
}

void client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	free(client->in);
	free(client->message);
	client->in = client->message = NULL;
}

void client_send(struct client *client, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = send(client->fd, at, len, MSG_NOSIGNAL);

		client->reset |= n <= 0;
		if (n <= 0)
			return; /* the peer has ended it: what it says is what is tested */
		at += n;
		len -= (size_t)n;
	}
}

void client_say(struct client *client, const char *text)
{
	client_send(client, text, strlen(text));
}

/* 1: something came, 0: the end, -1: no more time. */
static int more(struct client *client, int64_t deadline)
{
	struct pollfd poll_fd = {.fd = client->fd, .events = POLLIN};
	int64_t left = deadline - real_ms();
	ssize_t n;

	if (left <= 0 || poll(&poll_fd, 1, (int)left) <= 0)
		return -1;
	if (client->len + 65537 > client->room) {
		client->room = client->room * 2 + 65537;
		client->in = mem_resize(client->in, client->room);
	}
	n = recv(client->fd, client->in + client->len, 65536, 0);
	if (n <= 0)
		return 0;
	client->len += (size_t)n;
	client->in[client->len] = 0;
	return 1;
}

bool client_await(struct client *client, const char *text)
{
	size_t from = 0, len = strlen(text);

	while (!memmem(client->in + from, client->len - from, text, len)) {
		if (client->len > len)
			from = client->len - len; /* megabytes that come in small pieces are not searched again and again */
		if (more(client, real_ms() + PATIENCE_MS) <= 0)
			return false;
	}
	return true;
}

bool client_has_come(const struct client *client, int ms)
{
	struct pollfd fd = {.fd = client->fd, .events = POLLIN};

	return poll(&fd, 1, ms) == 1;
}

bool client_ends(struct client *client)
{
	int64_t deadline = real_ms() + PATIENCE_MS;
	int got;

	while ((got = more(client, deadline)) > 0)
		;
	return got == 0;
}

char *client_ask(int port, const char *request)
{
	struct client client = client_open(port);
	char *answer;

	client_say(&client, request);
	client_ends(&client);
	answer = client.in;
	client.in = NULL;
	client_close(&client);
	return answer;
}

int client_status(const char *answer)
{
	return strncmp(answer, "HTTP/1.1 ", 9) == 0 || strncmp(answer, "HTTP/1.0 ", 9) == 0 ? (int)strtol(answer + 9, NULL, 10)
											     : 0;
}

struct client websocket_open(int port, const char *path, const char *headers)
{
	struct client client = client_open(port);
	char *request = mem_format("GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
		path, headers);
	char *end;

	client_say(&client, request);
	free(request);
	if (!client_await(&client, "\r\n\r\n") || client_status(client.in) != 101)
		return client;
	end = strstr(client.in, "\r\n\r\n") + 4;
	client.len -= (size_t)(end - client.in);
	memmove(client.in, end, client.len + 1);
	return client;
}

void websocket_frame(struct client *client, int first_byte, const char *payload, size_t len)
{
	static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
	unsigned char *frame = mem_alloc(len + 14);
	size_t at = 2;

	frame[0] = (unsigned char)first_byte;
	frame[1] = (unsigned char)(0x80 | (len < 126 ? len : len < 65536 ? 126 : 127));
	for (int shift = len < 126 ? -1 : len < 65536 ? 8 : 56; shift >= 0; shift -= 8)
		frame[at++] = (unsigned char)((uint64_t)len >> shift);
	memcpy(frame + at, mask, 4);
	at += 4;
	for (size_t i = 0; i < len; i++)
		frame[at + i] = (unsigned char)payload[i] ^ mask[i % 4];
	client_send(client, frame, at + len);
	free(frame);
}

void websocket_say(struct client *client, const char *text)
{
	websocket_frame(client, 0x81, text, strlen(text));
}

static bool have(struct client *client, size_t len, int64_t deadline)
{
	while (client->len < len) {
		if (more(client, deadline) <= 0)
			return false;
	}
	return true;
}

static int next_frame(struct client *client, char **payload, size_t *len, bool *last)
{
	int64_t deadline = real_ms() + PATIENCE_MS;
	const unsigned char *in;
	size_t header = 2, size;
	int opcode;

	if (!have(client, 2, deadline))
		return -1;
	in = (const unsigned char *)client->in;
	opcode = in[0] & 15;
	*last = in[0] & 0x80;
	if ((in[0] & 0x70) || (in[1] & 0x80) || (opcode > 1 && opcode < 8) || opcode > 10 || (opcode >= 8 && !*last))
		return -2;
	size = in[1];
	if (size >= 126) {
		header = size == 126 ? 4 : 10;
		if (!have(client, header, deadline))
			return -1;
		in = (const unsigned char *)client->in;
		size = 0;
		for (size_t i = 2; i < header; i++)
			size = size << 8 | in[i];
	}
	if (!have(client, header + size, deadline))
		return -1;
	*payload = mem_text_n(client->in + header, size);
	*len = size;
	client->len -= header + size;
	memmove(client->in, client->in + header + size, client->len + 1);
	return opcode;
}

/* Control frames come between the fragments of a message; those are put together in client->message. */
int websocket_next(struct client *client, char **payload, size_t *len)
{
	for (;;) {
		bool last, begun = client->message != NULL;
		int opcode = next_frame(client, payload, len, &last);

		if (opcode < 0 || opcode >= 8)
			return opcode;
		if ((opcode == 0) != begun) {
			free(*payload);
			return -2;
		}
		if (last && !begun)
			return opcode;
		client->message = mem_resize(client->message, client->message_len + *len + 1);
		memcpy(client->message + client->message_len, *payload, *len + 1);
		client->message_len += *len;
		free(*payload);
		if (!last)
			continue;
		*payload = client->message;
		*len = client->message_len;
		client->message = NULL;
		client->message_len = 0;
		return 1;
	}
}

int websocket_close_code(struct client *client)
{
	char *payload;
	size_t len;
	int opcode, code = -1;

	do {
		opcode = websocket_next(client, &payload, &len);
		if (opcode < 0)
			return -1;
		if (opcode == 8 && len >= 2)
			code = (unsigned char)payload[0] << 8 | (unsigned char)payload[1];
		free(payload);
	} while (opcode != 8);
	return code;
}

char *client_take_body(struct client *client)
{
	char *body;
	int64_t deadline = real_ms() + PATIENCE_MS;
	const char *end, *length;
	size_t head, whole;

	while (!(end = memmem(client->in, client->len, "\r\n\r\n", 4)))
		if (more(client, deadline) <= 0)
			return NULL;
	length = strcasestr(client->in, "\r\nContent-Length: ");
	whole = (size_t)(end + 4 - client->in) + (length && length < end ? strtoul(length + 18, NULL, 10) : 0);
	head = (size_t)(end + 4 - client->in);
	while (client->len < whole)
		if (more(client, deadline) <= 0)
			return NULL;
	body = mem_text_n(client->in + head, whole - head);
	memmove(client->in, client->in + whole, client->len - whole + 1);
	client->len -= whole;
	return body;
}

bool client_take_answer(struct client *client)
{
	char *body = client_take_body(client);

	free(body);
	return body;
}
