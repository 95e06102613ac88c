/* esink's own sessions over Socket.IO, in the namespace `/`. */
#ifndef ESINK_SOCKETIO_SESSION_H
#define ESINK_SOCKETIO_SESSION_H

#include "transport/socketio/socketio.h"

extern const struct socketio_app socketio_sessions;

#endif
