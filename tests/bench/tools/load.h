/* What load.c counts with: the marks in the bytes that come, which may be cut anywhere, and a histogram of latencies whose
 * buckets are 1/64 of their power of two wide, so that a quantile is told to 1.6 %.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define MARK 30
#define STEPS 64

static inline uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* at: how many characters of a mark have come. */
struct mark {
	uint64_t stamp, seq;
	uint32_t at;
};

/* One more character of a mark that has begun. True: it is the last. */
static inline bool mark_take(struct mark *mark, char c)
{
	bool digit = c >= '0' && c <= '9';

	if (mark->at == 29 && c == '@')
		return true;
	if (mark->at == 20 && c == ':') {
		mark->at++;
	} else if (mark->at < 20 && digit) {
		mark->stamp = mark->stamp * 10 + (uint64_t)(c - '0');
		mark->at++;
	} else if (mark->at > 20 && mark->at < 29 && digit) {
		mark->seq = mark->seq * 10 + (uint64_t)(c - '0');
		mark->at++;
	} else {
		*mark = (struct mark){.at = c == '@'};
	}
	return false;
}

/* The next mark that is complete, and what lies behind it; NULL: there is none any more. */
static inline const char *mark_next(struct mark *mark, const char *p, const char *end, uint64_t *stamp, uint64_t *seq)
{
	while (p < end) {
		if (!mark->at) {
			p = memchr(p, '@', (size_t)(end - p));
			if (!p)
				return NULL;
			*mark = (struct mark){.at = 1};
			p++;
		} else if (mark_take(mark, *p++)) {
			*stamp = mark->stamp;
			*seq = mark->seq;
			mark->at = 0;
			return p;
		}
	}
	return NULL;
}

struct histogram {
	uint64_t count, max, buckets[64 * STEPS];
};

static inline void histogram_add(struct histogram *histogram, uint64_t ns)
{
	uint64_t shift = ns < STEPS ? 0 : 63 - (uint64_t)__builtin_clzll(ns) - 6;

	histogram->buckets[shift * STEPS + (ns >> shift)]++;
	histogram->count++;
	if (ns > histogram->max)
		histogram->max = ns;
}

static inline uint64_t histogram_at(const struct histogram *histogram, double q)
{
	uint64_t wanted = (uint64_t)((double)histogram->count * q), seen = 0;

	for (uint64_t i = 0; i < 64 * STEPS; i++) {
		seen += histogram->buckets[i];
		if (seen > wanted) {
			uint64_t shift = i < 2 * STEPS ? 0 : i / STEPS - 1;

			return (i - shift * STEPS) << shift;
		}
	}
	return histogram->max;
}
