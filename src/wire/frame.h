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

/* Before frame_end(), when another message of the same base follows: appends up to two spaces, so that a fragment of that
 * one can end at the next multiple whatever its length. */
void frame_pad(struct buf *buf, size_t base, size_t start);

/* Whether a message whose payload has that length, at its base, is one frame. */
bool frame_is_whole(size_t payload);

#endif
