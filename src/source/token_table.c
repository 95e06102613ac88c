/* What the drivers say about a token table that is not there, and about tokens that are not in it; see token_table.h. */
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

enum status token_table_refuse(const struct source_config *config, int rows, struct err *err)
{
	if (rows == 1)
		return err_set(err, STATUS_UNAUTHORIZED, "AUTH_TABLE: its row of \"%s\" has no user in \"%s\"", config->auth_table,
			config->auth_user_column);
	return err_set(err, STATUS_UNAUTHORIZED, "AUTH_TABLE: %s of \"%s\" has it in \"%s\"%s", rows ? "more than one row" : "no row",
		config->auth_table, config->auth_column, rows ? ", and exactly one must" : ", byte for byte");
}
