/* A large event goes out in portions, so that a client that reads slowly, or a thousand of them, cost no copy of it each: what
 * the socket takes now, or one piece where it takes less than that, which the transport then keeps. The rest stays in the frame
 * that all receivers share. A session in the middle of one holds the event and is behind; nothing else is sent to it until the
 * event is out, and session_writable() goes on here first.
 *
 * To hand over more than the socket takes costs three system calls and two turns of the loop more, for a few bytes.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "hub/internal.h"
#include "wire/wire.h"

/* session->rest */
struct rest {
	struct event *event; /* keeps the frame */
	const struct frame *frame;
	size_t at;
};

/* Up to the end of a piece. */
static size_t portion(size_t left, size_t room)
{
	size_t len = room < FRAME_PIECE ? FRAME_PIECE : room - room % FRAME_PIECE;

	return len < left ? len : left;
}

/* False: the session is not to be used any more. */
static bool send_pieces(struct session *session, const struct frame *frame, size_t *at)
{
	const struct transport_ops *ops = session->ops;
	size_t room;

	do {
		room = ops->room ? ops->room(session) : 0;
		size_t len = portion(frame->len - *at, room);

		*at += len;
		if (!session_put(session, frame->bytes + *at - len, len))
			return false;
	} while (*at < frame->len && !session->behind && room < FRAME_PIECE);
	if (*at < frame->len && !session->behind)
		session_yield(session);
	return true;
}

void session_owe(struct session *session, struct event *event, enum event_class class)
{
	struct rest *rest;

	assert(!session->rest);
	if (!session_usable(session))
		return;
	rest = session->rest = mem_alloc(sizeof(*rest));
	*rest = (struct rest){event_ref(event), wire_frame(event, session->ops->encoding, class), 0};
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
	session->within = 1;
	return true;
}

bool large_go_on(struct session *session)
{
	struct rest *rest = session->rest;

	if (!rest)
		return true;
	session->within = 1;
	if (!send_pieces(session, rest->frame, &rest->at)) /* which has forgotten it */
		return false;
	if (rest->at == rest->frame->len) {
		session->within = 0;
		large_forget(session);
	}
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
