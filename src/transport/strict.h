/* Where libwebsockets reads a head more leniently than is safe, or answers by itself: strict.c. */
#ifndef ESINK_STRICT_H
#define ESINK_STRICT_H

#include <libwebsockets.h>
#include <stdbool.h>

/* Has the request's head a line that is no header by RFC 9112? Then no header of it can be trusted. */
bool strict_misread(struct lws *wsi);
/* How often a header that libwebsockets knows was sent, an empty one too; stops counting at 2. */
int strict_times(struct lws *wsi, enum lws_token_indexes header);

#endif
