/* Private to src/auth: tokens that were verified, by their SHA-256; verifying one costs up to half
 * a millisecond, and after a restart every client comes with its token at once. Any thread. */
#ifndef ESINK_AUTH_CACHE_H
#define ESINK_AUTH_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/claims.h"

#define CACHE_MAX 10000
#define DIGEST_LEN 32

struct cache;

struct cache *cache_create(size_t max); /* the least recently used one goes when it is full */
void cache_destroy(struct cache *cache);
void cache_put(
	struct cache *cache, const unsigned char digest[DIGEST_LEN], const struct claims *claims);
/* Fills claims with a copy of its own, which is the caller's to finish. */
bool cache_get(struct cache *cache, const unsigned char digest[DIGEST_LEN], struct claims *claims);
void cache_drop(struct cache *cache, const unsigned char digest[DIGEST_LEN]);
size_t cache_count(struct cache *cache);

#endif
