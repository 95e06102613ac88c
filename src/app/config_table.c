/* The one table of environment variables. A new setting is a field of struct config and a line here; `tests/lint/run
 * --write-docs` makes its documentation anew. The help is for the person who sets the variable: what it does, and what
 * happens at the limit, in a sentence or two.
 */
#include "app/config.h"

#define FIELD(name) offsetof(struct config, name)
#define SECONDS(n) ((int64_t)(n) * 1000)
#define DAYS(n) SECONDS((int64_t)(n) * 86400)
#define KB(n) ((int64_t)(n) * 1000)
#define MB(n) KB((int64_t)(n) * 1000)

#define TEXT(name, field, fallback) name, SETTING_TEXT, FIELD(field), fallback, NULL, 0, 0, NULL
#define PATH(name, field, fallback) name, SETTING_PATH, FIELD(field), fallback, NULL, 0, 0, NULL
#define LIST(name, field) name, SETTING_LIST, FIELD(field), NULL, NULL, 0, 0, NULL
#define BOOL(name, field, fallback) name, SETTING_BOOL, FIELD(field), fallback, NULL, 0, 0, NULL
#define INT(name, field, fallback, min, max) name, SETTING_INT, FIELD(field), fallback, NULL, min, max, NULL
#define DURATION(name, field, fallback, min, max) name, SETTING_DURATION, FIELD(field), fallback, NULL, min, max, NULL
#define BYTES(name, field, fallback, min, max) name, SETTING_BYTES, FIELD(field), fallback, NULL, min, max, NULL

