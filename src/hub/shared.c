/* What all hubs of the process count together: sessions in all, by address, by user; and the newest
 * event id that any of them was handed. One mutex: it is taken when a session comes or goes and
 * once per batch, never per event.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "hub/internal.h"

struct counter {
	uint32_t count;
	char key[];
};

struct hub_shared {
	pthread_mutex_t lock;
	uint32_t sessions;
	struct map addresses, users;
	char journal[JOURNAL_LEN + 1];
	uint64_t head;
};

struct hub_shared *hub_shared_create(void)
{
	struct hub_shared *shared = mem_zero(1, sizeof(*shared));

	pthread_mutex_init(&shared->lock, NULL);
	return shared;
}

static void counters_finish(struct map *counters)
{
	void *counter;

	for (size_t at = 0; (counter = map_next(counters, &at));)
		free(counter);
	map_finish(counters);
}

void hub_shared_destroy(struct hub_shared *shared)
{
	if (!shared)
		return;
	counters_finish(&shared->addresses);
	counters_finish(&shared->users);
	pthread_mutex_destroy(&shared->lock);
	free(shared);
}

/* The key as it is kept until the last count_down(); NULL: there are as many as may be. */
static const char *count_up(struct map *counters, struct span key, uint32_t max)
{
	uint64_t hash = hash_bytes(key.p, key.len);
	struct counter *counter = map_get(counters, hash, key);

	if (max && counter && counter->count >= max)
		return NULL;
	if (!counter) {
		counter = mem_alloc(sizeof(*counter) + key.len + 1);
		counter->count = 0;
		memcpy(counter->key, key.p, key.len);
		counter->key[key.len] = 0;
		map_put(counters, hash, (struct span){counter->key, key.len}, counter);
	}
	counter->count++;
	return counter->key;
}

static void count_down(struct map *counters, struct span key)
{
	uint64_t hash = hash_bytes(key.p, key.len);
	struct counter *counter = map_get(counters, hash, key);

	if (counter && --counter->count == 0) {
		map_remove(counters, hash, key);
		free(counter);
	}
}

const char *shared_enter(struct hub_shared *shared, const struct hub_config *config, const char *address,
	const char **message)
{
	const char *entered = NULL;

	pthread_mutex_lock(&shared->lock);
	if (config->max_sessions && shared->sessions >= config->max_sessions)
		*message = "Too many sessions on this server; try again later.";
	else if (!*address)
		entered = "";
	else if (!(entered = count_up(&shared->addresses, span_of(address), config->max_sessions_per_address)))
		*message = "Too many sessions from this address; close some first.";
	shared->sessions += entered != NULL;
	pthread_mutex_unlock(&shared->lock);
	return entered;
}

void shared_leave(struct hub_shared *shared, const char *address)
{
	pthread_mutex_lock(&shared->lock);
	shared->sessions--;
	if (*address)
		count_down(&shared->addresses, span_of(address));
	pthread_mutex_unlock(&shared->lock);
}

bool shared_user_enter(struct hub_shared *shared, uint32_t max, struct span user)
{
	bool entered;

	pthread_mutex_lock(&shared->lock);
	entered = count_up(&shared->users, user, max) != NULL;
	pthread_mutex_unlock(&shared->lock);
	return entered;
}

void shared_user_leave(struct hub_shared *shared, struct span user)
{
	pthread_mutex_lock(&shared->lock);
	count_down(&shared->users, user);
	pthread_mutex_unlock(&shared->lock);
}

void shared_raise_head(struct hub_shared *shared, const char *journal, uint64_t id)
{
	pthread_mutex_lock(&shared->lock);
	if (strcmp(shared->journal, journal) != 0) {
		memcpy(shared->journal, journal, sizeof(shared->journal));
		shared->head = id;
	} else if (id > shared->head) {
		shared->head = id;
	}
	pthread_mutex_unlock(&shared->lock);
}

bool shared_journal_is(struct hub_shared *shared, const char *journal)
{
	bool is;

	pthread_mutex_lock(&shared->lock);
	is = strcmp(shared->journal, journal) == 0;
	pthread_mutex_unlock(&shared->lock);
	return is;
}

uint64_t shared_head(struct hub_shared *shared, const char *journal)
{
	uint64_t head;

	pthread_mutex_lock(&shared->lock);
	head = strcmp(shared->journal, journal) == 0 ? shared->head : 0;
	pthread_mutex_unlock(&shared->lock);
	return head;
}
