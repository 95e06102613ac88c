/* What load.c publishes, as text for each kind of server: lines (`* TEXT` or `USER TEXT`), HTTP requests, NATS. It is collected
 * here and sent by load.c.
 */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	int fd, kind;
	char path[256];
	char *out;
	size_t len, at, room;
	uint64_t seq; /* the last event's */
	uint32_t user;
} pub = {.fd = -1};

static void out_add(const char *bytes, size_t len)
{
	if (pub.len + len > pub.room) {
		pub.room = (pub.len + len) * 2;
		pub.out = realloc(pub.out, pub.room);
	}
	memcpy(pub.out + pub.len, bytes, len);
	pub.len += len;
}

static void publish_one(int user, const char *text, size_t len)
{
	char head[512], to[32];
	int n;

	if (user < 0)
		strcpy(to, pub.kind == 'l' ? "*" : "all");
	else
		sprintf(to, pub.kind == 'l' ? "%d" : "u%d", user);
	if (pub.kind == 'l')
		n = sprintf(head, "%s ", to);
	else if (pub.kind == 'n')
		n = sprintf(head, "PUB %s %zu\r\n", to, len);
	else
		n = snprintf(head, sizeof(head), "POST %s%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", pub.path, to, len);
	out_add(head, (size_t)n);
	out_add(text, len);
	if (pub.kind == 'l')
		out_add("\n", 1);
	else if (pub.kind == 'n')
		out_add("\r\n", 2);
}
