/* Tokens on their way to the token table and back: to a lane, and home through the hub's inbox. Whoever asked may have gone by
 * then. So many are under way at once per hub (max_pending_auth), the others wait in order, re-checks first, and those whose
 * asker goes meanwhile go with it: so no more wait than there are connections, however long the table does not answer.
 */
#include <stddef.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "hub/internal.h"

struct lookup {
	struct lookup_job job; /* first: lookup_job_free() frees the whole */
	struct task task;
	struct hub *hub;
	void (*answered)(void *asker, struct lookup_job *job);
	void *asker; /* NULL: gone meanwhile */
	bool recheck;
	struct lookup *next, **at; /* waiting in the hub's queue; at NULL: under way */
};

/* A NUL would cut it short on its way. */
bool lookup_worth(struct span token)
{
	return token.len && !memchr(token.p, 0, token.len) && utf8_valid(token.p, token.len);
}

static void enqueue(struct hub *hub, struct lookup *lookup)
{
	lookup->at = hub->lookups_last;
	*lookup->at = lookup;
	hub->lookups_last = &lookup->next;
}

/* Ahead of all others. */
static void enqueue_first(struct hub *hub, struct lookup *lookup)
{
	lookup->next = hub->lookups;
	lookup->at = &hub->lookups;
	*(lookup->next ? &lookup->next->at : &hub->lookups_last) = &lookup->next;
	hub->lookups = lookup;
}

static void dequeue(struct lookup *lookup)
{
	*lookup->at = lookup->next;
	*(lookup->next ? &lookup->next->at : &lookup->hub->lookups_last) = lookup->at;
	lookup->next = NULL;
	lookup->at = NULL;
}

/* Its job is the lane's while it is under way. */
void lookup_forget(struct lookup *lookup)
{
	if (!lookup)
		return;
	lookup->asker = NULL;
	if (!lookup->at)
		return;
	dequeue(lookup);
	lookup->hub->rechecks -= lookup->recheck;
	lookup_job_free(&lookup->job);
}

static void lookup_done(struct task *task)
{
	struct lookup *lookup =
		(struct lookup *)(void *)((char *)task - offsetof(struct lookup, task));
	struct hub *hub = lookup->hub;

	hub->lookups_under_way--;
	hub->rechecks -= lookup->recheck;
	if (lookup->asker)
		lookup->answered(lookup->asker, &lookup->job);
	lookup_job_free(&lookup->job);
	lookups_go_on(hub);
}

static void on_lane(struct lookup_job *job)
{
	struct lookup *lookup = (struct lookup *)job;

	inbox_post(&lookup->hub->inbox, &lookup->task);
}

struct lookup *lookup_begin(struct hub *hub, struct span token, bool recheck, void (*answered)(void *asker, struct lookup_job *job),
	void *asker)
{
	struct lookup *lookup = mem_zero(1, sizeof(*lookup));

	lookup->job = (struct lookup_job){
		.done = on_lane, .owner = hub, .token = mem_text_n(token.p, token.len)};
	lookup->task.run = lookup_done;
	lookup->hub = hub;
	lookup->answered = answered;
	lookup->asker = asker;
	lookup->recheck = recheck;
	hub->rechecks += recheck;
	(recheck ? enqueue_first : enqueue)(hub, lookup);
	return lookup;
}

/* Hands over what may be under way; a full queue at the lane means: at the next tick. */
void lookups_go_on(struct hub *hub)
{
	const struct hub_config *config = hub->config;

	while (hub->lookups &&
		(!config->max_pending_auth || hub->lookups_under_way < config->max_pending_auth)) {
		struct lookup *lookup = hub->lookups;

		dequeue(lookup);
		hub->lookups_under_way++;
		if (config->services.lookup(config->services.context, &lookup->job))
			continue;
		hub->lookups_under_way--;
		enqueue_first(hub, lookup);
		return;
	}
}
