/* The life of one session: opened by a transport, admitted once it is known who it is, connected
 * once capture is live and it is decided whether its resume point can be honoured, ended for
 * exactly one reason.
 *
 * Ending has two halves. session_end() takes the session out of every index, so that nothing is
 * routed to it any more, and asks the transport to close; session_disconnected(), which the
 * transport calls when the connection has gone, forgets the rest. Between the two it is CLOSING and
 * only stays in the list.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "hub/internal.h"
#include "rules/topics.h"

void session_set_state(struct session *session, enum session_state state)
{
	struct hub *hub = session->hub;

	hub->waiting -= session->state == SESSION_WAITING;
	hub->waiting += state == SESSION_WAITING;
	hub->closing -= session->state == SESSION_CLOSING;
	hub->closing += state == SESSION_CLOSING;
	session->state = state;
}

/* -- opening -- */

static bool refuse(struct session *session, enum close_reason why, enum close_reason *reason,
	const char **message)
{
	*reason = why;
	*message = session->hub->refusal.text;
	subscription_destroy(session->subscription);
	session->subscription = NULL;
	session->hub = NULL;
	return false;
}

static bool take_request(struct session *session, const struct session_request *request)
{
	const struct hub_config *config = session->hub->config;
	struct err *err = &session->hub->refusal;

	if (request->after.len) {
		session->has_after = 1;
		if (!wire_parse_position(request->after, session->after_journal, &session->after)) {
			err_set(err, STATUS_INVALID,
				"after is not a position; expected JOURNAL:ID or an id.");
			return false;
		}
	}
	if (!request->topic_count && !request->type_count)
		return true;
	return subscription_draft(request->topics, request->topic_count, request->types,
		       request->type_count, config->max_patterns, config->max_pattern_bytes,
		       &session->subscription, err) == STATUS_OK;
}

static bool enter(struct session *session, const char *address)
{
	const char *message;

	session->address = shared_enter(session->hub->shared, session->hub->config, address ? address : "", &message);
	if (session->address)
		return true;
	err_set(&session->hub->refusal, STATUS_TOO_MANY, "%s", message);
	return false;
}

bool session_open(struct session *session, struct hub *hub, const struct transport_ops *ops,
	const struct session_request *request, enum close_reason *reason, const char **message)
{
	hub->now = clock_ms();
	session->hub = hub;
	session->ops = ops;
	if (hub->draining) {
		err_set(&hub->refusal, STATUS_STOPPED, "The server is shutting down.");
		return refuse(session, CLOSE_RESTART, reason, message);
	}
	/* A stream cannot send its token later. */
	if (!request->token.p && ops->encoding == ENCODING_SSE) {
		err_set(&hub->refusal, STATUS_UNAUTHORIZED, "Unauthorized");
		return refuse(session, CLOSE_UNAUTHORIZED, reason, message);
	}
	if (!take_request(session, request))
		return refuse(session, CLOSE_BAD_MESSAGE, reason, message);
	if (!enter(session, request->address))
		return refuse(session, CLOSE_TOO_MANY, reason, message);
	random_word(session->id, SESSION_ID_LEN);
	session->deadline = hub->now + hub->config->auth_timeout_ms;
	session->quiet_since = session->messages_since = hub->now;
	session_set_state(session, SESSION_OPENED);
	sessions_link(session);
	log_debug("hub", "session %s opened: %s from %s", session->id, ops->name, session->address);
	if (request->token.p)
		login(session, request->token);
	return true;
}

/* -- admitted: it is known who it is -- */

void session_admit(struct session *session, struct identity *identity)
{
	struct hub *hub = session->hub;
	struct span user = identity->user ? span_of(identity->user) : (struct span){NULL, 0};

	session->expires = identity->expires;
	session->voucher = identity->voucher;
	if (identity->kind == IDENTITY_OPERATOR) {
		session->kind = SESSION_OPERATOR;
		user_join(session, (struct span){NULL, 0});
	} else if (identity->kind == IDENTITY_TEST) {
		session->kind = SESSION_TEST;
	} else if (shared_user_enter(hub->shared, hub->config->max_sessions_per_user, user)) {
		session->kind = SESSION_USER;
		session->requested |= identity->numeric ? SESSION_NUMERIC : 0;
		user_join(session, user);
	} else {
		session_end_saying(session, 429,
			"Too many sessions of this user; close some first.", CLOSE_TOO_MANY);
	}
	free(identity->user);
	identity->user = NULL;
	if (!session_usable(session) || !subscribe_admitted(session))
		return;
	session->deadline = hub->now + hub->config->live_timeout_ms;
	session_set_state(session, SESSION_WAITING);
	session_connect(session);
}

