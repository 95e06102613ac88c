/* The end of a turn: every session that has deliveries gets one send. A single frame goes out from
 * where it lies, shared by all its receivers; several are laid side by side in a buffer of the
 * hub's, which the next session that gets the same is sent as it lies there. Coalescing is what makes
 * bursts cheap: one system call per session and turn, whatever the number of events.
 *
 * A session that gets more than session_queue_bytes in one turn, or whose socket did not take all,
 * leaves LIVE at exactly the event that it got last and reads on from the tail at its own pace: no
 * queue of its own, no copy, no loss.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "hub/internal.h"

static void scratch_add(struct hub *hub, size_t at, const struct frame *frame)
{
	if (at + frame->len > hub->scratch_room) {
		hub->scratch_room = (at + frame->len) * 2;
		hub->scratch = mem_resize(hub->scratch, hub->scratch_room);
	}
	memcpy(hub->scratch + at, frame->bytes, frame->len);
}

bool pack_add(struct session *session, struct pack *pack, struct event *event, enum event_class class)
{
	const struct frame *frame = wire_frame(event, session->ops->encoding, class);
	struct hub *hub = session->hub;

	if (!pack->frames) {
		pack->event = event;
		pack->only = frame;
	} else {
		if (pack->len + frame->len > hub->config->session_queue_bytes)
			return false;
		hub->packed.delivery = 0;
		if (pack->frames == 1)
			scratch_add(hub, 0, pack->only);
		scratch_add(hub, pack->len, frame);
	}
	pack->frames++;
	pack->len += frame->len;
	return true;
}

/* To a peer that fetches even a large one whole: an answer must not end within a packet. */
bool pack_send(struct session *session, const struct pack *pack)
{
	if (pack->frames == 1 && pack->len > LARGE_EVENT)
		return session->ops->fetches ? session_put_event(session, pack->event, pack->only) :
					       large_send(session, pack->event, pack->only);
	return session_put(
		session, pack->frames == 1 ? pack->only->bytes : session->hub->scratch, pack->len);
}

const struct event *first_routed(const struct session *session)
{
	const struct delivery *deliveries = session->hub->deliveries;
	uint32_t at = session->last_delivery;

	while (deliveries[at].before)
		at = deliveries[at].before;
	return deliveries[at].event;
}

/* The way to a delivery, from its first one on, into hub->order. How many there are. */
static size_t order_of(struct hub *hub, uint32_t last)
{
	size_t count = 0;

	for (uint32_t at = last; at; at = hub->deliveries[at].before) {
		mem_grow(&hub->order, &hub->order_room, count, sizeof(*hub->order));
		hub->order[count++] = at;
	}
	for (size_t i = 0; i < count / 2; i++) {
		uint32_t other = hub->order[i];

		hub->order[i] = hub->order[count - 1 - i];
		hub->order[count - 1 - i] = other;
	}
	return count;
}

static void pack_anew(struct session *session)
{
	struct hub *hub = session->hub;
	size_t count = order_of(hub, session->last_delivery);
	struct packed packed = {session->last_delivery, session->ops->encoding, {0}, NULL};

	for (size_t i = 0; i < count; i++) {
		const struct delivery *delivery = &hub->deliveries[hub->order[i]];

		if (!pack_add(session, &packed.pack, delivery->event, (enum event_class)delivery->class))
			break;
		packed.end = delivery->event;
	}
	hub->packed = packed;
}

static void flush_session(struct hub *hub, struct session *session)
{
	struct packed packed;

	if (hub->packed.delivery != session->last_delivery || hub->packed.encoding != session->ops->encoding)
		pack_anew(session);
	packed = hub->packed; /* whoever is told of the send may pack something else */
	if (!pack_send(session, &packed.pack))
		return;
	if (packed.end != hub->deliveries[packed.delivery].event) {
		leave_live(session, packed.end->id, packed.end->key);
		if (!session->behind)
			session->ops->want_writable(session);
	} else if (session->behind) {
		leave_live_at_head(session);
	}
}

/* What a burst needed is not kept for the quiet after it. */
static void give_back(struct hub *hub)
{
	if (hub->delivery_room <= TURN_DELIVERIES_KEPT)
		return;
	free(hub->deliveries);
	free(hub->order);
	hub->deliveries = NULL;
	hub->order = NULL;
	hub->delivery_room = hub->order_room = 0;
}

/* Between two sends the kernel has filled the cache with what is its own: what the next one needs of ours is fetched meanwhile,
 * first the session, then what it leads to. */
static void look_ahead(struct session *next)
{
	if (!next)
		return;
	if (next->dirty_next)
		__builtin_prefetch(next->dirty_next);
	if (next->ops->soon)
		next->ops->soon(next);
}

void flush(struct hub *hub)
{
	struct session *session;

	while ((session = hub->dirty)) {
		hub->dirty = session->dirty_next;
		session->dirty = 0;
		look_ahead(hub->dirty);
		if (session->state == SESSION_LIVE)
			flush_session(hub, session);
	}
	hub->delivery_count = hub->routed = 0;
	hub->packed.delivery = 0;
	give_back(hub);
	spent_release(hub);
	tail_trim(&hub->tail, hub->config->tail_bytes);
}
