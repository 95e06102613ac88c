/* Socket.IO's clients over the raw sockets of client.h: on a websocket, by polling, and on the way from one to the other. What goes
 * wrong is told by what is returned, so that programs that are no tests can use them too. */
#ifndef ESINK_TEST_SOCKETIO_CLIENT_H
#define ESINK_TEST_SOCKETIO_CLIENT_H

#include "client.h"

#define SID_BYTES 21 /* with the NUL */

/* A client of that user, on a websocket from the beginning; its CONNECT is under way. */
struct client socketio_open(int port, const char *user);

/* -- polling, each request on a connection of its own -- */
/* GET, or POST of a body (NULL: GET), whose answer is left to come. No sid (NULL): a handshake. */
struct client polling_request(int port, const char *sid, const char *body, size_t len);
/* The answer's body, malloc'ed, and its status (0, with an empty body: none came). The connection is closed. */
char *polling_answer(struct client *client, int *status);
/* Both at once. */
char *polling_fetch(int port, const char *sid, int *status);
int polling_send_bytes(int port, const char *sid, const char *body, size_t len); /* the status */
int polling_send(int port, const char *sid, const char *body);
bool polling_handshake(int port, char sid[SID_BYTES]);

/* -- polling, on one connection -- */
/* A session of that user that has read `connected`: `sid` is filled in (with "" when it did not come to that). No poll is under way. */
struct client polling_open(int port, const char *user, char sid[SID_BYTES]);
/* A poll, whose answer is left to come: client_take_answer(). */
void polling_say(struct client *client, const char *sid);

/* -- turning to a websocket -- */
/* As websocket_open(), for the session of that sid. NULL: a session begins on it. */
struct client upgrade_open(int port, const char *sid);
/* Probes, and waits for the answer: the session's polls are ended at once from now on. False: something else came. */
bool upgrade_probe(struct client *client);

#endif
