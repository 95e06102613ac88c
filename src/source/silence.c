/* A consumer that nobody runs any more would keep the journal growing until the disk is full, and with it the application. So
 * there is an end to waiting for it, and whoever operates it is told which one, and what to do. */
#include "source/silence.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"

#define LOOK_MIN_MS 250
#define LOOK_MAX_MS 60000
#define LOOKS 20 /* within the time */
#define GRACE_MS 60000

int64_t silence_look_ms(int64_t max_ms)
{
	int64_t pause = max_ms / LOOKS;

	return pause < LOOK_MIN_MS ? LOOK_MIN_MS : pause > LOOK_MAX_MS ? LOOK_MAX_MS : pause;
}

int64_t silence_grace_ms(int64_t max_ms)
{
	return max_ms < GRACE_MS ? max_ms : GRACE_MS;
}

/* `6d 20h`, `45s` */
static void duration(int64_t ms, char text[40])
{
	int64_t s = ms / 1000;

	if (s >= 2 * 86400)
		snprintf(text, 40, "%" PRId64 "d %" PRId64 "h", s / 86400, s / 3600 % 24);
	else if (s >= 2 * 3600)
		snprintf(text, 40, "%" PRId64 "h %" PRId64 "min", s / 3600, s / 60 % 60);
	else
		snprintf(text, 40, "%" PRId64 "s", s);
}

void silence_dropped(const char *domain, const char *name, int64_t silent_ms, int64_t max_ms)
{
	char silent[40], most[40];

	duration(silent_ms, silent);
	duration(max_ms, most);
	log_warn(domain, "consumer \"%s\" was silent for %s, longer than CONSUMER_MAX_SILENCE (%s): dropped, the journal is no longer kept for it; "
		"PUT /consumers/%s registers it anew, DELETE forgets it", name, silent, most, name);
}
