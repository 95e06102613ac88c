/* Raw sockets that speak to a relay byte by byte: the tests say exactly what goes over the wire. Reading waits 30 s at
 * most for the next bytes, or the end: less than any time-out of the relay's that a test does not set itself (relay.c). */
#ifndef ESINK_TEST_CLIENT_H
#define ESINK_TEST_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct client {
	int fd;
	char *in; /* received and not yet taken; NUL-terminated */
	size_t len, room;
	bool reset;    /* something could not be sent */
	char *message; /* a websocket message whose last fragment has not come */
	size_t message_len;
};

struct client client_open(int port);
/* The same in two steps. */
struct client client_socket(void);
void client_connect(struct client *client, int port);
void client_close(struct client *client);
void client_send(struct client *client, const void *bytes, size_t len);
void client_say(struct client *client, const char *text);
/* Reads until text is in what came; false: the end or no more time. */
bool client_await(struct client *client, const char *text);
/* Is there something to read, or the end, within that time? */
bool client_has_come(const struct client *client, int ms);
/* Reads to the end of the connection; false: it did not end. */
bool client_ends(struct client *client);

/* One request on a connection of its own. Returns everything that came back, malloc'ed. */
char *client_ask(int port, const char *request);
int client_status(const char *answer); /* 0: none */

/* Opens a websocket with that path and query (and further headers, each with its CRLF). */
struct client websocket_open(int port, const char *path, const char *headers);
/* A masked frame. */
void websocket_frame(struct client *client, int first_byte, const char *payload, size_t len);
void websocket_say(struct client *client, const char *text);
/* The next control frame or whole message: opcode, payload in *payload (malloc'ed, NUL-terminated); -1: the end, -2: broken framing. */
int websocket_next(struct client *client, char **payload, size_t *len);
/* Skips to the next close frame: its code; -1: none came. */
int websocket_close_code(struct client *client);

/* Takes one answer, head and body, off what has come, waiting for the rest of it. False: the end or no more time. */
bool client_take_answer(struct client *client);
/* The same; the body, malloc'ed. NULL: false. */
char *client_take_body(struct client *client);

#endif
