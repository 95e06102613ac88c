/* After a reload of keys: ends the sessions whose key, or operator's token, is no longer configured.
 *
 * Each hub walks over its sessions from the inbox, a bounded part of them in each turn: ten thousand
 * that end at once would keep the thread from everybody else. Those who come meanwhile were let in
 * by the new keys, because keys are replaced before the hubs are told. A second reload makes the walk
 * begin anew, and what the first had ended by then is its number.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "hub/internal.h"

#define LOOK_AT_ONCE 4096 /* sessions of one turn */
#define END_AT_ONCE 256   /* of them, ended: some 10 us each */

/* What the hubs count together. */
struct outcome {
	atomic_size_t hubs, ended;
};

struct withdrawal {
	struct task task;
	struct hub *hub;
	struct outcome *outcome;
	bool begun;
};

/* The last hub tells. */
static void finish(struct withdrawal *withdrawal)
{
	struct outcome *outcome = withdrawal->outcome;
	size_t ended;

	free(withdrawal);
	if (atomic_fetch_sub(&outcome->hubs, 1) > 1)
		return;
	ended = atomic_load(&outcome->ended);
	log_info("hub", "%zu session%s ended whose key or token is no longer configured", ended,
		ended == 1 ? "" : "s");
	free(outcome);
}

/* Returns false when nobody is left to look at. */
static bool end_some(struct hub *hub, struct outcome *outcome)
{
	size_t ended = 0;

	for (size_t looked = 0; looked < LOOK_AT_ONCE && ended < END_AT_ONCE; looked++) {
		struct session *session = walk_next(&hub->withdrawing);

		if (!session)
			break;
		if (!session_usable(session) || auth_vouches(hub->config->auth, session->voucher))
			continue;
		session_end_saying(session, 401, "Unauthorized", CLOSE_KEY_GONE);
		ended++;
	}
	atomic_fetch_add(&outcome->ended, ended);
	return hub->withdrawing.at;
}

static void withdraw_next(struct task *task)
{
	struct withdrawal *withdrawal = (struct withdrawal *)task;
	struct hub *hub = withdrawal->hub;

	if (!withdrawal->begun) {
		withdrawal->begun = true;
		hub->withdrawal = withdrawal;
		hub->withdrawing.at = hub->sessions;
	}
	if (hub->withdrawal != withdrawal) {
		finish(withdrawal);
	} else if (end_some(hub, withdrawal->outcome)) {
		inbox_post(&hub->inbox, task);
	} else {
		hub->withdrawal = NULL;
		finish(withdrawal);
	}
}

void hubs_withdraw(struct hub *const *hubs, size_t count)
{
	struct outcome *outcome = mem_zero(1, sizeof(*outcome));

	atomic_init(&outcome->hubs, count);
	atomic_init(&outcome->ended, 0);
	for (size_t i = 0; i < count; i++) {
		struct withdrawal *withdrawal = mem_zero(1, sizeof(*withdrawal));

		withdrawal->task.run = withdraw_next;
		withdrawal->hub = hubs[i];
		withdrawal->outcome = outcome;
		inbox_post(&hubs[i]->inbox, &withdrawal->task);
	}
}
