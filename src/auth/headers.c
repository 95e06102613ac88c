/* A map from a header's text to what it says. Entries are never changed and never removed, so that
 * one that was found needs no lock; they go with the set of keys that they belong to. */
#include "auth/headers.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"

struct headers {
	pthread_mutex_t lock;
	struct map map;
};

struct headers *headers_create(void)
{
	struct headers *headers = mem_zero(1, sizeof(*headers));

	pthread_mutex_init(&headers->lock, NULL);
	return headers;
}

void headers_destroy(struct headers *headers)
{
	struct header *header;
	size_t at = 0;

	if (!headers)
		return;
	while ((header = map_next(&headers->map, &at))) {
		free(header->kid);
		free((char *)(uintptr_t)header->text.p);
		free(header);
	}
	map_finish(&headers->map);
	pthread_mutex_destroy(&headers->lock);
	free(headers);
}

const struct header *headers_find(struct headers *headers, struct span text)
{
	uint64_t hash;
	const struct header *header;

	if (text.len > HEADER_TEXT_MAX)
		return NULL;
	hash = hash_bytes(text.p, text.len);
	pthread_mutex_lock(&headers->lock);
	header = map_get(&headers->map, hash, text);
	pthread_mutex_unlock(&headers->lock);
	return header;
}

void headers_add(struct headers *headers, struct span text, const char *kid)
{
	struct header *header;
	uint64_t hash;

	if (text.len > HEADER_TEXT_MAX)
		return;
	hash = hash_bytes(text.p, text.len);
	pthread_mutex_lock(&headers->lock);
	if (headers->map.count < HEADERS_MAX && !map_get(&headers->map, hash, text)) {
		header = mem_zero(1, sizeof(*header));
		header->kid = mem_text(kid);
		header->text = (struct span){mem_text_n(text.p, text.len), text.len};
		map_put(&headers->map, hash, header->text, header);
	}
	pthread_mutex_unlock(&headers->lock);
}

size_t headers_count(struct headers *headers)
{
	size_t count;

	pthread_mutex_lock(&headers->lock);
	count = headers->map.count;
	pthread_mutex_unlock(&headers->lock);
	return count;
}
