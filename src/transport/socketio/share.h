/* An event that is too large to be copied for each poll that it answers: the answer's body is the frame of it that the event keeps, shared
 * by all who are sent it, on any thread. This holds the event until the last byte was taken. */
#ifndef ESINK_SHARE_H
#define ESINK_SHARE_H

#include "esink/event.h"
#include "esink/span.h"
#include "transport/answers.h"

struct share {
	struct event *event; /* keeps the frame */
	const struct frame *frame;
	struct answer answer; /* once it is on its way out */
};

struct share *share_create(struct event *event, const struct frame *frame);
/* On its answer's thread, once it is on its way out. NULL is fine. */
void share_free(struct share *share);

static inline struct span share_bytes(const struct share *share)
{
	return (struct span){share->frame->bytes, share->frame->len};
}

#endif
