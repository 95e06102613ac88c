/* Base64 as RFC 4648 section 4 has it, with padding: binary messages of Engine.IO in text. */
#ifndef ESINK_WIRE_BASE64_H
#define ESINK_WIRE_BASE64_H

#include <stdbool.h>

#include "base/buf.h"

/* Appends. False: buf is full. */
bool base64_encode(struct buf *buf, struct span bytes);

/* Appends what text says. Strict: padded to a multiple of four, nothing else between, no bits left over, so that each run of
 * bytes has one text. False: it is not that, or buf is full; something may have been appended. */
bool base64_decode(struct buf *buf, struct span text);

#endif
