/* A hash map from byte strings to pointers. The map keeps a pointer to the key that it was given: the key lives inside the
 * value or longer. Not thread-safe. */
#ifndef ESINK_MAP_H
#define ESINK_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esink/span.h"

struct map_slot {
	uint64_t hash;
	struct span key; /* p NULL: empty */
	void *value;
};

struct map {
	struct map_slot *slots; /* power of two, open addressing, linear probing, backward-shift deletion */
	size_t count, room;
};

void map_finish(struct map *map); /* a zeroed map is an empty one */
void *map_get(const struct map *map, uint64_t hash, struct span key);
void map_put(struct map *map, uint64_t hash, struct span key, void *value); /* replaces */
void *map_remove(struct map *map, uint64_t hash, struct span key);
/* Walks: *at starts at 0; NULL at the end. The map must not change meanwhile. */
void *map_next(const struct map *map, size_t *at);

#endif
