/* What the patterns of one user may take of this thread, in how many sessions and how often ever they are sent: each subscription
 * has its bound (rules/topics.c), and a hundred sessions that send a new one twenty times a second would have nearly all of the
 * thread's time with it. So what it took is owed, and paid off with time; who owes too much is refused until it is less.
 *
 * A debt outlives the sessions, or reconnecting would be the way round it. It is kept by the hash of the user (keyed: nobody can
 * choose whose place is theirs), in a table that never grows: two users who share a place share a debt. Plain patterns cost some 10 us
 * each, so that hundreds of displays may sign in as one user at once. Operators owe nothing.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "hub/internal.h"

#define OWED_US 250000  /* from here on it is refused */
#define PAID_US_A_MS 50 /* a twentieth of the thread */

static struct allowance *of(struct session *session)
{
	uint64_t hash;

	if (session->kind == SESSION_OPERATOR)
		return NULL;
	hash = session->user ? session->user->hash : hash_bytes(session->address, strlen(session->address));
	return &session->hub->allowances[hash % ALLOWANCES];
}

static void pay(struct allowance *allowance, int64_t now)
{
	int64_t paid = (now - allowance->at) * PAID_US_A_MS;

	allowance->owed_us -= paid < allowance->owed_us ? paid : allowance->owed_us;
	allowance->at = now;
}

bool allowance_left(struct session *session, struct err *err)
{
	struct allowance *allowance = of(session);
	int64_t seconds;

	if (!allowance)
		return true;
	pay(allowance, session->hub->now);
	if (allowance->owed_us < OWED_US)
		return true;
	seconds = (allowance->owed_us - OWED_US) / (PAID_US_A_MS * 1000) + 1;
	err_set(err, STATUS_TOO_MANY, "This user's topic patterns have taken too much time lately; subscribe again in %lld s, with fewer "
		"repeats in the patterns.", (long long)seconds);
	return false;
}

void allowance_charge(struct session *session, int64_t us)
{
	struct allowance *allowance = of(session);

	if (!allowance || us <= 0)
		return;
	pay(allowance, session->hub->now);
	allowance->owed_us += us;
}
