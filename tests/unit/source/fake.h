/* A source in memory behind the real seam: the tests feed it events and failures, and see what is
 * asked of it. It keeps what include/esink/source.h promises: contiguous ids, each fetched once, also
 * over close and open; what was published comes back with its ref; a journal that reaches from floor
 * to head, and STATUS_GONE beyond. It has what the pump and the lanes call, not what the app does. */
#ifndef ESINK_TESTS_FAKE_SOURCE_H
#define ESINK_TESTS_FAKE_SOURCE_H

#include <pthread.h>
#include <stdatomic.h>

#include "esink/source.h"

#define FAKE_JOURNAL "0123456789abcdef"
#define FAKE_REFS 64

struct fake {
	pthread_mutex_t lock;
	enum status open_status, fetch_status, publish_status,
		lookup_status;   /* returned as long as they are set; fetch_status: once */
	int fail_opens;          /* this many opens fail with UNAVAILABLE first */
	uint64_t head, position; /* fetch gives everything between */
	struct source_holes holes;
	uint64_t floor;          /* events up to it are discarded */
	const char *journal;     /* NULL: FAKE_JOURNAL */
	uint64_t start;          /* what range() says of any time; between floor and head */
	int64_t since;           /* the time that range() was last asked for */
	struct event *(*make)(uint64_t id); /* what read() gives; NULL: fake_event() */
	uint64_t (*forget)(uint64_t after); /* asked at each read(): the new floor; NULL: as it is */
	enum status read_status; /* returned as long as it is set */
	struct {
		uint64_t id;
		char ref[33];
	} published[FAKE_REFS]; /* the last ones, by id % FAKE_REFS */
	atomic_int opens, closes, publishes, lookups, reads;
	size_t largest_group;
	int hang_ms; /* each lane call takes this long */
	void (*pass)(int ms); /* how: pause_ms() of a test whose clock stands; NULL: it sleeps */
};

extern const struct source_ops fake_source;
struct event *fake_event(uint64_t id, const char *ref);

#endif
