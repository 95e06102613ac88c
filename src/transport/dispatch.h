/* Where libwebsockets calls in. */
#ifndef ESINK_DISPATCH_H
#define ESINK_DISPATCH_H

#include <libwebsockets.h>

#define PROTOCOL_NAME "esink"
#define RX_BYTES 128        /* of a websocket message at a time: every connection has such a buffer */
#define TX_BYTES 262144     /* of what libwebsockets holds, at a time */

extern const struct lws_protocols dispatch_protocols[];

void dispatch_log(void); /* its complaints go to our log; once per process */

#endif
