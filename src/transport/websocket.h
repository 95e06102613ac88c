/* Websockets: GET /ws. The results are what libwebsockets' callback returns. */
#ifndef ESINK_WEBSOCKET_H
#define ESINK_WEBSOCKET_H

#include <libwebsockets.h>
#include <stddef.h>

#include "esink/transport.h"

struct conn;

/* Begins the end of a websocket: the close frame, and a moment for the answer. */
void websocket_begin_close(struct conn *conn, enum close_reason reason);

int websocket_opened(struct lws *wsi);
int websocket_received(struct lws *wsi, const char *bytes, size_t len);
int websocket_writable(struct lws *wsi);
void websocket_ponged(struct lws *wsi);
int websocket_peer_closes(struct lws *wsi);
void websocket_ends(struct conn *conn); /* it will, soon: what libwebsockets has still to say is not ours */

#endif
