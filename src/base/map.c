/* Open addressing with linear probing at most half full; deletion shifts back, so there are no tombstones. */
#include "base/map.h"

#include <stdlib.h>

#include "base/mem.h"

void map_finish(struct map *map)
{
	free(map->slots);
	*map = (struct map){0};
}

static size_t find(const struct map *map, uint64_t hash, struct span key)
{
	size_t mask = map->room - 1, i = hash & mask;

	while (map->slots[i].key.p && !(map->slots[i].hash == hash && span_equal(map->slots[i].key, key)))
		i = (i + 1) & mask;
	return i;
}

void *map_get(const struct map *map, uint64_t hash, struct span key)
{
	return map->room ? map->slots[find(map, hash, key)].value : NULL;
}

static void grow(struct map *map)
{
	struct map bigger = {.room = map->room ? map->room * 2 : 16};

	bigger.slots = mem_zero(bigger.room, sizeof(*bigger.slots));
	for (size_t i = 0; i < map->room; i++)
		if (map->slots[i].key.p)
			bigger.slots[find(&bigger, map->slots[i].hash, map->slots[i].key)] = map->slots[i];
	bigger.count = map->count;
	free(map->slots);
	*map = bigger;
}

void map_put(struct map *map, uint64_t hash, struct span key, void *value)
{
	size_t i;

	if (map->count * 2 >= map->room)
		grow(map);
	i = find(map, hash, key);
	if (!map->slots[i].key.p)
		map->count++;
	map->slots[i] = (struct map_slot){hash, key, value};
}

void *map_remove(struct map *map, uint64_t hash, struct span key)
{
	size_t mask = map->room - 1, hole, i;
	void *value;

	if (!map->room)
		return NULL;
	hole = find(map, hash, key);
	if (!map->slots[hole].key.p)
		return NULL;
	value = map->slots[hole].value;
	for (i = (hole + 1) & mask; map->slots[i].key.p; i = (i + 1) & mask) {
		size_t home = map->slots[i].hash & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			map->slots[hole] = map->slots[i];
			hole = i;
		}
	}
	map->slots[hole] = (struct map_slot){0};
	map->count--;
	return value;
}

void *map_next(const struct map *map, size_t *at)
{
	while (*at < map->room) {
		struct map_slot *slot = &map->slots[(*at)++];

		if (slot->key.p)
			return slot->value;
	}
	return NULL;
}
