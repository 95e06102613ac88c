/* The polling side of an Engine.IO session, on its home thread: what waits to be fetched, and the poll that waits for it. A session has
 * at most one poll (`poll`), and shares at most one large event (`share`). */
#ifndef ESINK_LONG_POLL_H
#define ESINK_LONG_POLL_H

#include <stdbool.h>

#include "transport/socketio/engineio.h"

/* -- for the application -- */
/* A large event's frame, which must be in the session's encoding. A polling session shares it in place of a copy, but when so much is on
 * its way out to others that there is no room for it, it waits. */
enum send_result engine_send_event(struct engineio *engine, struct event *event, const struct frame *frame);
void engine_forget_event(struct engineio *engine); /* nobody waits for it any more */

/* -- for the other files of this folder -- */
bool engine_loaded(const struct engineio *engine); /* something waits to be fetched */
void engine_unshare(struct engineio *engine); /* last words: what waits is in out, all of it */
/* A poll has come, and none waits already. It is the session's until its answer goes back. */
void engine_polled(struct engineio *engine, struct errand *poll);
void engine_answer_poll(struct engineio *engine); /* the end of the turn, for a poll that waits: it goes back if there is something for it */
void engine_refuse_poll(struct engineio *engine, int code); /* if one waits: it goes back with errand_refuse() */
/* The last packet of all, for a poll that waits. A client that said `close` itself only needs its poll back. */
void engine_say_goodbye(struct engineio *engine);
void engine_ask_to_upgrade(struct engineio *engine); /* a probe has come: polls are answered at once from now on */
void engine_stay(struct engineio *engine); /* its websocket came to nothing: polls wait as before */
void engine_noop(struct engineio *engine); /* NOOP_MS after a poll met a probe, for host.c */

#endif