static const char *const algorithms[] = {
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error", NULL}; /* the order of enum log_level */
static const char *const tls_modes[] = {"preferred", "disabled", "required", "verify_ca", "verify_identity", NULL}; /* the order of enum source_tls */
static const char *const formats[] = {"text", "json", NULL};

const struct setting settings[] = {
	{INT("PORT", port, "80", 1, 65535), 0, "Port to listen on. A port that is taken is an error.", "Listening"},
	{"HOST", SETTING_TEXT, FIELD(host), NULL, "all addresses", 0, 255, NULL, 0,
		"Address to listen on, such as 127.0.0.1 or ::1.", NULL},
	{"NODE_ENV", SETTING_TEXT, FIELD(node_env), "development", NULL, 0, 0, NULL, 0,
		"With `production` the TEST token is off unless ALLOW_TEST_TOKEN says otherwise, and a database must be "
		"configured.", NULL},
	{BOOL("USE_SSL", use_ssl, "false"), 0,
		"Serve TLS only, never plain HTTP beside it. Needs SSL_CERT_FILE and SSL_KEY_FILE; without a usable "
		"certificate esink does not start.", NULL},
	{PATH("SSL_CERT_FILE", ssl_cert_file, NULL), 0,
		"Certificate with its chain, PEM. Read again on SIGHUP.", NULL},
	{PATH("SSL_KEY_FILE", ssl_key_file, NULL), 0, "Private key of the certificate, PEM. Read again on SIGHUP.", NULL},
	{"CORS_ORIGIN", SETTING_LIST, FIELD(cors_origin), "*", NULL, 0, 0, NULL, SETTING_EMPTY,
		"Web origins that may connect, comma-separated, such as https://shop.example, or * for all; empty: none "
		"but our own. Requests without an Origin header are always allowed.", NULL},

	{TEXT("POSTGRES_DATABASE_URL", postgres_url, NULL), SETTING_SECRET,
		"The PostgreSQL database to watch: a postgresql:// address or a keyword=value string, as libpq takes it.",
		"Database"},
	{TEXT("MYSQL_DATABASE", mysql_database, NULL), 0,
		"The MySQL or MariaDB database to watch. When it is set it wins over PostgreSQL.", NULL},
	{TEXT("MYSQL_HOST", mysql_host, "localhost"), 0, "Host of the MySQL server, reached by TCP, also localhost; a path, such as /run/mysqld/mysqld.sock, is its socket.", NULL},
	{INT("MYSQL_PORT", mysql_port, "3306", 1, 65535), 0, "Port of the MySQL server.", NULL},
	{TEXT("MYSQL_USERNAME", mysql_username, NULL), 0, "User to connect to MySQL as. Triggers run with its rights.", NULL},
	{TEXT("MYSQL_PASSWORD", mysql_password, NULL), SETTING_SECRET, "That user's password.", NULL},
	{PATH("MYSQL_SSL_CA", mysql_ssl_ca, NULL), 0,
		"Certificates of the authorities that may vouch for the MySQL server, PEM. Unset: the system's.", NULL},
	{"MYSQL_SSL_MODE", SETTING_INDEX, FIELD(mysql_ssl_mode), "preferred", NULL, 0, 0, tls_modes, 0,
		"TLS to the MySQL server, by the names of its own client. `preferred`: where the server has it, without looking at its certificate, and not to the machine "
		"itself; with MYSQL_SSL_CA: `verify_identity`. `required`: never without it. `verify_ca`: an authority vouches for the certificate. "
		"`verify_identity`: for MYSQL_HOST.", NULL},
	{"MYSQL_TABLE_TARGET", SETTING_TEXT, FIELD(mysql_outbox), "esink_pubsub", NULL, 0, 64, NULL, 0,
		"Name of the outbox table on MySQL, in which triggers keep what was not moved to esink_journal yet. A table of that name that is not esink's is refused.", NULL},
	{PATH("SQLITE_PATH", sqlite_path, "esink.db"), 0,
		"SQLite database file to watch when neither of the above is set.", NULL},
	{BOOL("SQLITE_CHECKPOINT", sqlite_checkpoint, "true"), 0,
		"Copies the log of a busy SQLite database into its file in the background, so that its writers need not stop for it. "
		"Set it to false where a tool such as Litestream decides that; a log beyond 64 MB is copied all the same.", NULL},
	{INT("POLL_INTERVAL_MS", poll_interval_ms, "250", 1, 60000), 0,
		"Milliseconds between looks at an idle database; where the database wakes esink, the back-stop.", NULL},
	{DURATION("RETENTION", retention, "24h", SECONDS(1), DAYS(3650)), 0,
		"How long the journal is kept, and longer for what a registered consumer still needs.", NULL},

	{LIST("TABLE_NAMES", table_names), 0,
		"Tables to watch, comma-separated; schema.table is allowed. Exact case is tried first, then lower case. "
		"Empty: only published events.", "What is watched, and who sees it"},
	{"TABLE_AUTH_COLUMN_ROUTING", SETTING_JSON, FIELD(routing), "{}", NULL, 0, 0, NULL, 0,
		"JSON object from table to the column that holds the id of the user who sees the row, a list of such "
		"columns, or \"*\" for everybody. An array column holds several users. A table without a rule reaches no "
		"user.", NULL},
	{LIST("FILTERS", filters), 0,
		"Columns that never leave their table, comma-separated: table.column or schema.table.column. "
		"AUTH_TABLE.AUTH_COLUMN always is one; the token column of a table behind a view is not: name it. "
		"That a row was updated is told even where nothing else of it changed.", NULL},
	{LIST("COLUMNS", columns), 0,
		"Comma-separated table.column: of a table that is named here only these columns leave it. A plain number, "
		"as shells export for the width of a terminal, is ignored.", NULL},
	{LIST("OLD_ROWS", old_rows), 0,
		"Tables (or *) whose update events carry `old`, the row before the update, less the same columns.", NULL},

	{"AUTH_TABLE", SETTING_TEXT, FIELD(auth_table), "auth", NULL, 0, 255, NULL, 0,
		"Table or view in which a client's token is looked up; a view leaves out tokens that have expired or were deleted. "
		"It may be missing when a JWT key is set.",
		"Who may connect"},
	{"AUTH_COLUMN", SETTING_TEXT, FIELD(auth_column), "token", NULL, 0, 255, NULL, 0,
		"Its column with the token, which must equal the client's byte for byte, in exactly one row.", NULL},
	{"AUTH_USER_COLUMN", SETTING_TEXT, FIELD(auth_user_column), "id", NULL, 0, 255, NULL, 0,
		"Its column with the user's id.", NULL},
	{DURATION("AUTH_RECHECK", auth_recheck, "60s", SECONDS(1), DAYS(1)), 0,
		"After this long a token from the table is looked up again; one that is gone ends its sessions.", NULL},
	{TEXT("JWT_SECRET", jwt_secret, NULL), SETTING_SECRET,
		"Accept JSON Web Tokens signed with this secret (HS256, HS384, HS512). Set one of JWT_SECRET, "
		"JWT_PUBLIC_KEY_FILE and JWT_JWKS_FILE.", NULL},
	{PATH("JWT_PUBLIC_KEY_FILE", jwt_public_key_file, NULL), 0,
		"Accept JSON Web Tokens that this public key, PEM, verifies (RS and ES algorithms). Read again on SIGHUP.",
		NULL},
	{PATH("JWT_JWKS_FILE", jwt_jwks_file, NULL), 0,
		"Accept JSON Web Tokens that a key of this JWK set verifies. Read again on SIGHUP.", NULL},
	{"JWT_ALGORITHM", SETTING_WORD, FIELD(jwt_algorithm), "HS256", NULL, 0, 0, algorithms, 0,
		"The one algorithm that is accepted; the token's own word is not asked.", NULL},
	{TEXT("JWT_USER_CLAIM", jwt_user_claim, "sub"), 0, "The claim that holds the user's id.", NULL},
	{TEXT("JWT_ISSUER", jwt_issuer, NULL), 0, "The `iss` that a token must have; empty: not checked.", NULL},
	{TEXT("JWT_AUDIENCE", jwt_audience, NULL), 0, "The `aud` that a token must have; empty: not checked.", NULL},
	{"ALLOW_TEST_TOKEN", SETTING_BOOL, FIELD(allow_test_token), NULL, "true, in production false", 0, 0, NULL, 0,
		"Accept the token TEST, which receives sample events and nothing else.", NULL},

	{TEXT("SECURITY_TOKEN", security_token, NULL), SETTING_SECRET,
		"Enables the HTTP API. Whoever presents it is the operator, who sees every event.", "Publishing"},
	{BOOL("ALLOW_REPUBLISHING", allow_republishing, "false"), 0,
		"Clients may send `event` messages, which reach their own sessions.", NULL},
	{"DEFAULT_SOURCE", SETTING_TEXT, FIELD(default_source), "API", NULL, 0, 64, NULL, 0,
		"`source` of published events that name none.", NULL},

	{"NETWORK_THREADS", SETTING_INT, FIELD(network_threads), NULL, "cores - 1, at least 1", 1, 64, NULL, 0,
		"Threads that serve clients.", "Process"},
	{"LOG_LEVEL", SETTING_INDEX, FIELD(log_level), "info", NULL, 0, 0, levels, 0,
		"Least important lines to write. Tokens, payloads and filtered values are never logged.", NULL},
	{"LOG_FORMAT", SETTING_INDEX, FIELD(log_format), "text", NULL, 0, 0, formats, 0,
		"One line of text, or one JSON object a line.", NULL},

	{INT("MAX_CONNECTIONS", max_connections, "10000", 1, 1000000), 0,
		"Open client connections. Without a value of its own it is lowered to what the limit of open files "
		"(ulimit -n) allows.", "Limits: connections and sessions"},
	{INT("MAX_SESSIONS_PER_USER", max_sessions_per_user, "1000", 1, 1000000), SETTING_ZERO_IS_OFF,
		"Sessions of one user; 0: no limit.", NULL},
	{INT("MAX_SESSIONS_PER_ADDRESS", max_sessions_per_address, "0", 1, 1000000), SETTING_ZERO_IS_OFF,
		"Sessions from one network address; 0: no limit. Behind a proxy all clients share its address.", NULL},
	{DURATION("HANDSHAKE_TIMEOUT", handshake_timeout, "10s", 100, SECONDS(300)), 0,
		"Time for TLS and a complete request after a connection was opened.", NULL},
	{DURATION("IDLE_TIMEOUT", idle_timeout, "60s", 100, SECONDS(3600)), 0,
		"How long a kept-alive HTTP connection may be without a request.", NULL},
	{DURATION("AUTH_TIMEOUT", auth_timeout, "10s", 100, SECONDS(300)), 0,
		"Time for the `auth` message on a websocket that brought no token.", NULL},
	{DURATION("LIVE_TIMEOUT", live_timeout, "10s", 100, SECONDS(300)), 0,
		"How long a new session waits for a database that is away before it is told 503.", NULL},
	{DURATION("SLOW_TIMEOUT", slow_timeout, "30s", 100, SECONDS(3600)), 0,
		"A session whose peer takes nothing for this long while something waits for it is closed as `slow`.", NULL},
	{DURATION("HEARTBEAT_INTERVAL", heartbeat_interval, "15s", 100, SECONDS(30)), 0,
		"A websocket is pinged this often, and a stream gets a heartbeat after this much quiet.", NULL},
	{DURATION("HEARTBEAT_TIMEOUT", heartbeat_timeout, "20s", 100, SECONDS(3600)), 0,
		"A websocket that leaves a ping unanswered for this long is closed.", NULL},
	{DURATION("POSITION_INTERVAL", position_interval, "25s", 100, SECONDS(30)), 0,
		"A quiet session is told its position this often, so that it can resume from there.", NULL},
	{INT("MAX_PENDING_AUTH", max_pending_auth, "1000", 1, 1000000), 0,
		"Token look-ups that may wait for the database; further ones are told to come back.", NULL},

	{BYTES("MAX_MESSAGE_BYTES", max_message_bytes, "100kB", KB(1), MB(100)), 0,
		"Largest message from a client; a larger one closes the connection.", "Limits: messages and requests"},
	{BYTES("MAX_BODY_BYTES", max_body_bytes, "100kB", KB(1), MB(100)), 0,
		"Largest HTTP request body; a larger one is answered 413.", NULL},
	{INT("MAX_MESSAGES_PER_SECOND", max_messages_per_second, "20", 1, 100000), 0,
		"Messages from one client in a second; more closes it as `too-many`.", NULL},
	{INT("MAX_PATTERNS", max_patterns, "100", 1, 10000), 0,
		"Topics, and likewise types, of one subscription. For each 100: 8 kB together, 64 kB compiled, 5 ms to try them.", NULL},
	{BYTES("MAX_PATTERN_BYTES", max_pattern_bytes, "1kB", 16, KB(100)), 0, "Longest topic pattern.", NULL},
	{INT("MAX_PENDING_PUBLISH", max_pending_publish, "1000", 1, 1000000), 0,
		"Published events that may wait for the database; further ones are answered 503.", NULL},
	{DURATION("PUBLISH_TIMEOUT", publish_timeout, "5s", 100, SECONDS(60)), 0,
		"How long POST /publish waits for its event to come back from the database.", NULL},
	{INT("MAX_HISTORY_PAGE", max_history_page, "1000", 1, 1000), 0, "Events in one answer of GET /events, at most.", NULL},

	{BYTES("SESSION_QUEUE_BYTES", session_queue_bytes, "256kB", KB(4), MB(100)), 0,
		"Bytes queued for one session; a session with more reads on at its own pace. One event is always allowed, "
		"whatever its size.", "Limits: memory"},
	{BYTES("SEND_BUFFER_BYTES", send_buffer_bytes, "128kB", KB(4), MB(4)), 0,
		"Send buffer of the system for each connection.", NULL},
	{BYTES("TAIL_BYTES", tail_bytes, "32MB", KB(64), MB(16000)), 0,
		"Recent events kept in memory, from which sessions that are behind catch up.", NULL},
	{BYTES("INBOX_BYTES", inbox_bytes, "32MB", KB(64), MB(16000)), 0,
		"Events on their way to each network thread; above it reading from the database waits.", NULL},

	{INT("MAX_EVENTS_PER_DRAIN", max_events_per_drain, "5000", 1, 1000000), 0,
		"Events read from the database at once.", "Limits: database"},
	{DURATION("STATEMENT_TIMEOUT", statement_timeout, "5s", 100, SECONDS(600)), 0,
		"Longest statement of a token look-up, a published event or a read of the journal.", NULL},
	{INT("MAX_PUBLISH_GROUP", max_publish_group, "100", 1, 10000), 0,
		"Published events that are committed together.", NULL},
	{INT("MAX_PENDING_READS", max_pending_reads, "1000", 1, 1000000), 0,
		"Reads of the journal that may wait for the database.", NULL},
	{DURATION("CONSUMER_MAX_SILENCE", consumer_max_silence, "7d", SECONDS(1), DAYS(3650)), 0,
		"A consumer that was silent for this long no longer holds the journal back: it is dropped.", NULL},
	{INT("MAX_CONSUMERS", max_consumers, "1000", 1, 100000), 0,
		"Registered consumers, dropped ones among them; a PUT of one more is answered 429.", NULL},

	{DURATION("SOCKETIO_PING_INTERVAL", socketio_ping_interval, "25s", 100, SECONDS(300)), 0,
		"Engine.IO pingInterval.", "Limits: Socket.IO"},
	{DURATION("SOCKETIO_PING_TIMEOUT", socketio_ping_timeout, "20s", 100, SECONDS(300)), 0,
		"Engine.IO pingTimeout.", NULL},
	{DURATION("SOCKETIO_CONNECT_TIMEOUT", socketio_connect_timeout, "45s", 100, SECONDS(300)), 0,
		"Time for a Socket.IO CONNECT packet after the Engine.IO handshake.", NULL},
	{BYTES("SOCKETIO_MAX_PAYLOAD", socketio_max_payload, "1MB", KB(1), MB(100)), 0,
		"Engine.IO maxPayload: the largest payload of a polling request.", NULL},
};

const size_t setting_count = sizeof(settings) / sizeof(*settings);
