/* Requests as a client's library makes them, without one: two connections for a session or twenty, whatever a test is about. */
#include "socketio_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct client socketio_open(int port, const char *user)
{
	struct client client = upgrade_open(port, NULL);
	char *packet = mem_format("40{\"token\":\"user-%s\"}", user);

	websocket_say(&client, packet);
	free(packet);
	return client;
}

/* Of a handshake's answer. */
static bool take_sid(const char *text, char sid[SID_BYTES])
{
	const char *at = strstr(text, "\"sid\":\"");

	sid[0] = 0;
	if (at)
		snprintf(sid, SID_BYTES, "%s", at + 7);
	return strlen(sid) == SID_BYTES - 1;
}

/* -- each request on a connection of its own -- */

struct client polling_request(int port, const char *sid, const char *body, size_t len)
{
	struct client client = client_open(port);
	char *head = mem_format("%s /socket.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
		body ? "POST" : "GET", sid ? "&sid=" : "", sid ? sid : "");

	client_say(&client, head);
	free(head);
	head = body ? mem_format("Content-Length: %zu\r\n\r\n", len) : mem_text("\r\n");
	client_say(&client, head);
	free(head);
	client_send(&client, body ? body : "", len);
	return client;
}

char *polling_answer(struct client *client, int *status)
{
	const char *body = client_ends(client) ? strstr(client->in, "\r\n\r\n") : NULL;
	char *text = mem_text(body ? body + 4 : "");

	*status = body ? client_status(client->in) : 0;
	client_close(client);
	return text;
}

char *polling_fetch(int port, const char *sid, int *status)
{
	struct client client = polling_request(port, sid, NULL, 0);

	return polling_answer(&client, status);
}

int polling_send_bytes(int port, const char *sid, const char *body, size_t len)
{
	struct client client = polling_request(port, sid, body, len);
	int status;

	free(polling_answer(&client, &status));
	return status;
}

int polling_send(int port, const char *sid, const char *body)
{
	return polling_send_bytes(port, sid, body, strlen(body));
}

bool polling_handshake(int port, char sid[SID_BYTES])
{
	int status;
	char *text = polling_fetch(port, NULL, &status);
	bool taken = take_sid(text, sid);

	free(text);
	return taken;
}

/* -- on one connection -- */

void polling_say(struct client *client, const char *sid)
{
	char *request = mem_format("GET /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", sid);

	client_say(client, request);
	free(request);
}

struct client polling_open(int port, const char *user, char sid[SID_BYTES])
{
	struct client client = client_open(port);
	char *packet = mem_format("40{\"token\":\"user-%s\"}", user), *request;
	bool connected = false;

	client_say(&client, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n\r\n");
	client_await(&client, "\"upgrades\"");
	take_sid(client.in, sid);
	client_take_answer(&client);
	request = mem_format("POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: localhost\r\n"
			     "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s",
		sid, strlen(packet), packet);
	client_say(&client, request);
	client_take_answer(&client);
	for (int i = 0; i < 3 && !connected; i++) {
		polling_say(&client, sid);
		if (!client_await(&client, "\r\n\r\n4"))
			break;
		connected = strstr(client.in, "Successfully connected.");
		client_take_answer(&client);
	}
	if (!connected)
		sid[0] = 0;
	free(packet);
	free(request);
	return client;
}

/* -- turning to a websocket -- */

struct client upgrade_open(int port, const char *sid)
{
	char *path = mem_format("/socket.io/?EIO=4&transport=websocket%s%s", sid ? "&sid=" : "", sid ? sid : "");
	struct client client = websocket_open(port, path, "");

	free(path);
	return client;
}

bool upgrade_probe(struct client *client)
{
	char *text;
	size_t len;
	bool answered;

	websocket_say(client, "2probe");
	if (websocket_next(client, &text, &len) != 1)
		return false;
	answered = strcmp(text, "3probe") == 0;
	free(text);
	return answered;
}
