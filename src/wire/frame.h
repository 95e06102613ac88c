/* Websocket messages of a server (RFC 6455 section 5.2): unmasked, complete, so that they can be concatenated and written to
 * the socket as they are. The payload is appended between frame_begin() and frame_end().
 */
#ifndef ESINK_WIRE_FRAME_H
#define ESINK_WIRE_FRAME_H

#include <stdbool.h>

#include "base/buf.h"

enum frame_opcode { FRAME_CONTINUATION = 0, FRAME_TEXT = 1, FRAME_BINARY = 2 };

/* Where the message starts, for frame_end(). */
size_t frame_begin(struct buf *buf);

/* Makes a message of what was appended since. base: where in buf the bytes begin that are handed over together, of which this
 * message is one: at every multiple of FRAME_PIECE from there a fragment ends. False: buf is full. */
bool frame_end(struct buf *buf, size_t base, size_t start, enum frame_opcode opcode);

/* Before frame_end() of JSON text, when another message of the same base follows: appends a space or two where no fragment of
 * that other one could fill exactly what is left up to the next multiple. */
void frame_pad(struct buf *buf, size_t base, size_t start);

#endif
