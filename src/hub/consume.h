/* Questions of consumers, asked on behalf of HTTP requests and of sessions, and polls that wait until there is something to
 * tell. On the hub's thread. */
#ifndef ESINK_HUB_CONSUME_H
#define ESINK_HUB_CONSUME_H

#include <stdbool.h>
#include <stdint.h>

#include "esink/consumer.h"

struct hub;
struct consume;

#define CONSUME_FOREVER (-1) /* and through every time that the database is away */

struct consume_owner {
	void *owner;
	/* Once, in a later turn, unless consume_forget() was called; the struct consume is gone then. job is the owner's; NULL: the
	 * database did not answer in time. A poll that waited may end without events. */
	void (*answer)(void *owner, struct consumer_job *job);
	bool (*alive)(void *owner); /* asked now and then while a poll waits: false, it is of no use to go on; NULL: it is */
};

/* Takes job, whose question is filled in. wait_ms: of a poll, how long it may wait; else 0. NULL: the lane's queue is full, and
 * job is the caller's still; never with CONSUME_FOREVER. */
struct consume *consume_begin(
	struct hub *hub, struct consumer_job *job, int64_t wait_ms, const struct consume_owner *owner);
/* The owner goes. NULL is fine. */
void consume_forget(struct consume *consume);

#endif
