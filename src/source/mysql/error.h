/* The error codes of the server and of its client library: which of our ends each of them is, and what it tells the user. Pure: any
 * thread, nothing is kept. */
#ifndef ESINK_MYSQL_ERROR_H
#define ESINK_MYSQL_ERROR_H

#include <stdbool.h>

#include "esink/source.h"

/* Those that somebody asks for by name. */
enum {
	MY_DUPLICATE = 1062,
	MY_NO_TABLE = 1146,
	MY_LOCK_TIMEOUT = 1205,
	MY_DEADLOCK = 1213,
	MY_BINLOG_CREATORS = 1419,
	MY_STATEMENT_BINLOG = 1665
};

/* text: the server's own; *err is a sentence that names what to mend. Never STATUS_OK. */
enum status my_error_say(const struct source_config *config, unsigned code, const char *text, struct err *err);
/* Whether the connection goes with it. */
bool my_error_is_loss(unsigned code);

#endif
