/* Engine.IO over a websocket: from the handshake on, or after a beginning with polling. The results of the functions that
 * libwebsockets' callbacks reach are in websocket.h; these are what it calls where the websocket speaks Engine.IO. */
#ifndef ESINK_UPGRADE_H
#define ESINK_UPGRADE_H

#include <libwebsockets.h>
#include <stdbool.h>

#include "esink/span.h"
#include "transport/socketio/polling.h"

struct conn;
struct errand;

/* Whether the handshake is good; if so conn knows what it is for. */
enum engineio_error upgrade_check(struct conn *conn);
void upgrade_opened(struct conn *conn);
void upgrade_received(struct conn *conn, bool binary, struct span data);
void upgrade_writable(struct conn *conn);
void upgrade_gone(struct conn *conn, enum close_reason reason);

/* -- for errand.c -- */
void upgrade_asked(struct errand *errand, struct engineio *engine); /* at the session's home */
void upgrade_arrived(struct errand *errand);                       /* at the websocket's */

#endif
