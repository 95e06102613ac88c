/* The heartbeat of an Engine.IO session, on its home thread: `beat` is set for the next ping, or for the pong that is to come. A pong
 * itself sets it anew, in engine_packet(). */
#ifndef ESINK_HEARTBEAT_H
#define ESINK_HEARTBEAT_H

#include "transport/socketio/engineio.h"

bool engine_overdue(struct engineio *engine); /* it has missed its pong, and is over now */

/* -- what is due, for host.c -- */
void engine_ping(struct engineio *engine);
void engine_no_pong(struct engineio *engine); /* closes it, or waits on while what stands before the ping is being taken */

#endif
