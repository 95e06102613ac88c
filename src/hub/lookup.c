/* Tokens on their way to the token table and back: to a lane, and home through the hub's inbox. Whoever asked may have gone by
 * then. So many are under way at once per hub (max_pending_auth), the others wait in order.
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
	struct lookup *next;
};

/* A NUL would cut it short on its way. */
bool lookup_worth(struct span token)
{
	return token.len && !memchr(token.p, 0, token.len) && utf8_valid(token.p, token.len);
}

void lookup_forget(struct lookup *lookup)
{
	if (lookup)
		lookup->asker = NULL;
}

static void lookup_done(struct task *task)
{
	struct lookup *lookup =
		(struct lookup *)(void *)((char *)task - offsetof(struct lookup, task));
	struct hub *hub = lookup->hub;

	hub->lookups_under_way--;
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

struct lookup *lookup_begin(struct hub *hub, struct span token, void (*answered)(void *asker, struct lookup_job *job), void *asker)
{
	struct lookup *lookup = mem_zero(1, sizeof(*lookup));

	lookup->job = (struct lookup_job){
		.done = on_lane, .owner = hub, .token = mem_text_n(token.p, token.len)};
	lookup->task.run = lookup_done;
	lookup->hub = hub;
	lookup->answered = answered;
	lookup->asker = asker;
	*hub->lookups_last = lookup;
	hub->lookups_last = &lookup->next;
	return lookup;
}

static void pop(struct hub *hub)
{
	hub->lookups = hub->lookups->next;
	if (!hub->lookups)
		hub->lookups_last = &hub->lookups;
}

static void put_back(struct hub *hub, struct lookup *lookup)
{
	lookup->next = hub->lookups;
	if (!hub->lookups)
		hub->lookups_last = &lookup->next;
	hub->lookups = lookup;
}

/* Hands over what may be under way; a full queue at the lane means: at the next tick. */
void lookups_go_on(struct hub *hub)
{
	const struct hub_config *config = hub->config;

	while (hub->lookups &&
		(!config->max_pending_auth || hub->lookups_under_way < config->max_pending_auth)) {
		struct lookup *lookup = hub->lookups;

		pop(hub);
		lookup->next = NULL;
		if (!lookup->asker) {
			lookup_job_free(&lookup->job);
			continue;
		}
		hub->lookups_under_way++;
		if (config->services.lookup(config->services.context, &lookup->job))
			continue;
		hub->lookups_under_way--;
		put_back(hub, lookup);
		return;
	}
}
