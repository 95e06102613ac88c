/* An event larger than FRAME_PIECE goes out in pieces, so that a client that reads slowly, or a thousand of them, cost no
 * copy of it each: the transport is handed one piece more than the socket takes, the rest stays in the frame that all
 * receivers share. A session in the middle of one holds the event and is behind; nothing else is sent to it until the event
 * is out, and session_writable() goes on here first.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "hub/internal.h"

/* session->rest */
struct rest {
	struct event *event; /* keeps the frame */
	const struct frame *frame;
	size_t at;
};

/* False: the session is not to be used any more. */
static bool send_pieces(struct session *session, const struct frame *frame, size_t *at)
{
	do {
		size_t left = frame->len - *at, len = left < FRAME_PIECE ? left : FRAME_PIECE;

		*at += len;
		if (!session_put(session, frame->bytes + *at - len, len))
			return false;
	} while (*at < frame->len && !session->behind);
	return true;
}

bool large_send(struct session *session, struct event *event, const struct frame *frame)
{
	struct rest *rest;
	size_t at = 0;

	if (!send_pieces(session, frame, &at))
		return false;
	if (at == frame->len)
		return true;
	rest = session->rest = mem_alloc(sizeof(*rest));
	*rest = (struct rest){event_ref(event), frame, at};
	return true;
}

bool large_go_on(struct session *session)
{
	struct rest *rest = session->rest;

	if (!rest)
		return true;
	if (!send_pieces(session, rest->frame, &rest->at)) /* which has forgotten it */
		return false;
	if (rest->at == rest->frame->len)
		large_forget(session);
	return true;
}

void large_forget(struct session *session)
{
	struct rest *rest = session->rest;

	if (!rest)
		return;
	session->rest = NULL;
	event_unref(rest->event);
	free(rest);
}
