/* What the drivers say about a token table that is not there; see token_table.h. */
#include "source/token_table.h"

#include "base/log.h"

const char *token_table_advice(const struct source_config *config)
{
	return config->auth_table_optional ? ": no token of a table is accepted, only JSON Web Tokens" :
		"; name the one that holds the tokens of your users, or set a key for JSON Web Tokens, such as JWT_SECRET";
}

enum status token_table_spared(const char *driver, const struct source_config *config, enum status status, const struct err *err)
{
	if (status != STATUS_NOT_FOUND || !config->auth_table_optional)
		return status;
	log_info(driver, "%s", err->text);
	return STATUS_OK;
}
