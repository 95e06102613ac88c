/* A session on its way from one network thread to another: a Socket.IO client begins with requests, which one thread takes,
 * and its websocket may have come to another.
 *
 * What is the hub's stays behind: its place in the lists and in the index, deliveries of this turn, jobs under way, whose
 * answers then find no session. What is its own goes along: position, token, subscription, messages that wait. It leaves LIVE
 * at the last event that was sent, and the new hub, which is handed the same events under the same ids, reads on from there:
 * nothing is lost, nothing comes twice. That hub must be as far as the session: one that took its own head for the session's
 * would deliver the events between a second time.
 *
 * On the way neither hub sees it: what they tell all sessions meanwhile (keys that are gone, another journal or a hole in it, a shutdown) is
 * asked after on arrival. Its places among all sessions, in struct hub_shared, it keeps throughout.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "hub/internal.h"
#include "rules/topics.h"

struct passage {
	struct hub_shared *shared;
	char journal[JOURNAL_LEN + 1]; /* whose ids its position is of, once it is connected */
	uint32_t holes;                /* that it need not be told of */
	struct span user; /* its index entry's id, into text; absent: none */
	char text[];
};

static struct passage *passage_create(const struct session *session)
{
	struct span user = session->user ? session->user->id : (struct span){NULL, 0};
	struct passage *passage = mem_zero(1, sizeof(*passage) + user.len + 1);

	passage->shared = session->hub->shared;
	memcpy(passage->journal, session->hub->journal, sizeof(passage->journal));
	passage->holes = session->hub->holes.count;
	if (!user.p)
		return passage;
	memcpy(passage->text, user.p, user.len);
	passage->user = (struct span){passage->text, user.len};
	return passage;
}

/* By state, as session_set_state() counts. */
static void count(struct session *session, size_t by)
{
	struct hub *hub = session->hub;

	hub->waiting += session->state == SESSION_WAITING ? by : 0;
	hub->closing += session->state == SESSION_CLOSING ? by : 0;
}

/* -- departure -- */

struct passage *session_depart(struct session *session)
{
	struct passage *passage;

	assert(session->state != SESSION_CLOSED);
	passage = passage_create(session);
	leave_live_unsent(session);
	user_leave(session);
	login_interrupt(session);
	reading_forget(session);
	/* An event of the client's that is being stored: that it could not be confirmed will not be told. The client sees that
	 * it does not come back. */
	republish_forget(session);
	push_depart(session);
	sessions_unlink(session);
	count(session, (size_t)-1);
	session->next = session->prev = session->dirty_next = NULL;
	session->last_delivery = 0;
	session->hub = NULL;
	return passage;
}

/* -- arrival -- */

/* Why it must not go on here, as far as can be told now. */
static enum close_reason refusal(const struct session *session, struct hub *hub, const struct passage *passage)
{
	if (!auth_vouches(hub->config->auth, session->voucher))
		return CLOSE_KEY_GONE;
	if (hub->draining)
		return CLOSE_RESTART;
	/* This hub has another journal; if it is only that it was not told yet of the session's, it will be in a moment. */
	if (session_connected(session) && hub->journal[0] && strcmp(hub->journal, passage->journal) != 0 &&
		!shared_journal_is(hub->shared, passage->journal))
		return CLOSE_JOURNAL;
	if (session_connected(session) && !strcmp(hub->journal, passage->journal) && passage->holes < hub->holes.count)
		return CLOSE_JOURNAL;
	return CLOSE_NONE;
}

/* The events up to its position are still on their way to this hub, or its journal is. */
static bool ahead(const struct session *session, const struct hub *hub, const struct passage *passage)
{
	if (!session_connected(session))
		return false;
	if (strcmp(hub->journal, passage->journal) != 0)
		return true;
	return session->kind != SESSION_TEST && session->position > tail_head(&hub->tail);
}

static void enter(struct session *session, struct hub *hub, const struct passage *passage)
{
	session->hub = hub;
	sessions_link(session);
	count(session, 1);
	if (!session_usable(session))
		return;
	if (passage->user.p || session->kind == SESSION_OPERATOR)
		user_join(session, passage->user);
	session_spoken_anew(session);
}

static void turn_away(struct session *session, enum close_reason reason)
{
	if (reason == CLOSE_KEY_GONE)
		session_end_saying(session, 401, "Unauthorized", reason);
	else
		session_end(session, reason);
}

bool session_arrive(struct session *session, struct hub *hub, struct passage *passage)
{
	enum close_reason reason = CLOSE_NONE;

	if (session_usable(session)) {
		reason = refusal(session, hub, passage);
		if (reason == CLOSE_NONE && ahead(session, hub, passage))
			return false;
	}
	hub->now = clock_ms();
	enter(session, hub, passage);
	free(passage);
	log_debug("hub", "session %s goes on on another thread", session->id);
	if (reason != CLOSE_NONE)
		turn_away(session, reason);
	else if (session_usable(session))
		login_tick(session); /* a look-up that was under way */
	return true;
}

void session_vanish(struct session *session, struct passage *passage, enum close_reason reason)
{
	if (passage->user.p)
		shared_user_leave(passage->shared, passage->user);
	large_forget(session);
	login_forget(session);
	push_forget(session);
	session->state = SESSION_CLOSED;
	session_forget(session, passage->shared, reason);
	free(passage);
}
