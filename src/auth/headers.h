/* Private to src/auth: the headers of tokens that were verified, as they came. An issuer writes the
 * same one into all its tokens, or one for each key: what it says is read once. Any thread. */
#ifndef ESINK_AUTH_HEADERS_H
#define ESINK_AUTH_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

#include "esink/span.h"

#define HEADERS_MAX 128
#define HEADER_TEXT_MAX 2048 /* in base64url; a longer one is read each time */

struct headers;

struct header {
	char *kid;        /* NULL: it names none */
	struct span text; /* the part of the token */
};

struct headers *headers_create(void);
void headers_destroy(struct headers *headers);
/* NULL: not remembered. It lives as long as headers. */
const struct header *headers_find(struct headers *headers, struct span text);
/* Only of a token whose signature is good, or anybody could fill it. When it is full nothing more is
 * remembered. */
void headers_add(struct headers *headers, struct span text, const char *kid);
size_t headers_count(struct headers *headers);

#endif
