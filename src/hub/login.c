/* From a token to an admitted session. What can be decided without the database is decided at once;
 * a table token goes to a look-up lane and comes back through the inbox, possibly after its session
 * has gone, or has moved to another thread, which asks again. Three occasions share the way:
 *
 * - LOGIN: the first token; while the database is away it is tried again until live_timeout, then
 *   503.
 *
 * - RENEW: another `auth` message; must name the same user, else the session ends. One at a time: a
 *   verdict that is under way must come, or a session would put its end off with each message. Until
 *   there is one, the token of before vouches and is re-checked as ever: a token that is never
 *   answered, of a kind that the database refuses to compare, would spare it that for ever.
 *
 * - RECHECK: the table token again, every auth_recheck: a token that is gone ends the session, a
 *   database that is away does not.
 *
 * The token of a look-up is kept, for the re-checks, and wiped with the session. Look-ups under way
 * are bounded per hub; the rest wait in order (lookup.c).
 */
#include <stdlib.h>

#include "base/mem.h"
#include "hub/internal.h"

enum occasion { LOGIN, RENEW, RECHECK };

/* session->auth */
struct credentials {
	struct session *session;
	char *token;
	struct lookup *pending;
	int64_t due; /* ms, monotonic: next look-up */
	enum occasion occasion;
	bool unanswered;            /* a look-up of it failed */
	struct credentials *former; /* of a RENEW: what vouches until it is answered; NULL: nothing that is re-checked */
};

static void abandon(struct credentials *credentials)
{
	lookup_forget(credentials->pending);
	credentials->pending = NULL;
}

/* Whoever goes on with it, another hub perhaps, asks again. */
void login_interrupt(struct session *session)
{
	struct credentials *credentials = session->auth;

	for (; credentials; credentials = credentials->former) {
		if (!credentials->pending)
			continue;
		abandon(credentials);
		credentials->due = 0;
	}
}

static void credentials_free(struct credentials *credentials)
{
	if (!credentials)
		return;
	credentials_free(credentials->former);
	abandon(credentials);
	mem_wipe_free(credentials->token);
	free(credentials);
}

void login_forget(struct session *session)
{
	credentials_free(session->auth);
	session->auth = NULL;
}

/* What the session stands on while another token is looked up. A re-check that is under way gives way to the first try alone. */
static struct credentials *take_former(struct session *session)
{
	struct credentials *credentials = session->auth, *former = credentials;

	session->auth = NULL;
	if (credentials && credentials->occasion == RENEW) {
		former = credentials->former;
		credentials->former = NULL;
		credentials_free(credentials);
	} else if (credentials && credentials->pending) {
		abandon(credentials);
		credentials->due = 0;
	}
	return former;
}

static void unauthorized(struct session *session, enum close_reason reason)
{
	session_end_saying(session, 401, "Unauthorized", reason);
}

static bool same_identity(const struct session *session, const struct identity *identity)
{
	if (session->kind == SESSION_USER)
		return identity->kind == IDENTITY_USER && session->user &&
		       span_equal(session->user->id, span_of(identity->user));
	return (session->kind == SESSION_OPERATOR) == (identity->kind == IDENTITY_OPERATOR) &&
	       (session->kind == SESSION_TEST) == (identity->kind == IDENTITY_TEST);
}

/* Takes identity->user. */
static void accept_identity(
	struct session *session, struct identity *identity, enum occasion occasion)
{
	if (occasion == LOGIN) {
		session_admit(session, identity);
		return;
	}
	if (same_identity(session, identity)) {
		session->expires = identity->expires;
		session->voucher = identity->voucher;
	} else {
		unauthorized(session, occasion == RENEW ? CLOSE_UNAUTHORIZED : CLOSE_REVOKED);
	}
	free(identity->user);
}

/* -- look-ups -- */

static int64_t retry_after(const struct session *session, enum occasion occasion)
{
	int64_t recheck = session->hub->config->auth_recheck_ms;

	if (occasion != RECHECK)
		return RETRY_MS;
	return recheck < RECHECK_RETRY_MS ? recheck : RECHECK_RETRY_MS;
}

