/* Socket.IO (protocol 5) over an Engine.IO session: namespaces, events, acknowledgements, binary attachments. What is offered
 * in a namespace is the application's: esink's sessions (session.c), or a test's.
 *
 * An application is a struct socketio_app whose `engine` half it fills in for itself, but for received, idle, which are
 * socketio_received and socketio_idle, and with a size that counts struct socketio, first in its memory. Its ended() and
 * vanish() call socketio_finish().
 */
#ifndef ESINK_SOCKETIO_H
#define ESINK_SOCKETIO_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "transport/socketio/engineio.h"
#include "wire/socketio.h"

#define NAMESPACES_MAX 10 /* of one client */
#define NAMESPACE_BYTES 256

struct assembly; /* a packet whose attachments are still to come */

struct socketio {
	char *namespaces[NAMESPACES_MAX]; /* connected ones */
	struct assembly *assembly;
	int64_t counted_since; /* ms, monotonic */
	uint32_t counted;      /* packets since then that are not the application's to count */
};

struct socketio_app {
	struct engineio_app engine;
	bool attachments; /* packet() is given them; else they are counted and thrown away, and of the packet only its type is left */
	/* A client wants in. Answers with socketio_refuse(), or socketio_admit() and then, now or later, socketio_accept() or
	 * socketio_refuse(). auth: what the client sent, or NULL. */
	void (*connect)(struct engineio *engine, struct span namespace, const json_t *auth);
	/* An EVENT, ACK, or either with its attachments, in a namespace that was accepted. How many EVENTs is the application's to
	 * bound. */
	void (*packet)(struct engineio *engine, const struct socketio_packet *packet, const struct buf *attachments);
	/* The client leaves a namespace. */
	void (*disconnect)(struct engineio *engine, struct span namespace);
};

void socketio_received(struct engineio *engine, bool binary, struct span data);
bool socketio_idle(const struct engineio *engine);
void socketio_finish(struct engineio *engine);

/* It is in the namespace from now on; what it sends is read. False: it was refused, for it is in too many. */
bool socketio_admit(struct engineio *engine, struct span namespace);
/* CONNECT is answered with the id that the client is to be known by in that namespace. */
void socketio_accept(struct engineio *engine, struct span namespace, const char *sid);
/* Or with why not, and a code unless it is 0; it is not in the namespace. The client's library does not try again by itself. */
void socketio_refuse(struct engineio *engine, struct span namespace, const char *message, int code);
/* From our side. */
void socketio_disconnect(struct engineio *engine, struct span namespace);
enum send_result socketio_send(struct engineio *engine, const struct socketio_packet *packet);
bool socketio_connected(const struct engineio *engine, struct span namespace);

#endif
