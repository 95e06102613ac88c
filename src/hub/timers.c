/* About four times a second: what happened to nobody's call. Deadlines of states, expired and
 * re-checked tokens, stalled and silent peers, heartbeats, positions, samples, and the closing of
 * all sessions before a restart.
 *
 * A tick walks the sessions, up to WALK_WHOLE of them in one go; of more it looks at a quarter, so
 * that each is seen once a second and no tick takes long.
 */
#include "base/clock.h"
#include "hub/internal.h"

static void tick_opened(struct session *session)
{
	if (session->hub->now >= session->deadline)
		session_end_saying(
			session, 401, "Unauthorized", CLOSE_AUTH_TIMEOUT);
}

static void unavailable(struct session *session)
{
	session_end_saying(
		session, 503, "The database is not available; try again later.", CLOSE_UNAVAILABLE);
}

static void tick_authenticating(struct session *session)
{
	if (session->hub->now >= session->deadline)
		unavailable(session);
	else
		login_tick(session);
}

static bool expired(struct session *session)
{
	if (!session->expires || session->hub->wall < session->expires)
		return false;
	session_end_saying(session, 401, "The token has expired.", CLOSE_EXPIRED);
	return true;
}

static void tick_waiting(struct session *session)
{
	if (expired(session))
		return;
	if (!session->reading)
		session_connect(session);
	if (session->state == SESSION_WAITING && session->hub->now >= session->deadline)
		unavailable(session);
}

/* Behind, and the peer has taken nothing for a while: slow is fine, stalled is not. */
static bool stalled(struct session *session)
{
	int64_t now = session->hub->now;
	unsigned long progress;

	if (!session->behind)
		return false;
	progress = session->ops->progress(session);
	if (progress != session->progress) {
		session->progress = progress;
		session->progress_at = now;
		return false;
	}
	if (now - session->progress_at < session->hub->config->slow_timeout_ms)
		return false;
	session_end(session, CLOSE_SLOW);
	return true;
}

/* Is anybody there? Asked whether events flow or not: the kernel of a program that hangs goes on taking them. The answer is
 * awaited from when the ping has got there: as long as what stood before it is still being taken, it cannot be here. */
static bool gone_quiet(struct session *session)
{
	const struct hub_config *config = session->hub->config;
	int64_t now = session->hub->now;
	unsigned long before = session->progress;

	if (!session->ops->heartbeat || session->behind || now < session->deadline)
		return false;
	session->progress = session->ops->progress(session);
	session->deadline = now + config->heartbeat_timeout_ms;
	if (session->pinged && (before >= session->ping_at || session->progress == before)) {
		session_end(session, CLOSE_GONE_QUIET);
		return true;
	}
	if (session->pinged)
		return false;
	session->pinged = 1;
	session->ping_at = session->progress + session->ops->in_flight(session);
	session->ops->heartbeat(session);
	return !session_usable(session);
}

static void keep_up(struct session *session)
{
	const struct hub_config *config = session->hub->config;
	int64_t quiet = session->hub->now - session->quiet_since;
	bool stream = session->ops->encoding == ENCODING_SSE;

	if (session->behind)
		return;
	if (session->kind == SESSION_TEST) {
		if (session->hub->now >= session->sample_at)
			sample_send(session);
	} else if (quiet >= (stream ? config->heartbeat_ms : config->position_ms)) {
		say_position(session);
	}
}

static void tick_connected(struct session *session)
{
	if (expired(session) || stalled(session) || gone_quiet(session))
		return;
	login_tick(session);
	subscription_charge(session);
	if (session_usable(session))
		keep_up(session);
	/* A page that failed is asked for again here. */
	if (session->state == SESSION_REPLAY && !session->behind && !session->reading)
		replay(session);
}

static void tick_session(struct session *session)
{
	switch (session->state) {
	case SESSION_OPENED:
		tick_opened(session);
		break;
	case SESSION_AUTHENTICATING:
		tick_authenticating(session);
		break;
	case SESSION_WAITING:
		tick_waiting(session);
		login_tick(session);
		break;
	case SESSION_REPLAY:
	case SESSION_LIVE:
		tick_connected(session);
		break;
	default:
		break;
	}
}

void hub_tick(struct hub *hub)
{
	size_t quota = hub->count <= WALK_WHOLE ? hub->count : hub->count / 4 + 1;
	struct session *session;

	hub->now = clock_ms();
	hub->wall = clock_wall_ms();
	if (!hub->ticking.at)
		hub->ticking.at = hub->sessions;
	while (quota-- && (session = walk_next(&hub->ticking))) {
		__builtin_prefetch(hub->ticking.at); /* there are too many to be in the cache */
		tick_session(session);
	}
	lookups_go_on(hub);
	readings_go_on(hub);
	consumes_tick(hub);
	drain_step(hub);
}

/* -- before a restart -- */

/* How many may still be open now, if they are to end evenly over the time that was given. */
static size_t drain_target(const struct hub *hub)
{
	int64_t elapsed = hub->now - hub->drain_began;

	if (elapsed >= hub->drain_spread)
		return 0;
	return hub->drain_total * (size_t)(hub->drain_spread - elapsed) / (size_t)hub->drain_spread;
}

void drain_step(struct hub *hub)
{
	size_t target;
	struct session *session;
	struct walk walk;

	if (!hub->draining)
		return;
	target = drain_target(hub);
	walk_begin(hub, &walk);
	while (hub->count - hub->closing > target && (session = walk_next(&walk)))
		session_end(session, CLOSE_RESTART);
	walk_end(hub, &walk);
}

void hub_drain(struct hub *hub, int64_t spread_ms)
{
	pthread_mutex_lock(&hub->lock);
	hub->stopping = true;
	pthread_cond_broadcast(&hub->taken);
	pthread_mutex_unlock(&hub->lock);
	hub->now = clock_ms();
	hub->draining = true;
	hub->drain_began = hub->now;
	hub->drain_spread = spread_ms;
	hub->drain_total = hub->count - hub->closing;
	consumes_drain(hub);
	drain_step(hub);
}
