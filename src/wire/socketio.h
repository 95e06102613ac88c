/* Socket.IO protocol 5: `<type>[<attachments>-][/namespace,][id][json]`, the data of an Engine.IO message. */
#ifndef ESINK_WIRE_SOCKETIO_H
#define ESINK_WIRE_SOCKETIO_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "esink/event.h"
#include "esink/status.h"

/* In the order of their digits. */
enum socketio_type {
	SOCKETIO_CONNECT,
	SOCKETIO_DISCONNECT,
	SOCKETIO_EVENT,
	SOCKETIO_ACK,
	SOCKETIO_CONNECT_ERROR,
	SOCKETIO_BINARY_EVENT,
	SOCKETIO_BINARY_ACK
};

#define SOCKETIO_ATTACHMENTS_MAX 10 /* what socket.io-parser takes by default */

struct socketio_packet {
	enum socketio_type type;
	unsigned attachments;  /* binary messages that follow: at least 1 of a BINARY type, 0 of others */
	struct span namespace; /* read: "/" when none is given, without its query; written: absent is "/" too */
	bool has_id;           /* the sender of an event wants an ACK, an ACK answers */
	uint64_t id;
	struct span json; /* as it was written, digits and all; absent: none */
	json_t *root;     /* read: json parsed, owned by the packet; NULL: none. Not looked at when written */
};

/* What a client sent, the data of a text message. All spans are borrowed from text. STATUS_INVALID: malformed, err says how
 * without any of the text. A packet that is let through has the shape of its type:
 *
 * - CONNECT: an object or nothing; DISCONNECT: nothing;
 *
 * - EVENT, BINARY_EVENT: an array whose first element, the event's name, is a number or a string that is not reserved;
 *
 * - ACK, BINARY_ACK: an array;
 *
 * - CONNECT_ERROR is what only servers send: malformed. */
enum status socketio_read(struct span text, struct socketio_packet *packet, struct err *err) MUST_CHECK;
void socketio_packet_finish(struct socketio_packet *packet);

/* Appends {"event":NAME,"data":FIRST ARGUMENT} for session_receive(): both as the client wrote them, {} when there is no
 * argument; further ones are ignored. packet: an EVENT that was read (of a BINARY_EVENT, attachments stay the placeholders that
 * they are). False: it is none, or text is full. */
bool socketio_client_message(const struct socketio_packet *packet, struct buf *text);

/* The names that mean something to a Socket.IO client or server itself, and which no event may have. */
bool socketio_reserved(struct span name);

/* Appends the packet in an Engine.IO message, ready to send; see engineio_write(). json is not looked at. */
bool socketio_write(struct buf *buf, enum encoding encoding, const struct socketio_packet *packet);

#endif
