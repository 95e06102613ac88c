/* Consumers hold the journal back in esink.rotate() itself. Here it is seen to that none does so for ever: one that was silent for
 * longer than CONSUMER_MAX_SILENCE is dropped. Several relays may look at once; who drops it says so. */
#include "source/postgres/hold.h"

#include <stdio.h>

#include "base/clock.h"
#include "source/postgres/statement.h"
#include "source/silence.h"

#define HOLD_TIMEOUT_MS 30000
#define MARKS 5000 /* forgotten at a time */
#define MARKS_PAUSE_MS 100
#define MARKS_LOOK_MS 60000 /* they go with a half of the journal, which says when; this is for what was left */

enum status hold_drop_silent(struct postgres *source, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	char most[32];
	const char *params[] = {most};
	enum status status;

	source->next_hold = clock_ms() + silence_look_ms(source->config->consumer_max_silence_ms);
	snprintf(most, sizeof(most), "%lld ms", (long long)source->config->consumer_max_silence_ms);
	status = pg_call(&source->pg, "SELECT d.name, d.silent_ms FROM esink.drop_silent($1::interval) d", 1, params, HOLD_TIMEOUT_MS,
		&result, err);
	for (int row = 0; status == STATUS_OK && row < PQntuples(result); row++)
		silence_dropped("postgres", PQgetvalue(result, row, 0), pg_int(result, row, 1), source->config->consumer_max_silence_ms);
	return status;
}

enum status hold_prune_marks(struct postgres *source, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	char most[16];
	const char *params[] = {most};
	enum status status;

	snprintf(most, sizeof(most), "%d", MARKS);
	status = pg_call(&source->pg, "SELECT esink.prune_marks($1::bigint)", 1, params, HOLD_TIMEOUT_MS, &result, err);
	if (status == STATUS_OK)
		source->next_marks = clock_ms() + (pg_int(result, 0, 0) >= MARKS ? MARKS_PAUSE_MS : MARKS_LOOK_MS);
	return status;
}