static void looked_up(void *asker, struct lookup_job *job)
{
	struct credentials *credentials = asker;
	struct session *session = credentials->session;
	enum occasion occasion = credentials->occasion;
	int64_t recheck = session->hub->config->auth_recheck_ms;
	struct identity identity = {
		.kind = IDENTITY_USER, .user = job->user.id, .numeric = job->user.numeric};

	credentials->pending = NULL;
	if (!session_usable(session))
		return;
	if (job->status == STATUS_OK && identity.user && *identity.user) {
		job->user.id = NULL;
		credentials_free(credentials->former);
		credentials->former = NULL;
		credentials->occasion = RECHECK;
		credentials->due = recheck > 0 ? session->hub->now + recheck : INT64_MAX;
		accept_identity(session, &identity, occasion);
	} else if (job->status == STATUS_OK || job->status == STATUS_UNAUTHORIZED) {
		unauthorized(session, occasion == RECHECK ? CLOSE_REVOKED : CLOSE_UNAUTHORIZED);
	} else {
		credentials->due = session->hub->now + retry_after(session, occasion);
		credentials->unanswered = true;
		login_tick(session);
	}
}

/* Re-checks have half of the look-ups under way to themselves. More would crowd out those who wait at the door; and if it were
 * they who wait, whoever keeps many at the door, with tokens that are nobody's, would keep tokens alive that were withdrawn. */
static bool rechecks_crowded(const struct hub *hub)
{
	uint32_t max = hub->config->max_pending_auth;

	return max && hub->rechecks >= (max + 1) / 2;
}

/* Another token, of one who is in, stands where its re-check would stand, as long as there is place. */
static void look_up(struct credentials *credentials)
{
	struct hub *hub = credentials->session->hub;
	bool recheck = credentials->occasion == RECHECK || (credentials->occasion == RENEW && !rechecks_crowded(hub));

	credentials->pending = lookup_begin(hub, span_of(credentials->token), recheck, looked_up, credentials);
	lookups_go_on(hub);
}

/* -- tokens -- */

static void begin_look_up(struct session *session, struct span token, enum occasion occasion)
{
	const struct credentials *before = session->auth;
	bool unanswered = before && before->occasion == RENEW && before->unanswered;
	struct credentials *former = take_former(session), *credentials = mem_alloc(sizeof(*credentials));

	*credentials = (struct credentials){
		.session = session, .token = mem_text_n(token.p, token.len), .occasion = occasion, .unanswered = unanswered, .former = former};
	session->auth = credentials;
	look_up(credentials);
}

void login(struct session *session, struct span token)
{
	enum occasion occasion = session->state == SESSION_OPENED ? LOGIN : RENEW;
	enum auth_verdict verdict = AUTH_REFUSED;
	struct identity identity = {0};

	if (lookup_worth(token))
		verdict = auth_check(session->hub->config->auth, token, &identity);
	if (occasion == LOGIN) {
		session->deadline = session->hub->now + session->hub->config->live_timeout_ms;
		session_set_state(session, SESSION_AUTHENTICATING);
	}
	if (verdict == AUTH_GRANTED) {
		login_forget(session); /* a JWT needs no re-checks, whatever it renews */
		accept_identity(session, &identity, occasion);
	} else if (verdict == AUTH_LOOKUP) {
		begin_look_up(session, token, occasion);
	} else {
		unauthorized(session, CLOSE_UNAUTHORIZED);
	}
}

bool login_renewing(const struct session *session)
{
	const struct credentials *credentials = session->auth;

	return credentials && credentials->pending && credentials->occasion == RENEW;
}

static void tick(struct credentials *credentials)
{
	const struct hub *hub = credentials->session->hub;

	if (credentials->pending || hub->now < credentials->due)
		return;
	if (credentials->occasion != RECHECK || !rechecks_crowded(hub))
		look_up(credentials);
}

void login_tick(struct session *session)
{
	struct credentials *credentials = session->auth;

	if (!credentials)
		return;
	if (credentials->former && credentials->unanswered)
		tick(credentials->former);
	tick(credentials);
}