/* -- connecting: where does it go on -- */

enum resume {
	RESUME_NONE,    /* nothing was asked for */
	RESUME_TAIL,    /* the tail reaches back to it */
	RESUME_JOURNAL, /* perhaps the journal does */
	RESUME_AHEAD,   /* another thread was there already, this one will be in a moment */
	RESUME_LOST     /* cannot be honoured */
};

static enum resume resume_from(const struct session *session)
{
	const struct hub *hub = session->hub;
	uint64_t head = tail_head(&hub->tail);

	if (!session->has_after || session->kind == SESSION_TEST)
		return RESUME_NONE;
	if (session->after_journal[0] && strcmp(session->after_journal, hub->journal) != 0)
		return RESUME_LOST;
	if (session->after < hub->holes.below)
		return RESUME_LOST;
	if (session->after > head)
		return session->after <= shared_head(hub->shared, hub->journal) ? RESUME_AHEAD
										: RESUME_LOST;
	if (session->after == head || tail_event(&hub->tail, session->after + 1))
		return RESUME_TAIL;
	return RESUME_JOURNAL;
}

static void greet(struct session *session, bool recovered)
{
	struct hub *hub = session->hub;

	leave_live(session, recovered ? session->after : tail_head(&hub->tail), 0);
	session->requested |= SESSION_CONNECTED;
	session->deadline = hub->now + hub->config->heartbeat_ms;
	session->sample_at = hub->now;
	say_connected(session, recovered);
	if (session_usable(session) && !session->behind)
		say_held(session);
}

static void greet_and_go_on(struct session *session, bool recovered)
{
	greet(session, recovered);
	if (!session_usable(session) || session->behind)
		return;
	replay(session);
	if (session->kind == SESSION_TEST && session_usable(session))
		sample_send(session);
}

void session_connect(struct session *session)
{
	enum resume resume;

	if (!session->hub->live)
		return;
	resume = resume_from(session);
	if (resume == RESUME_JOURNAL)
		reading_start(session);
	else if (resume == RESUME_AHEAD && session->hub->now < session->deadline)
		return;
	else
		greet_and_go_on(session, resume == RESUME_TAIL);
}

void session_resume(struct session *session, const struct event_batch *page)
{
	if (!session->hub->live)
		return;
	if (!page) {
		greet_and_go_on(session, false);
		return;
	}
	greet(session, true);
	if (session_usable(session) && !session->behind)
		replay_page(session, page);
}

/* -- sending -- */

/* Out of everything that could still find it; its token is wiped here. */
static void withdraw(struct session *session)
{
	if (session->user)
		shared_user_leave(session->hub->shared, session->user->id);
	subscription_forget(session);
	user_leave(session);
	large_forget(session);
	login_forget(session);
	reading_forget(session);
	republish_forget(session);
	push_forget(session);
}

static void now_behind(struct session *session)
{
	session->behind = 1;
	session->progress = session->ops->progress(session);
	session->progress_at = session->hub->now;
}

static bool put(struct session *session, enum send_result result)
{
	if (!session_usable(session))
		return false;
	session->quiet_since = session->hub->now;
	if (result == SEND_DEAD) {
		session->close_reason = CLOSE_CLIENT;
		withdraw(session);
		session_set_state(session, SESSION_CLOSING);
		return false;
	}
	if (result == SEND_BEHIND)
		now_behind(session);
	return true;
}

void session_yield(struct session *session)
{
	now_behind(session);
	session->ops->want_writable(session);
}

bool session_put(struct session *session, const char *bytes, size_t len)
{
	return put(session, session->ops->send(session, bytes, len));
}

