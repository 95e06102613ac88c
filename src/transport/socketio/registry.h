/* The Engine.IO sessions of the process by sid: the one thing that network threads share besides events. It is looked at when
 * a request names a sid, never for an event. */
#ifndef ESINK_REGISTRY_H
#define ESINK_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "esink/span.h"

struct engineio;
struct engineio_registry;
struct thread;

/* max_per_address: of sessions of the hub, which count only from CONNECT on; here there may be twice as many and a few, those
 * that come or go. 0: no limit. */
struct engineio_registry *registry_create(size_t max, size_t max_per_address);
void registry_destroy(struct engineio_registry *registry); /* NULL is fine; must be empty */

/* False: there are too many. Where only those make them too many who keep no connection and are in no namespace, the one that has been so
 * for longest has to go: evicted is its sid, and the caller's to end; else "". */
bool registry_add(struct engineio_registry *registry, struct engineio *engine, char *evicted);
void registry_speaks(struct engineio_registry *registry, struct engineio *engine, bool speaks); /* it is in a namespace, or in none any more */
void registry_remove(struct engineio_registry *registry, struct engineio *engine);
/* The session of that sid, if its home is this thread: only there may it be touched. */
struct engineio *registry_at_home(struct engineio_registry *registry, struct span sid, const struct thread *thread);
/* Where it is at home now. NULL: there is no such session, or it is on its way. Any thread. */
struct thread *registry_home(struct engineio_registry *registry, struct span sid);
/* Is there one, wherever it is? Any thread. */
bool registry_knows(struct engineio_registry *registry, struct span sid);
void registry_move(struct engineio_registry *registry, struct engineio *engine, struct thread *home);

/* A websocket wants to take over the session. False: there is none, it is a websocket already, or another one was first. Any
 * thread. registry_unclaim() when it came to nothing. */
bool registry_claim(struct engineio_registry *registry, struct span sid);
void registry_unclaim(struct engineio_registry *registry, struct span sid);

#endif
