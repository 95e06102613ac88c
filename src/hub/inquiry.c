/* The token of a request that begins no session: who bears it? As for a session (login.c), but asked once: what the database
 * does not answer is told at once, for whoever sent a request can send it again.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "hub/internal.h"

struct inquiry {
	struct lookup *lookup;
	inquiry_fn *answer;
	void *context;
};

void inquiry_forget(struct inquiry *inquiry)
{
	if (!inquiry)
		return;
	lookup_forget(inquiry->lookup);
	free(inquiry);
}

static void looked_up(void *asker, struct lookup_job *job)
{
	struct inquiry inquiry = *(struct inquiry *)asker;
	struct identity identity = {.kind = IDENTITY_USER, .user = job->user.id, .numeric = job->user.numeric};
	enum status status = job->status;

	free(asker);
	if (status == STATUS_OK && identity.user && *identity.user)
		job->user.id = NULL;
	else if (status == STATUS_OK || status == STATUS_UNAUTHORIZED)
		status = STATUS_UNAUTHORIZED;
	else
		status = STATUS_UNAVAILABLE;
	inquiry.answer(inquiry.context, status, status == STATUS_OK ? &identity : NULL);
}

struct inquiry *hub_inquire(struct hub *hub, struct span token, inquiry_fn *answer, void *context)
{
	enum auth_verdict verdict = AUTH_REFUSED;
	struct identity identity = {0};
	struct inquiry *inquiry;

	if (lookup_worth(token))
		verdict = auth_check(hub->config->auth, token, &identity);
	if (verdict != AUTH_LOOKUP) {
		answer(context, verdict == AUTH_GRANTED ? STATUS_OK : STATUS_UNAUTHORIZED, verdict == AUTH_GRANTED ? &identity : NULL);
		return NULL;
	}
	inquiry = mem_zero(1, sizeof(*inquiry));
	inquiry->answer = answer;
	inquiry->context = context;
	inquiry->lookup = lookup_begin(hub, token, false, looked_up, inquiry);
	lookups_go_on(hub);
	return inquiry;
}