bool session_put_event(struct session *session, struct event *event, const struct frame *frame)
{
	if (!session->ops->send_event)
		return session_put(session, frame->bytes, frame->len);
	return put(session, session->ops->send_event(session, event, frame));
}

bool session_tell(struct session *session, const char *bytes, size_t len)
{
	if (!session_put(session, bytes, len))
		return false;
	if (session->behind)
		leave_live_unsent(session);
	return true;
}

void session_pause(struct session *session)
{
	if (!session_usable(session) || session->behind)
		return;
	session->hub->now = clock_ms();
	now_behind(session);
	leave_live_unsent(session);
}

void session_spoken_anew(struct session *session)
{
	struct hub *hub = session->hub;

	hub->now = clock_ms();
	session->progress_at = hub->now;
	session->pinged = 0;
	if (session_connected(session))
		session->deadline = hub->now + hub->config->heartbeat_ms;
}

void session_speak_through(struct session *session, const struct transport_ops *ops)
{
	/* Half a message was sent through the old ones: nobody could read the other half. Who fetches gets them whole. */
	assert(!session->rest);
	session->ops = ops;
	if (session->hub && session_usable(session))
		session_spoken_anew(session);
}

void session_writable(struct session *session)
{
	if (!session_usable(session))
		return;
	session->hub->now = clock_ms();
	session->behind = 0;
	if (session->pinged) /* the answer waited behind what is taken now */
		session->deadline = session->hub->now + session->hub->config->heartbeat_timeout_ms;
	if (!large_go_on(session) || session->behind)
		return;
	if (session->held && session_connected(session) && (!say_held(session) || session->behind))
		return;
	if (session->push) {
		push_go_on(session);
		if (!session_usable(session) || session->behind)
			return;
	}
	if (session->reading)
		return;
	if (session->state == SESSION_REPLAY)
		replay(session);
	else if (session->state == SESSION_WAITING)
		session_connect(session);
}

/* -- ending -- */

void session_end(struct session *session, enum close_reason reason)
{
	if (!session_usable(session))
		return;
	session->close_reason = (uint8_t)reason;
	withdraw(session);
	session_set_state(session, SESSION_CLOSING);
	session->ops->close(session, reason);
}

const char *session_unsaid(const struct session *session)
{
	return session->hub->unsaid;
}

void session_end_saying(
	struct session *session, int code, const char *message, enum close_reason reason)
{
	struct hub *hub = session->hub;
	const struct transport_ops *ops = session->ops;
	bool silent = (session->behind && !ops->fetches) ||
		      (ops->encoding == ENCODING_SSE && !session_connected(session)) ||
		      (reason == CLOSE_BAD_MESSAGE && ops->greeted && !ops->greeted(session));

	if (!silent && session_usable(session))
		say_error_now(session, code, message);
	hub->unsaid = silent ? message : NULL;
	session_end(session, reason);
	hub->unsaid = NULL;
}

void session_forget(struct session *session, struct hub_shared *shared, enum close_reason reason)
{
	const char *word;

	if (session->close_reason == CLOSE_NONE)
		session->close_reason = (uint8_t)reason;
	word = close_reason_word((enum close_reason)session->close_reason);
	log_fields(LOG_INFO, "hub", (const struct log_field[]){{"session", session->id}, {"reason", word}, {"transport", session->ops->name},
		{"address", session->address}, {NULL, NULL}},
		"session %s ended: %s (%s from %s)", session->id, word, session->ops->name, session->address);
	held_free(session);
	subscription_destroy(session->subscription);
	session->subscription = NULL;
	shared_leave(shared, session->address);
}

void session_disconnected(struct session *session, enum close_reason reason)
{
	if (session->state == SESSION_CLOSED)
		return;
	withdraw(session);
	sessions_unlink(session);
	session_set_state(session, SESSION_CLOSED);
	session_forget(session, session->hub->shared, reason);
}

void session_heard(struct session *session)
{
	if (!session_usable(session) || !session->pinged)
		return;
	session->hub->now = clock_ms();
	session->pinged = 0;
	session->deadline = session->hub->now + session->hub->config->heartbeat_ms;
}
