/* Private to src/auth: base64url without padding, RFC 4648 section 5, as JOSE writes it. */
#ifndef ESINK_AUTH_BASE64URL_H
#define ESINK_AUTH_BASE64URL_H

#include <stdbool.h>

#include "base/buf.h"
#include "esink/span.h"

/* Appends what text stands for. False: a character outside the alphabet, padding, an impossible
 * length, or bits left over in the last character (two texts would stand for the same bytes). */
bool base64url_decode(struct span text, struct buf *out);

#endif
