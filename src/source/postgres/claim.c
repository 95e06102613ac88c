/* The claim of a configuration: its rules, written out and hashed, kept fresh in esink.relay.
 *
 * Without it, a relay that is started with fewer FILTERS beside a running one (a rolling deploy)
 * would replace the trigger functions, and the sessions of the first would be told what its own
 * configuration withholds.
 */
#include "source/postgres/claim.h"

#include "source/fingerprint.h"

#define CLAIM_TIMEOUT_MS 10000
#define RELEASE_TIMEOUT_MS 1000

enum status claim_configuration(struct pg *pg, const struct source_config *config, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	char word[FINGERPRINT_LEN + 1];
	const char *params[] = {word};
	enum status status;

	fingerprint_rules(config->rules, word);
	status = pg_call(pg, "SELECT esink.claim($1::pg_catalog.text)", 1, params,
		CLAIM_TIMEOUT_MS, &result, err);
	if (status != STATUS_OK || pg_bool(result, 0, 0))
		return status;
	return err_set(err, STATUS_CONFLICT,
		"another relay with other rules (TABLE_NAMES, TABLE_AUTH_COLUMN_ROUTING, FILTERS, "
		"COLUMNS, "
		"OLD_ROWS or AUTH_TABLE) is at work on this database: this one waits until it has "
		"ended");
}

void claim_release(struct pg *pg, const struct source_config *config)
{
	AUTO_RESULT PGresult *result = NULL;
	char word[FINGERPRINT_LEN + 1];
	const char *params[] = {word};
	struct err ignored;
	int stop_fd = pg->stop_fd;

	if (!pg->conn)
		return;
	fingerprint_rules(config->rules, word);
	pg->stop_fd = -1; /* stopping must not stop this */
	if (pg_call(pg, "SELECT esink.release($1::pg_catalog.text)", 1, params, RELEASE_TIMEOUT_MS,
		    &result, &ignored) != STATUS_OK)
		pg_close(pg);
	pg->stop_fd = stop_fd;
}
