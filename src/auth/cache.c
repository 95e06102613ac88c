/* A map from digest to claims, and a list in order of use; one mutex around both, held for a copy
 * of a user id. */
#include "auth/cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"

struct entry {
	struct entry *newer, *older;
	struct claims claims;
	char digest[DIGEST_LEN];
};

struct cache {
	pthread_mutex_t lock;
	struct map map;
	struct entry ends; /* a ring: ends.older is the newest, ends.newer the oldest */
	size_t max;
};

struct cache *cache_create(size_t max)
{
	struct cache *cache = mem_zero(1, sizeof(*cache));

	pthread_mutex_init(&cache->lock, NULL);
	cache->ends.newer = cache->ends.older = &cache->ends;
	cache->max = max;
	return cache;
}

static struct span key_of(const void *digest)
{
	return (struct span){digest, DIGEST_LEN};
}

static void unlink_entry(struct entry *entry)
{
	entry->newer->older = entry->older;
	entry->older->newer = entry->newer;
}

static void link_newest(struct cache *cache, struct entry *entry)
{
	entry->newer = &cache->ends;
	entry->older = cache->ends.older;
	entry->older->newer = entry;
	cache->ends.older = entry;
}

static struct entry *find(const struct cache *cache, const void *digest)
{
	return map_get(&cache->map, hash_bytes(digest, DIGEST_LEN), key_of(digest));
}

static void forget(struct cache *cache, struct entry *entry)
{
	if (!entry)
		return;
	map_remove(&cache->map, hash_bytes(entry->digest, DIGEST_LEN), key_of(entry->digest));
	unlink_entry(entry);
	claims_finish(&entry->claims);
	free(entry);
}

void cache_destroy(struct cache *cache)
{
	if (!cache)
		return;
	while (cache->ends.newer != &cache->ends)
		forget(cache, cache->ends.newer);
	map_finish(&cache->map);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

static struct claims copy(const struct claims *claims)
{
	struct claims other = *claims;

	other.user = mem_text(claims->user);
	return other;
}

void cache_put(
	struct cache *cache, const unsigned char digest[DIGEST_LEN], const struct claims *claims)
{
	struct entry *entry = mem_zero(1, sizeof(*entry));

	entry->claims = copy(claims);
	memcpy(entry->digest, digest, DIGEST_LEN);
	pthread_mutex_lock(&cache->lock);
	forget(cache, find(cache, digest)); /* two threads verified the same token */
	if (cache->map.count >= cache->max)
		forget(cache, cache->ends.newer);
	map_put(&cache->map, hash_bytes(entry->digest, DIGEST_LEN), key_of(entry->digest), entry);
	link_newest(cache, entry);
	pthread_mutex_unlock(&cache->lock);
}

bool cache_get(struct cache *cache, const unsigned char digest[DIGEST_LEN], struct claims *claims)
{
	struct entry *entry;

	pthread_mutex_lock(&cache->lock);
	entry = find(cache, digest);
	if (entry) {
		unlink_entry(entry);
		link_newest(cache, entry);
		*claims = copy(&entry->claims);
	}
	pthread_mutex_unlock(&cache->lock);
	return entry != NULL;
}

void cache_drop(struct cache *cache, const unsigned char digest[DIGEST_LEN])
{
	pthread_mutex_lock(&cache->lock);
	forget(cache, find(cache, digest));
	pthread_mutex_unlock(&cache->lock);
}

size_t cache_count(struct cache *cache)
{
	size_t count;

	pthread_mutex_lock(&cache->lock);
	count = cache->map.count;
	pthread_mutex_unlock(&cache->lock);
	return count;
}
