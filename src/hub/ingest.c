/* One event to the sessions that may see it: the heart of the relay. The audience was sealed by the
 * source; here it only meets who is connected: everybody for a broadcast, the user index for named
 * receivers, and the operators.
 *
 * Nothing is sent and nothing allocated per delivery: a delivery is an entry of one array that is
 * used again every turn, and one for all sessions that get the same; flush.c turns what a session has there
 * into one send. Only LIVE sessions take part: others find the event in the tail when they get there.
 *
 * Broadcasts that follow each other in a batch are routed together at the end of their run, session by session: ten
 * thousand sessions do not stay in the processor's cache from one event to the next.
 */
#include "base/mem.h"
#include "hub/internal.h"
#include "rules/topics.h"

static void note_shown(struct hub *hub, struct session *session)
{
	mem_grow(&hub->shown_ids, &hub->shown_room, hub->shown_count, sizeof(char *));
	hub->shown_ids[hub->shown_count++] = session->id;
}

/* The delivery of this event behind that one. Sessions that had the same so far find it made. */
static uint32_t delivery_behind(
	struct hub *hub, uint32_t before, struct event *event, enum event_class class)
{
	struct delivery *made = &hub->deliveries[hub->deliveries[before].after];
	uint32_t index;

	if (made->event == event && made->class == class)
		return hub->deliveries[before].after;
	index = (uint32_t)++hub->delivery_count;
	mem_grow(&hub->deliveries, &hub->delivery_room, index, sizeof(struct delivery));
	hub->deliveries[index] = (struct delivery){event, before, 0, class};
	hub->deliveries[before].after = index;
	return index;
}

static void chain(
	struct hub *hub, struct session *session, struct event *event, enum event_class class)
{
	if (!hub->routed++) {
		mem_grow(&hub->deliveries, &hub->delivery_room, 0, sizeof(struct delivery));
		hub->deliveries[0] = (struct delivery){0};
	}
	if (!session->dirty) {
		session->dirty = 1;
		session->last_delivery = 0;
		session->dirty_next = hub->dirty;
		hub->dirty = session;
	}
	session->last_delivery = delivery_behind(hub, session->last_delivery, event, class);
}

static void deliver(
	struct hub *hub, struct session *session, struct event *event, enum event_class class)
{
	if (session->state != SESSION_LIVE)
		return;
	if (session->subscription && !subscription_wants(session->subscription, event->topic,
					     event_type_shown(event, class)))
		return;
	chain(hub, session, event, class);
	if (event->ref.p)
		note_shown(hub, session);
}

/* A run of broadcasts, session by session: each is looked at once for all of them. */
static void to_everyone(struct hub *hub, struct event *const *events, size_t count)
{
	for (struct session *session = hub->sessions; session; session = session->next)
		if (session->kind == SESSION_USER && session->state == SESSION_LIVE)
			for (size_t i = 0; i < count; i++)
				deliver(hub, session, events[i], CLASS_BOTH);
}

static void to_sessions_of(
	struct hub *hub, struct user *user, struct event *event, enum event_class class)
{
	for (struct session *session = user->sessions; session; session = session->user_next)
		deliver(hub, session, event, class);
}

static void to_receivers(struct hub *hub, struct event *event)
{
	for (uint32_t i = 0; i < event->receiver_count; i++) {
		const struct receiver *receiver = &event->receivers[i];
		struct user *user = map_get(
			&hub->users, receiver->hash, (struct span){receiver->id, receiver->len});

		if (user)
			to_sessions_of(hub, user, event, receiver->class);
	}
}

/* The same for an audience larger than the house: ask every user who is here. */
static void to_users_among(struct hub *hub, struct event *event)
{
	enum event_class class;
	struct user *user;

	for (size_t at = 0; (user = map_next(&hub->users, &at));)
		if (event_visible(event, user->hash, user->id, &class))
			to_sessions_of(hub, user, event, class);
}

static void to_operators(struct hub *hub, struct event *event)
{
	for (struct session *session = hub->operators; session; session = session->user_next)
		deliver(hub, session, event, CLASS_BOTH);
}

void ingest_settle(struct hub *hub)
{
	size_t count = hub->run_count;

	if (!count)
		return;
	hub->run_count = 0;
	to_everyone(hub, hub->run, count);
	for (size_t i = 0; i < count; i++)
		to_operators(hub, hub->run[i]);
	if (hub->routed >= TURN_DELIVERIES_MAX)
		flush(hub);
}

/* So many that the turn's deliveries do not grow far beyond their bound. */
static void join_run(struct hub *hub, struct event *event)
{
	hub->run[hub->run_count++] = event;
	if (hub->run_count == RUN_MAX || hub->routed + hub->run_count * hub->count >= TURN_DELIVERIES_MAX)
		ingest_settle(hub);
}

static void route(struct hub *hub, struct event *event)
{
	hub->shown_count = 0;
	if (event->broadcast)
		to_everyone(hub, &event, 1);
	else if (event->receiver_count / 4 > hub->users.room)
		to_users_among(hub, event);
	else
		to_receivers(hub, event);
	to_operators(hub, event);
	if (event->ref.p && hub->shown)
		hub->shown(hub->shown_context, event, hub->shown_ids, hub->shown_count);
	if (hub->routed >= TURN_DELIVERIES_MAX)
		flush(hub);
}

void ingest(struct hub *hub, struct event *event)
{
	bool joins = event->broadcast && !event->ref.p;

	if (!joins)
		ingest_settle(hub); /* first: who falls behind in it reads on from the event before this one */
	tail_append(&hub->tail, event);
	if (joins)
		join_run(hub, event);
	else
		route(hub, event);
	if (hub->parked)
		consumes_offer(hub, event);
}
