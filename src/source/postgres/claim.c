/* The claim of a configuration: its rules, written out and hashed, kept fresh in esink.claimant.
 *
 * Without it, a relay that is started with fewer FILTERS beside a running one (a rolling deploy)
 * would replace the trigger functions, and the sessions of the first would be told what its own
 * configuration withholds. A relay that was stopped for a while does not know that it has lost its
 * claim: so whatever is made under it asks again, in the same transaction.
 */
#include "source/postgres/claim.h"

#include "base/random.h"
#include "source/postgres/statement.h"

#define CLAIM_TIMEOUT_MS 10000
#define RELEASE_TIMEOUT_MS 1000

#define REFUSED                                                                                    \
	"another relay with other rules (TABLE_NAMES, TABLE_AUTH_COLUMN_ROUTING, FILTERS, "        \
	"COLUMNS, OLD_ROWS or AUTH_TABLE) is at work on this database: this one waits until it "   \
	"has ended"

void claim_init(struct claim *claim, const struct ruleset *rules)
{
	fingerprint_rules(rules, claim->configuration);
	random_hex(claim->relay, FINGERPRINT_LEN);
}

enum status claim_configuration(struct pg *pg, const struct claim *claim, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	const char *params[] = {claim->configuration, claim->relay};
	enum status status = pg_call(pg, "SELECT esink.claim($1::pg_catalog.text, $2::pg_catalog.text)", 2, params,
		CLAIM_TIMEOUT_MS, &result, err);

	if (status != STATUS_OK || pg_bool(result, 0, 0))
		return status;
	return err_set(err, STATUS_CONFLICT, REFUSED);
}

/* Both words are hexadecimal digits. */
void claim_write(struct buf *sql, const struct claim *claim)
{
	buf_printf(sql,
		"IF NOT esink.claim('%s', '%s') THEN RAISE EXCEPTION USING ERRCODE = 'ES002', MESSAGE = '" REFUSED "'; END IF; ",
		claim->configuration, claim->relay);
}

void claim_release(struct pg *pg, const struct claim *claim)
{
	AUTO_RESULT PGresult *result = NULL;
	const char *params[] = {claim->relay};
	struct err ignored;
	int stop_fd = pg->stop_fd;

	if (!pg->conn)
		return;
	pg->stop_fd = -1; /* stopping must not stop this */
	if (pg_call(pg, "SELECT esink.release_claim($1::pg_catalog.text)", 1, params, RELEASE_TIMEOUT_MS,
		    &result, &ignored) != STATUS_OK)
		pg_close(pg);
	pg->stop_fd = stop_fd;
}
