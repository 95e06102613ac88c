/* The errors that a user can mend are told apart, each with the variable, the right or the setting that it is about. What is not
 * listed here may pass (away, restarting, a deadlock, a full disk): it is the server's own sentence and STATUS_UNAVAILABLE, which
 * is waited for.
 */
#include "source/mysql/error.h"

#include <errmsg.h>

#include "source/mysql/db.h"

enum {
	DB_DENIED = 1044, ACCESS_DENIED = 1045, NO_DATABASE = 1049, NO_COLUMN = 1054, PARSE_ERROR = 1064, HOST_NOT_ALLOWED = 1130,
	TABLE_DENIED = 1142, COLUMN_DENIED = 1143, NEEDS_RIGHT = 1227, READ_ONLY = 1290, ROUTINE_DENIED = 1370, NO_PASSWORD = 1698,
	READ_ONLY_TX = 1792, READ_ONLY_MODE = 1836, MAX_TIME = 1969, BAD_PLUGIN = 2059, MAX_EXECUTION = 3024
};

static enum status refused(const struct source_config *config, unsigned code, const char *text, struct err *err)
{
	const char *user = config->user ? config->user : "";

	switch (code) {
	case ACCESS_DENIED:
	case NO_PASSWORD:
	case HOST_NOT_ALLOWED:
		return err_set(err, STATUS_DENIED, "MYSQL_USERNAME, MYSQL_PASSWORD: the server at %s:%d does not let \"%s\" in: %s",
			my_host(config), config->port, user, text);
	case DB_DENIED:
		return err_set(err, STATUS_DENIED, "MYSQL_DATABASE: \"%s\" has no right to database \"%s\", or it is not there: %s", user,
			config->database, text);
	case MY_BINLOG_CREATORS:
		return err_set(err, STATUS_DENIED, "the server writes a binary log and lets only administrators make triggers: set "
			"log_bin_trust_function_creators = 1 (SET GLOBAL and in its configuration), or grant SUPER to \"%s\"", user);
	case MY_STATEMENT_BINLOG:
		return err_set(err, STATUS_DENIED, "binlog_format is STATEMENT, with which no transaction may be READ COMMITTED: set "
			"binlog_format = ROW or MIXED on the server");
	default:
		return err_set(err, STATUS_DENIED, "\"%s\" lacks a right: %s", user, text);
	}
}

enum status my_error_say(const struct source_config *config, unsigned code, const char *text, struct err *err)
{
	switch (code) {
	case DB_DENIED: case ACCESS_DENIED: case TABLE_DENIED: case COLUMN_DENIED: case NEEDS_RIGHT: case ROUTINE_DENIED:
	case MY_BINLOG_CREATORS: case NO_PASSWORD: case MY_STATEMENT_BINLOG: case HOST_NOT_ALLOWED:
		return refused(config, code, text, err);
	case NO_DATABASE:
		return err_set(err, STATUS_NOT_FOUND, "MYSQL_DATABASE: there is no database \"%s\" on the server at %s:%d", config->database,
			my_host(config), config->port);
	case MY_NO_TABLE:
	case NO_COLUMN:
		return err_set(err, STATUS_NOT_FOUND, "%s", text);
	case READ_ONLY: case READ_ONLY_TX: case READ_ONLY_MODE:
		return err_set(err, STATUS_UNAVAILABLE, "the MySQL server is read-only (a replica?), and the journal is written there: "
			"waiting until it is not: %s", text);
	case MAX_TIME: case MAX_EXECUTION:
		return err_set(err, STATUS_TIMEOUT, "a statement took longer than STATEMENT_TIMEOUT");
	case CR_SSL_CONNECTION_ERROR:
		return err_set(err, STATUS_UNAVAILABLE, "MYSQL_SSL_CA, MYSQL_SSL_MODE: no TLS with the server at %s:%d: %s", my_host(config),
			config->port, text);
	case PARSE_ERROR:
		return err_set(err, STATUS_FAILED, "MySQL: %s", text);
	case BAD_PLUGIN:
		return err_set(err, STATUS_UNAVAILABLE, "the account's way of logging in is not known to the client library: %s", text);
	case CR_CONNECTION_ERROR: case CR_CONN_HOST_ERROR: case CR_UNKNOWN_HOST:
		return err_set(err, STATUS_UNAVAILABLE, "MYSQL_HOST, MYSQL_PORT: no answer from a MySQL server at %s:%d: %s", my_host(config),
			config->port, text);
	default: /* away, restarting, a deadlock, a full disk: it may pass */
		return err_set(err, STATUS_UNAVAILABLE, "MySQL server at %s:%d: %s", my_host(config), config->port, text);
	}
}

bool my_error_is_loss(unsigned code)
{
	/* of the client library (2000 to 2999; MariaDB's own 5000 to 5999), a server that ends, a connection that it killed */
	return (code >= CR_MIN_ERROR && code < 3000) || (code >= 5000 && code < 6000) || code == 1053 || code == 1927 || code == 1317 ||
		code == 4031;
}
