/* A map behind a lock. A session is taken out by its home thread before it is freed, so that what registry_at_home() returns
 * stays valid for the rest of that thread's call.
 *
 * A handshake by polling costs its client a request and no connection. So that nobody shuts the others out with them, those
 * who have not got further stand in a list, the oldest first, from which one goes when there is no place.
 */
#include "transport/socketio/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "transport/socketio/engineio.h"

#define COMING_AND_GOING 10

struct address {
	size_t count;
	char text[46];
};

struct engineio_registry {
	pthread_mutex_t lock;
	struct map sessions, addresses; /* addresses: only where their number is limited */
	size_t max, max_of_address;     /* max_of_address: 0: no limit */
	struct engineio *first, *last;  /* strangers, by stranger_next */
	size_t leaving;                 /* evicted, and not removed yet */
};

struct engineio_registry *registry_create(size_t max, size_t max_per_address)
{
	struct engineio_registry *registry = mem_zero(1, sizeof(*registry));

	pthread_mutex_init(&registry->lock, NULL);
	registry->max = max;
	registry->max_of_address = max_per_address ? 2 * max_per_address + COMING_AND_GOING : 0;
	return registry;
}

void registry_destroy(struct engineio_registry *registry)
{
	if (!registry)
		return;
	map_finish(&registry->sessions);
	map_finish(&registry->addresses);
	pthread_mutex_destroy(&registry->lock);
	free(registry);
}

static struct engineio *find(const struct engineio_registry *registry, struct span sid)
{
	return map_get(&registry->sessions, hash_bytes(sid.p, sid.len), sid);
}

static struct address *address_of(const struct engineio_registry *registry, struct span text)
{
	return map_get(&registry->addresses, hash_bytes(text.p, text.len), text);
}

static bool address_enter(struct engineio_registry *registry, const struct engineio *engine)
{
	struct span text = span_of(engine->address);
	struct address *address;

	if (!registry->max_of_address || !text.len)
		return true;
	address = address_of(registry, text);
	if (!address) {
		address = mem_zero(1, sizeof(*address));
		memcpy(address->text, text.p, text.len);
		map_put(&registry->addresses, hash_bytes(text.p, text.len), (struct span){address->text, text.len}, address);
	}
	if (address->count >= registry->max_of_address)
		return false;
	address->count++;
	return true;
}

static void address_leave(struct engineio_registry *registry, const struct engineio *engine)
{
	struct span text = span_of(engine->address);
	struct address *address = text.len ? address_of(registry, text) : NULL;

	if (!address || --address->count)
		return;
	map_remove(&registry->addresses, hash_bytes(text.p, text.len), text);
	free(address);
}

/* In the list or not, by what is known of it. */
static void list(struct engineio_registry *registry, struct engineio *engine, bool stranger)
{
	if (stranger == engine->stranger)
		return;
	engine->stranger = stranger;
	if (stranger) {
		engine->stranger_next = NULL;
		engine->stranger_prev = registry->last;
		*(registry->last ? &registry->last->stranger_next : &registry->first) = engine;
		registry->last = engine;
		return;
	}
	*(engine->stranger_prev ? &engine->stranger_prev->stranger_next : &registry->first) = engine->stranger_next;
	*(engine->stranger_next ? &engine->stranger_next->stranger_prev : &registry->last) = engine->stranger_prev;
}

static void list_anew(struct engineio_registry *registry, struct engineio *engine)
{
	list(registry, engine, !engine->speaks && !engine->claimed && !engine->evicted);
}

static bool make_room(struct engineio_registry *registry, char *evicted)
{
	struct engineio *oldest = registry->first;

	if (registry->sessions.count - registry->leaving < registry->max)
		return true;
	if (!oldest)
		return false;
	oldest->evicted = true;
	list_anew(registry, oldest);
	registry->leaving++;
	memcpy(evicted, oldest->sid, sizeof(oldest->sid));
	return true;
}

bool registry_add(struct engineio_registry *registry, struct engineio *engine, char *evicted)
{
	struct span sid = {engine->sid, SID_LEN};
	bool room;

	evicted[0] = 0;
	pthread_mutex_lock(&registry->lock);
	room = address_enter(registry, engine);
	if (room && !make_room(registry, evicted)) {
		address_leave(registry, engine);
		room = false;
	}
	if (room) {
		map_put(&registry->sessions, hash_bytes(sid.p, sid.len), sid, engine);
		list_anew(registry, engine);
	}
	pthread_mutex_unlock(&registry->lock);
	return room;
}

void registry_speaks(struct engineio_registry *registry, struct engineio *engine, bool speaks)
{
	pthread_mutex_lock(&registry->lock);
	engine->speaks = speaks;
	if (find(registry, (struct span){engine->sid, SID_LEN}) == engine)
		list_anew(registry, engine);
	pthread_mutex_unlock(&registry->lock);
}

void registry_remove(struct engineio_registry *registry, struct engineio *engine)
{
	struct span sid = {engine->sid, SID_LEN};

	pthread_mutex_lock(&registry->lock);
	if (find(registry, sid) == engine) {
		map_remove(&registry->sessions, hash_bytes(sid.p, sid.len), sid);
		address_leave(registry, engine);
		list(registry, engine, false);
		registry->leaving -= engine->evicted;
	}
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

bool registry_knows(struct engineio_registry *registry, struct span sid)
{
	bool knows;

	pthread_mutex_lock(&registry->lock);
	knows = find(registry, sid);
	pthread_mutex_unlock(&registry->lock);
	return knows;
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
	claimed = engine && !engine->claimed && !engine->evicted;
	if (claimed) {
		engine->claimed = true;
		list_anew(registry, engine);
	}
	pthread_mutex_unlock(&registry->lock);
	return claimed;
}

void registry_unclaim(struct engineio_registry *registry, struct span sid)
{
	struct engineio *engine;

	pthread_mutex_lock(&registry->lock);
	engine = find(registry, sid);
	if (engine) {
		engine->claimed = false;
		list_anew(registry, engine);
	}
	pthread_mutex_unlock(&registry->lock);
}
