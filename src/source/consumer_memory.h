/* What the consumers' lane remembers from one job to the next: patterns that are compiled already, and when this relay last noted that a
 * consumer was heard of. Nothing is lost with it; who was asked for longest ago makes room. The lanes own it, the thread of the
 * consumers' lane alone uses it, and nothing here blocks. */
#ifndef ESINK_SOURCE_CONSUMER_MEMORY_H
#define ESINK_SOURCE_CONSUMER_MEMORY_H

#include <stdint.h>

#include "esink/consumer.h"
#include "esink/status.h"

struct wants; /* rules/wants.h */

/* One consumer. The memory's, and as it is until the next recall. */
struct remembered {
	struct wants *wants;
	int64_t touched; /* clock_ms(), set by whoever notes it in the database; 0: not since it is remembered */
	/* Its own. */
	char name[CONSUMER_NAME_MAX + 1];
	char *topics, *types;
	uint64_t used;
};

struct consumer_memory;
struct consumer_memory *consumer_memory_create(void);
void consumer_memory_destroy(struct consumer_memory *memory); /* NULL is fine */

/* row as the database has it. Anything but STATUS_OK: its patterns cannot be compiled. */
enum status consumer_memory_recall(
	struct consumer_memory *memory, const struct consumer *row, struct remembered **ret, struct err *err) MUST_CHECK;

#endif
