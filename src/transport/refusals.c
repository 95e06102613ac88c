/* Whoever sees the time of the last line go by writes the next one; the others count. Nothing of a request gets into it but the
 * peer's address and an Origin that reads like one: no token, no path, no body.
 */
#include "transport/refusals.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "transport/begin.h"
#include "transport/conn.h"
#include "transport/thread.h"

#define ORIGIN_SHOWN 128 /* bytes */

static const struct {
	enum log_level level;
	const char *what;
} reasons[REFUSAL_COUNT] = {
	[REFUSAL_PUBLISH] = {LOG_WARN, "POST /publish without the operator's token"},
	[REFUSAL_CONSUMERS] = {LOG_WARN, "a question of a consumer without the operator's token"},
	[REFUSAL_EVENTS] = {LOG_INFO, "GET /events without a good token"},
	[REFUSAL_ORIGIN] = {LOG_WARN, "a page whose Origin is not among CORS_ORIGIN: it may not read the answer"},
};

/* True for one caller only: it is time for a line. */
static bool is_due(struct refusals *refusals, enum refusal reason)
{
	int64_t now = clock_ms(), said = atomic_load(&refusals->reasons[reason].said);

	return (!said || now - said >= REFUSAL_QUIET_MS) &&
		atomic_compare_exchange_strong(&refusals->reasons[reason].said, &said, now);
}

/* `, Origin https://page.example`, or nothing where it was none. */
static void show_origin(struct conn *conn, char text[ORIGIN_SHOWN + 16])
{
	char origin[ORIGIN_SHOWN + 1] = "";

	text[0] = 0;
	if (lws_hdr_copy(conn->wsi, origin, sizeof(origin), WSI_TOKEN_ORIGIN) <= 0 || !strstr(origin, "://"))
		return;
	for (const char *c = origin; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr(":/.-_[]", *c))
			return;
	snprintf(text, ORIGIN_SHOWN + 16, ", Origin %s", origin);
}

void refusals_note(struct conn *conn, enum refusal reason)
{
	struct refusals *refusals = &conn->thread->shared->refusals;
	char address[46], origin[ORIGIN_SHOWN + 16] = "";
	uint64_t more;

	if (!is_due(refusals, reason)) {
		atomic_fetch_add(&refusals->reasons[reason].more, 1);
		return;
	}
	more = atomic_exchange(&refusals->reasons[reason].more, 0);
	peer_address(conn, address);
	if (reason == REFUSAL_ORIGIN)
		show_origin(conn, origin);
	log_line(reasons[reason].level, "http", "refused: %s (from %s%s; %" PRIu64 " more before)", reasons[reason].what, address, origin, more);
}

void refusals_tick(struct refusals *refusals)
{
	for (enum refusal reason = 0; reason < REFUSAL_COUNT; reason++) {
		if (!atomic_load(&refusals->reasons[reason].more) || !is_due(refusals, reason))
			continue;
		log_line(reasons[reason].level, "http", "refused: %s (%" PRIu64 " more)", reasons[reason].what,
			atomic_exchange(&refusals->reasons[reason].more, 0));
	}
}
