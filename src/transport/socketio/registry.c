/* A map behind a lock. A session is taken out by its home thread before it is freed, so that what registry_at_home() returns
 * stays valid for the rest of that thread's call.
 */
#include "transport/socketio/registry.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "transport/socketio/engineio.h"

struct engineio_registry {
	pthread_mutex_t lock;
	struct map sessions;
	size_t max;
};

struct engineio_registry *registry_create(size_t max)
{
	struct engineio_registry *registry = mem_zero(1, sizeof(*registry));

	pthread_mutex_init(&registry->lock, NULL);
	registry->max = max;
	return registry;
}

void registry_destroy(struct engineio_registry *registry)
{
	if (!registry)
		return;
	map_finish(&registry->sessions);
	pthread_mutex_destroy(&registry->lock);
	free(registry);
}

static struct engineio *find(const struct engineio_registry *registry, struct span sid)
{
	return map_get(&registry->sessions, hash_bytes(sid.p, sid.len), sid);
}

bool registry_add(struct engineio_registry *registry, struct engineio *engine)
{
	struct span sid = {engine->sid, SID_LEN};
	bool room;

	pthread_mutex_lock(&registry->lock);
	room = registry->sessions.count < registry->max;
	if (room)
		map_put(&registry->sessions, hash_bytes(sid.p, sid.len), sid, engine);
	pthread_mutex_unlock(&registry->lock);
	return room;
}

void registry_remove(struct engineio_registry *registry, struct engineio *engine)
{
	struct span sid = {engine->sid, SID_LEN};

	pthread_mutex_lock(&registry->lock);
	if (find(registry, sid) == engine)
		map_remove(&registry->sessions, hash_bytes(sid.p, sid.len), sid);
	pthread_mutex_unlock(&registry->lock);
}

struct engineio *registry_at_home(struct engineio_registry *registry, struct span sid, const struct thread *thread)
{
	struct engineio *engine;

	pthread_mutex_lock(&registry->lock);
	engine = find(registry, sid);
	if (engine && engine->home != thread)
		engine = NULL;
	pthread_mutex_unlock(&registry->lock);
	return engine;
}

struct thread *registry_home(struct engineio_registry *registry, struct span sid)
{
	const struct engineio *engine;
	struct thread *home;

	pthread_mutex_lock(&registry->lock);
	engine = find(registry, sid);
	home = engine ? engine->home : NULL;
	pthread_mutex_unlock(&registry->lock);
	return home;
}

void registry_move(struct engineio_registry *registry, struct engineio *engine, struct thread *home)
{
	pthread_mutex_lock(&registry->lock);
	engine->home = home;
	pthread_mutex_unlock(&registry->lock);
}

bool registry_claim(struct engineio_registry *registry, struct span sid)
{
	struct engineio *engine;
	bool claimed;

	pthread_mutex_lock(&registry->lock);
	engine = find(registry, sid);
	claimed = engine && !engine->claimed;
	if (claimed)
		engine->claimed = true;
	pthread_mutex_unlock(&registry->lock);
	return claimed;
}

void registry_unclaim(struct engineio_registry *registry, struct span sid)
{
	struct engineio *engine;

	pthread_mutex_lock(&registry->lock);
	engine = find(registry, sid);
	if (engine)
		engine->claimed = false;
	pthread_mutex_unlock(&registry->lock);
}
