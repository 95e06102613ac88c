/* The configuration: environment variables only, all of them in one table (config_table.c). Each line of the table is a
 * name, a type, a range, a default and a sentence of help; parsing, `--help`, docs/CONFIG.md and
 * deploy/esink.env.example all read that table, so that they cannot differ.
 *
 * A bad value is one line for the person who wrote it, `PORT: "x" is not a whole number from 1 to 65535`. The value of a
 * secret is never shown.
 */
#ifndef ESINK_CONFIG_H
#define ESINK_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "esink/status.h"

/* Texts are malloc'ed, NULL when there is none; durations are in milliseconds. */
struct config {
	/* listening */
	int64_t port;
	char *host, *node_env, *cors_origin, *ssl_cert_file, *ssl_key_file;
	bool use_ssl;
	/* database */
	char *postgres_url, *mysql_database, *mysql_host, *mysql_username, *mysql_password, *mysql_outbox, *mysql_ssl_ca, *sqlite_path;
	bool sqlite_checkpoint;
	int64_t mysql_port, mysql_ssl_mode /* enum source_tls */, poll_interval_ms, retention;
	/* rules */
	char *table_names, *routing, *filters, *columns, *old_rows;
	/* tokens */
	char *auth_table, *auth_column, *auth_user_column;
	char *jwt_secret, *jwt_public_key_file, *jwt_jwks_file, *jwt_user_claim, *jwt_issuer, *jwt_audience;
	char *jwt_algorithm;
	int64_t auth_recheck;
	bool allow_test_token;
	/* publishing */
	char *security_token, *default_source;
	bool allow_republishing;
	/* process */
	int64_t network_threads;
	int64_t log_level, log_format; /* index of the word: enum log_level; 0 text, 1 json */
	/* limits */
	int64_t max_connections, max_sessions_per_user, max_sessions_per_address;
	int64_t max_message_bytes, max_body_bytes, max_messages_per_second, max_patterns, max_pattern_bytes;
	int64_t session_queue_bytes, tail_bytes, inbox_bytes;
	int64_t send_buffer_bytes;
	int64_t handshake_timeout, idle_timeout, auth_timeout, live_timeout, slow_timeout;
	int64_t heartbeat_interval, heartbeat_timeout, position_interval;
	int64_t max_pending_auth, max_pending_publish, max_pending_reads, max_publish_group, publish_timeout;
	int64_t max_history_page, max_events_per_drain, statement_timeout, consumer_max_silence, max_consumers;
	int64_t socketio_ping_interval, socketio_ping_timeout, socketio_connect_timeout, socketio_max_payload;

	/* derived from the above */
	bool production;
	const char *source;       /* the driver's name: `mysql`, `postgres` or `sqlite` */
	bool max_connections_set; /* by the user, not the default */

	char **origins;           /* of cors_origin; a single "" that no Origin equals when it is empty */
	size_t origin_count, origin_room;

	char **warnings; /* sentences about what is accepted but looks wrong */
	size_t warning_count, warning_room;
};

enum setting_type {
	SETTING_TEXT,
	SETTING_PATH,
	SETTING_LIST, /* text here; rules/ruleset.h checks what it names */
	SETTING_JSON, /* likewise */
	SETTING_BOOL,
	SETTING_WORD, /* one of words; stored as text */
	SETTING_INDEX, /* one of words; stored as its index */
	SETTING_INT,
	SETTING_DURATION,
	SETTING_BYTES
};

enum setting_flag {
	SETTING_SECRET = 1,     /* NAME_FILE exists, and the value is never shown */
	SETTING_EMPTY = 2,      /* an empty value is a value; everywhere else it is the default */
	SETTING_ZERO_IS_OFF = 4 /* 0 is allowed although min is above it: no limit */
};

/* One line of the table. */
struct setting {
	const char *name;
	enum setting_type type;
	size_t field;         /* offset in struct config */
	const char *fallback; /* the default as a user would write it; NULL: none, or derived */
	const char *derived;  /* how a derived default is told; NULL */
	int64_t min, max;     /* of numbers; of a text's bytes, where max is not 0 */
	const char *const *words;
	unsigned flags;
	const char *help;
	const char *group; /* heading, on the first setting of each group */
};

extern const struct setting settings[];
extern const size_t setting_count;

/* Reads NAME=VALUE texts, NULL-terminated, into a zeroed config. STATUS_INVALID with the one line (without `esink: `).
 * config must be finished in any case. */
enum status config_load(struct config *config, const char *const *environment, struct err *err) MUST_CHECK;
void config_finish(struct config *config); /* wipes secrets; a zeroed one is fine */

const char *const *config_environment(void); /* of this process */

/* One value into its field; what config_load() calls. */
enum status config_set(struct config *config, const struct setting *setting, const char *value, struct err *err) MUST_CHECK;
const struct setting *config_setting(const char *name);
/* err: `NAME: "value" is not COMPLAINT`, the value cut, printable, and left out for a secret. */
enum status config_complain(const struct setting *setting, const char *value, const char *complaint, struct err *err);
bool config_quoted(const char *value); /* begins and ends with the same quote */
/* How numbers of that type are written: 90s, 100kB, 42. */
void config_show_number(const struct setting *setting, int64_t number, char text[32]);

/* The rest of config_load(): what one variable demands of another, and what is derived from several. */
enum status config_check(struct config *config, const char *const *environment, struct err *err) MUST_CHECK;
bool config_given(const char *const *environment, const char *name); /* there and not empty */
void config_warn(struct config *config, char *sentence);              /* takes it */

void config_print_help(FILE *out);     /* for a terminal of 80 columns */
void config_print_markdown(FILE *out); /* docs/CONFIG.md */
void config_print_env(FILE *out);      /* deploy/esink.env.example */

#endif
