/* The token table that is not there: an error where it is the only way in. Where a JWT key is configured it may be missing,
 * but is said, once at the start and by --check: a misspelt AUTH_TABLE would else refuse every token without a word, and its
 * tokens would not be withheld where the table is watched.
 */
#ifndef ESINK_TOKEN_TABLE_H
#define ESINK_TOKEN_TABLE_H

#include "esink/source.h"

/* What err ends with about a table that is not there. */
const char *token_table_advice(const struct source_config *config);

/* status and err are those of looking the table up: STATUS_OK, after a line in the log, where it may be missing. */
enum status token_table_spared(const char *driver, const struct source_config *config, enum status status, const struct err *err);

/* STATUS_UNAUTHORIZED, and for the log of LOG_LEVEL=debug why: how many rows have the token (2: or more), or that the one that has it
 * names no user. Never the token. */
enum status token_table_refuse(const struct source_config *config, int rows, struct err *err);

#endif
