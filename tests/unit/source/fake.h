/* A source in memory behind the real seam: the tests feed it events and failures, and see what is
 * asked of it. */
#ifndef ESINK_TESTS_FAKE_SOURCE_H
#define ESINK_TESTS_FAKE_SOURCE_H

#include <pthread.h>
#include <stdatomic.h>

#include "esink/source.h"

struct fake {
	pthread_mutex_t lock;
	enum status open_status, fetch_status, publish_status,
		lookup_status;   /* returned as long as they are set */
	int fail_opens;          /* this many opens fail with UNAVAILABLE first */
	uint64_t head, position; /* fetch gives everything between */
	atomic_int opens, closes, publishes, lookups;
	size_t largest_group;
	int hang_ms; /* each lane call takes this long */
};

extern const struct source_ops fake_source;
struct event *fake_event(uint64_t id, const char *ref);

#endif
