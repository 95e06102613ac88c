/* What a connection of one network thread asks of an Engine.IO session whose home is another: it travels there through that
 * thread's inbox, and back with the answer. When both are the same thread it is a call.
 *
 * An errand is touched by one thread at a time. The connection that sent it has a pointer to it and takes itself off when it
 * goes (errand_forget()); the errand comes back all the same, finds nobody, and is freed where it began.
 */
#ifndef ESINK_ERRAND_H
#define ESINK_ERRAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/inbox.h"
#include "transport/socketio/engineio.h"

struct share;

enum errand_kind {
	ERRAND_POLL,    /* waits at home until there is something to say */
	ERRAND_POST,    /* packets from the client */
	ERRAND_PROBE,   /* a websocket works: polls are to be answered at once */
	ERRAND_STAY,    /* and has gone again: they need not */
	ERRAND_UPGRADE, /* brings the session, which goes on over the websocket */
	ERRAND_ABORT    /* the request of a waiting poll, or its answer, was lost, and packets with it, or there is no
			   place for it: the client must begin anew */
};

struct errand {
	struct task task; /* first */
	enum errand_kind kind;
	struct thread *from, *to;
	struct conn *conn;       /* of from; NULL: it has gone, or nobody waits */
	struct engineio *engine; /* upgrade, on the way back: the session */
	bool hosted;             /* it is on its new thread's lists already */
	bool probed;             /* upgrade: ERRAND_PROBE has gone ahead */
	bool sent, answered;     /* answered: it is home again, and its answer waits for the socket */
	struct buf body;         /* of the request; on the way back, of the answer, with a separator first */
	struct share *share;     /* on the way back of a poll: is the answer, in place of body; NULL: none */
	int status;              /* on the way back; other than 200: code tells why */
	int code;                /* Engine.IO's number of the error */
	enum close_reason reason; /* abort */
	char sid[SID_LEN + 1];
};

struct errand *errand_create(struct conn *conn, enum errand_kind kind, const char *sid);
/* On its way. False: there is no such session, and the errand is the caller's still. May come back within this call. */
bool errand_send(struct errand *errand);
/* Back to where it began. On the home thread. */
void errand_return(struct errand *errand);
/* The same, with a refusal for its answer: one of enum engineio_error. */
void errand_refuse(struct errand *errand, int code);
/* The connection goes. A poll's session ends with it, unless the answer was sent. NULL is fine. */
void errand_forget(struct errand *errand);
/* Ends the polling session of that sid, wherever it is. */
void errand_abort(struct thread *thread, const char *sid, enum close_reason reason);
void errand_free(struct errand *errand);
/* To the inbox of the thread that it is on, for a later turn. */
void errand_later(struct errand *errand);

#endif
