/* Engine.IO protocol 4: the packets that Socket.IO is carried in, over a websocket or in the bodies of HTTP long-polling.
 * Bytes only: which packet may come when, and what is answered, is the transport's business.
 */
#ifndef ESINK_WIRE_ENGINEIO_H
#define ESINK_WIRE_ENGINEIO_H

#include <stdbool.h>

#include "base/buf.h"
#include "esink/event.h"
#include "esink/span.h"

/* In the order of their digits. */
enum engineio_type {
	ENGINEIO_OPEN,
	ENGINEIO_CLOSE,
	ENGINEIO_PING,
	ENGINEIO_PONG,
	ENGINEIO_MESSAGE,
	ENGINEIO_UPGRADE,
	ENGINEIO_NOOP
};

struct engineio_packet {
	enum engineio_type type;
	bool binary;      /* a message whose data are bytes, not text */
	struct span data; /* what follows the digit; borrowed from the input or from room, until the next call with that room */
};

enum engineio_result { ENGINEIO_PACKET, ENGINEIO_END, ENGINEIO_MALFORMED };

#define ENGINEIO_SEPARATOR 0x1e

/* One websocket message. Binary: the data of a message. Text: a digit and the data, or `b` and base64, as a client with
 * forceBase64 sends it, which is decoded into room. False: malformed, which includes text that is not UTF-8. */
bool engineio_read_frame(struct span bytes, bool binary, struct buf *room, struct engineio_packet *packet);

/* The next packet of a polling request's body: packets with a separator between two of them. *payload becomes what is left,
 * absent (p == NULL) behind the last: ENGINEIO_END then. A body that is empty but not absent is malformed, as is every empty
 * packet, an unknown digit, base64 that is not canonical, text that is not UTF-8, more than room takes; nothing is to be read
 * after that. room is as large as the body at most. */
enum engineio_result engineio_read_payload(struct span *payload, struct buf *room, struct engineio_packet *packet);

/* Appends one packet, ready to send. ENCODING_SOCKETIO: a complete websocket message, in fragments if it is large
 * (wire/frame.h). ENCODING_SOCKETIO_POLLING: a separator, then the packet, so that packets can be concatenated; an answer's
 * body begins behind the first byte. binary is for messages only. False: buf is full, or text for polling holds a separator
 * (JSON cannot). */
bool engineio_write(struct buf *buf, enum encoding encoding, enum engineio_type type, bool binary, struct span data);

/* What was written for polling, a separator first, as websocket messages: for a session that upgrades. Nothing gives nothing.
 * False: frames is full, or payload is nothing that engineio_write() wrote; frames is then not to be used. */
bool engineio_payload_to_frames(struct buf *frames, struct span payload);

#endif
