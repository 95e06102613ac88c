/* Keyed hashing: user ids and topics come from outside, so the key is random per process and a flood of colliding names
 * cannot be prepared. */
#ifndef ESINK_HASH_H
#define ESINK_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *bytes, size_t len); /* SipHash-1-3; any thread */

#endif
