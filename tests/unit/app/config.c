/* Prevents: a value that is misread without a word, a start that goes on with half a configuration, a secret in an error
 * line, and a misspelt FILTERS that nobody notices. Each case is an environment and what comes of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/config.h"

#define MAX_VARIABLES 9
#define KEY "0123456789abcdef0123456789abcdef" /* long enough not to be warned of */

/* -- what is accepted: one variable, the field, its value ----------------------------------------------------------- */

struct number_case {
	const char *variable;
	size_t field;
	int64_t expected;
};

#define NUMBER(variable, field, expected) {variable, offsetof(struct config, field), expected}

static const struct number_case numbers[] = {
	NUMBER("X=", port, 80),
	NUMBER("PORT=", port, 80),
	NUMBER("PORT=1", port, 1),
	NUMBER("PORT=65535", port, 65535),
	NUMBER("PORT=00080", port, 80),
	NUMBER("RETENTION=24h", retention, 86400000),
	NUMBER("RETENTION=90", retention, 90000),
	NUMBER("RETENTION=7D", retention, 7 * 86400000LL),
	NUMBER("SLOW_TIMEOUT=250ms", slow_timeout, 250),
	NUMBER("SLOW_TIMEOUT=1m", slow_timeout, 60000),
	NUMBER("AUTH_RECHECK=60", auth_recheck, 60000),
	NUMBER("MAX_BODY_BYTES=100kB", max_body_bytes, 100000),
	NUMBER("MAX_BODY_BYTES=100KB", max_body_bytes, 100000),
	NUMBER("MAX_BODY_BYTES=65536", max_body_bytes, 65536),
	NUMBER("MAX_BODY_BYTES=2MiB", max_body_bytes, 2 << 20),
	NUMBER("TAIL_BYTES=1GB", tail_bytes, 1000000000),
	NUMBER("MAX_SESSIONS_PER_ADDRESS=0", max_sessions_per_address, 0),
	NUMBER("MAX_SESSIONS_PER_USER=0", max_sessions_per_user, 0),
	NUMBER("NETWORK_THREADS=3", network_threads, 3),
	NUMBER("LOG_LEVEL=WARN", log_level, 2),
	NUMBER("LOG_FORMAT=json", log_format, 1),
};

static void reads_numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		const char *environment[] = {numbers[i].variable, NULL};
		struct config config = {0};
		struct err err;

		if (config_load(&config, environment, &err) != STATUS_OK)
			fail_msg("%s: %s", numbers[i].variable, err.text);
		int64_t got = *(int64_t *)((char *)&config + numbers[i].field);
		if (got != numbers[i].expected)
			fail_msg("%s gave %lld", numbers[i].variable, (long long)got);
		config_finish(&config);
	}
}

static void reads_booleans(void **state)
{
	static const struct {
		const char *value;
		bool expected;
	} cases[] = {{"true", true}, {"1", true}, {"yes", true}, {"on", true}, {"TRUE", true}, {"Yes", true}, {"false", false},
		{"0", false}, {"no", false}, {"off", false}, {"", false}, {"OFF", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char republish[64], test_token[64];
		const char *environment[] = {republish, test_token, NULL};
		struct config config = {0};

		snprintf(republish, sizeof(republish), "ALLOW_REPUBLISHING=%s", cases[i].value);
		snprintf(test_token, sizeof(test_token), "ALLOW_TEST_TOKEN=%s", cases[i].value);
		assert_int_equal(config_load(&config, environment, NULL), STATUS_OK);
		assert_int_equal(config.allow_republishing, cases[i].expected);
		assert_int_equal(config.allow_test_token, cases[i].expected);
		config_finish(&config);
	}
}

struct text_case {
	const char *environment[MAX_VARIABLES];
	size_t field;
	const char *expected; /* NULL: none */
};

#define TEXT(field, expected, ...) {{__VA_ARGS__, NULL}, offsetof(struct config, field), expected}

static const struct text_case texts[] = {
	TEXT(host, NULL, "X="),
	TEXT(host, "::1", "HOST=::1"),
	TEXT(auth_table, "auth", "AUTH_TABLE="),
	TEXT(auth_table, "shop.Tokens", "AUTH_TABLE=shop.Tokens"),
	TEXT(routing, "{}", "X="),
	TEXT(routing, "{\"a\":\n\"*\"}", "TABLE_AUTH_COLUMN_ROUTING={\"a\":\n\"*\"}"),
	TEXT(table_names, "a, b", "TABLE_NAMES=a, b"),
	TEXT(table_names, "second", "TABLE_NAMES=first", "TABLE_NAMES=second"),
	TEXT(columns, "a.b", "COLUMNS=a.b"),
	TEXT(columns, NULL, "COLUMNS=132"), /* a terminal's width */
	TEXT(cors_origin, "*", "X="),
	TEXT(cors_origin, "", "CORS_ORIGIN="), /* whoever empties it wants no foreign origin */
	TEXT(cors_origin, "https://a.example, http://localhost:3000", "CORS_ORIGIN=https://a.example, http://localhost:3000"),
	TEXT(default_source, "API", "X="),
	TEXT(jwt_algorithm, "ES384", "JWT_ALGORITHM=es384", "JWT_JWKS_FILE=/k"),
	TEXT(jwt_secret, "a=b", "JWT_SECRET=a=b"),
	TEXT(jwt_secret, NULL, "JWT_SECRET="),
	TEXT(source, "sqlite", "X="),
	TEXT(source, "postgres", "POSTGRES_DATABASE_URL=dbname=shop", "SQLITE_PATH=x.db"),
	TEXT(source, "postgres", "POSTGRES_DATABASE_URL=postgres://h/shop", "MYSQL_DATABASE="),
	TEXT(source, "mysql", "POSTGRES_DATABASE_URL=postgresql://h/shop", "MYSQL_DATABASE=shop"),
	TEXT(sqlite_path, "x.db", "NODE_ENV=production", "SQLITE_PATH=x.db"),
};

static void reads_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct config config = {0};
		struct err err;
		const char *got;

		if (config_load(&config, texts[i].environment, &err) != STATUS_OK)
			fail_msg("%s: %s", texts[i].environment[0], err.text);
		got = *(char **)((char *)&config + texts[i].field);
		if (!got != !texts[i].expected || (got && strcmp(got, texts[i].expected) != 0))
			fail_msg("%s gave %s", texts[i].environment[0], got ? got : "nothing");
		config_finish(&config);
	}
}

/* -- what is refused: the environment and the line ------------------------------------------------------------------ */

static const struct {
	const char *environment[MAX_VARIABLES], *line;
} refused[] = {
	{{"PORT=http"}, "PORT: \"http\" is not a whole number from 1 to 65535"},
	{{"PORT=0"}, "PORT: \"0\" is not a whole number from 1 to 65535"},
	{{"PORT=65536"}, "PORT: \"65536\" is not a whole number from 1 to 65535"},
	{{"PORT=-1"}, "PORT: \"-1\" is not a whole number from 1 to 65535"},
	{{"PORT=+1"}, "PORT: \"+1\" is not a whole number from 1 to 65535"},
	{{"PORT= 80"}, "PORT: \" 80\" is not a whole number from 1 to 65535"},
	{{"PORT=80s"}, "PORT: \"80s\" is not a whole number from 1 to 65535"},
	{{"PORT=99999999999999999999999"}, "PORT: \"99999999999999999999999\" is not a whole number from 1 to 65535"},
	{{"PORT=8\x1b[0m\n"}, "PORT: \"8?[0m?\" is not a whole number from 1 to 65535"},
	{{"PORT=\"8080\""},
		"PORT: \"\"8080\"\" is not a whole number from 1 to 65535. The quotes are part of the value: take them away"},
	{{"PORT='8080"}, "PORT: \"'8080\" is not a whole number from 1 to 65535"},
	{{"USE_SSL=maybe"}, "USE_SSL: \"maybe\" is not a boolean: true, 1, yes or on; false, 0, no or off"},
	{{"LOG_LEVEL=loud"}, "LOG_LEVEL: \"loud\" is not one of debug, info, warn, error"},
	{{"RETENTION=3 weeks"},
		"RETENTION: \"3 weeks\" is not a duration from 1s to 3650d, such as 250ms, 90s, 15m, 24h or 7d"},
	{{"RETENTION=1ms"}, "RETENTION: \"1ms\" is not a duration from 1s to 3650d, such as 250ms, 90s, 15m, 24h or 7d"},
	{{"RETENTION=9999999999999999d"},
		"RETENTION: \"9999999999999999d\" is not a duration from 1s to 3650d, such as 250ms, 90s, 15m, 24h or 7d"},
	{{"MAX_BODY_BYTES=100kb!"},
		"MAX_BODY_BYTES: \"100kb!\" is not a size from 1kB to 100MB, such as 65536, 100kB, 64MB or 2MiB"},
	{{"MAX_SESSIONS_PER_USER=-5"},
		"MAX_SESSIONS_PER_USER: \"-5\" is not a whole number from 1 to 1000000 (or 0: no limit)"},
	{{"HOST=a\x07"}, "HOST: \"a?\" is not free of control characters"},
	{{"AUTH_TABLE=\xff"}, "AUTH_TABLE: \"?\" is not UTF-8 text"},
	{{"DEFAULT_SOURCE=0123456789012345678901234567890123456789012345678901234567890123x"},
		"DEFAULT_SOURCE: \"0123456789012345678901234567890123456789012345678901234567890123x\" is not at most 64 "
		"bytes long"},
	{{"CORS_ORIGIN=https://a.example/"},
		"CORS_ORIGIN: \"https://a.example/\" is not an origin in lower case without a path, such as "
		"https://shop.example or http://localhost:3000, nor *"},
	{{"CORS_ORIGIN=*, a.example"},
		"CORS_ORIGIN: \"a.example\" is not an origin in lower case without a path, such as https://shop.example or "
		"http://localhost:3000, nor *"},
	{{"POSTGRES_DATABASE_URL=mysql://u:hunter2@h/d"},
		"POSTGRES_DATABASE_URL: the value (not shown, it is a secret) is not a postgresql:// address nor a "
		"keyword=value string, such as postgresql://user@host/database"},
	{{"JWT_SECRET=a\xff"}, "JWT_SECRET: the value (not shown, it is a secret) is not UTF-8 text"},
	{{"NODE_ENV=production"},
		"NODE_ENV: \"production\" is not allowed without a database of its own: set POSTGRES_DATABASE_URL, "
		"MYSQL_DATABASE or SQLITE_PATH"},
	{{"JWT_ALGORITHM=none"},
		"JWT_ALGORITHM: \"none\" is not one of HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512"},
	{{"JWT_ALGORITHM=RS256"}, "JWT_ALGORITHM: \"RS256\" is not of use without a key: set JWT_SECRET, "
				  "JWT_PUBLIC_KEY_FILE or JWT_JWKS_FILE"},
	{{"JWT_ISSUER=me"}, "JWT_ISSUER: \"me\" is not of use without a key: set JWT_SECRET, JWT_PUBLIC_KEY_FILE or "
			    "JWT_JWKS_FILE"},
	{{"JWT_PUBLIC_KEY_FILE=/k"}, "JWT_ALGORITHM: \"HS256\" is not an algorithm of JWT_PUBLIC_KEY_FILE: set RS256, "
				     "RS384, RS512, ES256, ES384 or ES512"},
	{{"JWT_SECRET=" KEY, "JWT_ALGORITHM=RS256"},
		"JWT_ALGORITHM: \"RS256\" is not an algorithm of JWT_SECRET: set HS256, HS384 or HS512, or give a public "
		"key in JWT_PUBLIC_KEY_FILE instead"},
	{{"JWT_SECRET=" KEY, "JWT_PUBLIC_KEY_FILE=/k"},
		"JWT_PUBLIC_KEY_FILE: \"/k\" is not allowed beside another key: set one of JWT_SECRET, "
		"JWT_PUBLIC_KEY_FILE and JWT_JWKS_FILE"},
	{{"USE_SSL=1"}, "SSL_CERT_FILE: \"\" is not allowed to be empty when USE_SSL is true"},
	{{"USE_SSL=1", "SSL_CERT_FILE=/nowhere/c.pem", "SSL_KEY_FILE=/k"},
		"SSL_CERT_FILE: \"/nowhere/c.pem\" is not a readable file"},
	{{"SESSION_QUEUE_BYTES=1MB", "TAIL_BYTES=64kB"},
		"SESSION_QUEUE_BYTES: \"1MB\" is not within TAIL_BYTES: lower it, or raise TAIL_BYTES"},
	{{"SECURITY_TOKEN_FILE=/nowhere/token"},
		"SECURITY_TOKEN_FILE: \"/nowhere/token\" is not a readable text file of at most 64 kB: No such file or "
		"directory"},
	{{"SECURITY_TOKEN=x", "SECURITY_TOKEN_FILE=/f"},
		"SECURITY_TOKEN_FILE: \"/f\" is not usable while SECURITY_TOKEN is set too: keep one of them"},
};

static void refuses_with_one_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		struct config config = {0};
		struct err err = {{0}};

		if (config_load(&config, refused[i].environment, &err) != STATUS_INVALID)
			fail_msg("%s was accepted", refused[i].environment[0]);
		assert_string_equal(err.text, refused[i].line);
		assert_null(strstr(err.text, "hunter2"));
		config_finish(&config);
	}
}

/* -- what is accepted with a warning --------------------------------------------------------------------------------- */

#define DEFAULTED(given, wanted)                                                                                      \
	given " is set, which chooses no database, so the SQLite file \"esink.db\" is watched: set " wanted                 \
	      " (or SQLITE_PATH, if that file is meant)"

static const struct {
	const char *environment[MAX_VARIABLES], *warning; /* NULL: none */
} warned[] = {
	{{"FILTER=users.password"}, "FILTER is not a variable of esink: did you mean FILTERS?"},
	{{"TABLE_NAME=a"}, "TABLE_NAME is not a variable of esink: did you mean TABLE_NAMES?"},
	{{"TABLE_NAEMS=a"}, "TABLE_NAEMS is not a variable of esink: did you mean TABLE_NAMES?"},
	{{"SECURTY_TOKEN=a"}, "SECURTY_TOKEN is not a variable of esink: did you mean SECURITY_TOKEN?"},
	{{"SECURITY_TOKEN_FIL=a"}, "SECURITY_TOKEN_FIL is not a variable of esink: did you mean SECURITY_TOKEN?"},
	{{"TABLE_NAMES_FILE=/f"}, "TABLE_NAMES_FILE is ignored: only secrets can be read from a file; set TABLE_NAMES"},
	{{"NODE_ENV=prod"}, "NODE_ENV is not production: the TEST token is on"},
	{{"JWT_SECRET=short"}, "JWT_SECRET is shorter than 32 bytes: such a secret can be guessed from a token"},
	{{"SECURITY_TOKEN=fifteen-bytes-.."}, NULL},
	{{"SECURITY_TOKEN=fifteen-bytes-."},
		"SECURITY_TOKEN is shorter than 16 bytes: such a token can be guessed, and its bearer sees and publishes everything"},
	{{"AUTH_COLUMN=ID"}, "AUTH_COLUMN is AUTH_USER_COLUMN, \"ID\": whoever knows a user's id comes in as that user"},
	{{"SQLITE_PATH=a", "POSTGRES_DATABASE_URL=dbname=a"}, "SQLITE_PATH is ignored: POSTGRES_DATABASE_URL is set and wins"},
	{{"POSTGRES_DATABASE_URL=dbname=a", "MYSQL_DATABASE=a", "MYSQL_USERNAME=a"},
		"POSTGRES_DATABASE_URL is ignored: MYSQL_DATABASE is set and wins"},
	{{"SECURITY_TOKEN=\"of-operators-..\""}, "SECURITY_TOKEN begins and ends with quotes: they are part of the value"},
	{{"JWT_SECRET='" KEY "'"}, "JWT_SECRET begins and ends with quotes: they are part of the value"},
	{{"TABLE_NAMES='a,b'"}, "TABLE_NAMES begins and ends with quotes: they are part of the value"},
	{{"SECURITY_TOKEN=\"of-operators-...", "TABLE_NAMES='", "FILTERS=a.'b'", "MYSQL_PASSWORD='a\"", "MYSQL_DATABASE=c", "MYSQL_USERNAME=d"}, NULL},
	{{"HOSTS=a", "POST=1", "PORTS=2", "PATH=/bin", "SHELL=sh"}, NULL}, /* anybody's */
	{{"PORTT=1"}, "PORTT is not a variable of esink: did you mean PORT?"},
	{{"HSOT=a"}, "HSOT is not a variable of esink: did you mean HOST?"},
	{{"TABLE_AUTH_ROUTING={}"}, "TABLE_AUTH_ROUTING is not a variable of esink: did you mean TABLE_AUTH_COLUMN_ROUTING?"},
	{{"AUTH_COLUMN_ROUTING={}"}, "AUTH_COLUMN_ROUTING is not a variable of esink: did you mean TABLE_AUTH_COLUMN_ROUTING?"},
	{{"TABLE_AUTH_COLUMN={}"}, "TABLE_AUTH_COLUMN is not a variable of esink: did you mean TABLE_AUTH_COLUMN_ROUTING?"},
	{{"SSL_CERT=a", "SSL_KEY=b", "JWT_KEY=c", "MAX_CONNECTIONS_=d", "PORT_=1", "XPORT=1", "GHOST=1", "SPORT=1"},
		"MAX_CONNECTIONS_ is not a variable of esink: did you mean MAX_CONNECTIONS?"},
	{{"DB_HOST=a", "DB_PORT=b", "HTTP_PORT=c", "JAVA_HOME=d", "AUTH_TOKEN=e", "LOG_FILE=f", "NODE_PATH=g"}, NULL},
	{{"MYSQL_TABLE=a", "POSTGRES_DATABASE=a", "POSTGRES_PASSWORD=b", "SQLITE_FILE=c", "DATABASE=d", "_=e", "LS_COLORS=f"}, NULL},
	{{"POSTGRES_URL=postgres://a"}, DEFAULTED("POSTGRES_URL", "POSTGRES_DATABASE_URL")},
	{{"DATABASE_URL=postgres://a", "PGHOST=b"},
		DEFAULTED("DATABASE_URL", "POSTGRES_DATABASE_URL, or MYSQL_DATABASE with its host and user")},
	{{"PGHOST=a", "PGUSER=b"}, DEFAULTED("PGHOST", "POSTGRES_DATABASE_URL")},
	{{"MYSQL_HOST=a", "MYSQL_USERNAME=b"}, DEFAULTED("MYSQL_HOST", "MYSQL_DATABASE")},
	{{"DATABASE_URL=a", "PGHOST=b", "MYSQL_HOST=c", "POSTGRES_DATABASE_URL=dbname=d"}, NULL},
	{{"DATABASE_URL=a", "PGHOST=b", "MYSQL_DATABASE=c", "MYSQL_USERNAME=d"}, NULL},
	{{"SQLITE_PATH=x.db", "MYSQL_USER=a", "MYSQL_ROOT_PASSWORD=b", "PGHOST=c", "HOSTNAME=d", "SSL_CERT_DIR=e"}, NULL},
	{{"filter=a", "Table_Name=b"}, NULL}, /* not the form of ours */
	{{"HOST_FILE=/f", "PORT_FILE=/f"}, NULL},
	{{"JWT_SECRET=" KEY, "SSL_CERT_FILE=/c", "COLUMNS=80"}, NULL},
};

static void warns_of_what_looks_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(warned) / sizeof(*warned); i++) {
		struct config config = {0};

		assert_int_equal(config_load(&config, warned[i].environment, NULL), STATUS_OK);
		if (config.warning_count != (warned[i].warning ? 1U : 0U))
			fail_msg("%s: %zu warnings", warned[i].environment[0], config.warning_count);
		if (warned[i].warning)
			assert_string_equal(config.warnings[0], warned[i].warning);
		config_finish(&config);
	}
}

/* -- secrets from files ------------------------------------------------------------------------------------------------ */

static void reads_secrets_from_files(void **state)
{
	static const struct {
		const char *content, *expected; /* NULL: refused */
		size_t len;
	} cases[] = {{"s3cret", "s3cret", 6}, {"s3cret\n", "s3cret", 7}, {"s3cret\n\n", "s3cret\n", 8},
		{" s3cret ", " s3cret ", 8}, {"", NULL, 0}, {"\n", NULL, 1}, {"a\0b", NULL, 3}};
	char path[] = "/tmp/esink-config-XXXXXX", variable[64];
	const char *environment[] = {variable, "SECURITY_TOKEN=", NULL}; /* an empty one is not set */

	(void)state;
	close(mkstemp(path));
	snprintf(variable, sizeof(variable), "SECURITY_TOKEN_FILE=%s", path);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct config config = {0};
		struct err err = {{0}};
		FILE *file = fopen(path, "w");
		enum status status;

		fwrite(cases[i].content, 1, cases[i].len, file);
		fclose(file);
		status = config_load(&config, environment, &err);
		assert_int_equal(status, cases[i].expected ? STATUS_OK : STATUS_INVALID);
		if (cases[i].expected)
			assert_string_equal(config.security_token, cases[i].expected);
		else
			assert_non_null(strstr(err.text, path));
		config_finish(&config);
	}
	unlink(path);
}

/* -- the table itself --------------------------------------------------------------------------------------------------- */

static void derives_what_is_not_set(void **state)
{
	const char *plain[] = {NULL}, *production[] = {"NODE_ENV=Production", "SQLITE_PATH=a", NULL};
	const char *both[] = {"NODE_ENV=production", "SQLITE_PATH=a", "ALLOW_TEST_TOKEN=yes", "MAX_CONNECTIONS=7", NULL};
	struct config config = {0};

	(void)state;
	assert_int_equal(config_load(&config, plain, NULL), STATUS_OK);
	assert_true(config.allow_test_token && !config.production && config.network_threads >= 1);
	assert_false(config.max_connections_set);
	config_finish(&config);
	config = (struct config){0};
	assert_int_equal(config_load(&config, production, NULL), STATUS_OK);
	assert_true(!config.allow_test_token && config.production);
	config_finish(&config);
	config = (struct config){0};
	assert_int_equal(config_load(&config, both, NULL), STATUS_OK);
	assert_true(config.allow_test_token && config.production && config.max_connections_set);
	config_finish(&config);
}

/* A line whose default is out of its own range, a name twice, or two names for one field. */
static void table_is_consistent(void **state)
{
	(void)state;
	for (size_t i = 0; i < setting_count; i++) {
		struct config config = {0};
		struct err err = {{0}};

		if (settings[i].fallback && config_set(&config, &settings[i], settings[i].fallback, &err) != STATUS_OK)
			fail_msg("%s", err.text);
		config_finish(&config);
		assert_true(settings[i].fallback == NULL || settings[i].derived == NULL);
		assert_int_equal(settings[i].help[strlen(settings[i].help) - 1], '.');
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(settings[i].name, settings[j].name);
			assert_int_not_equal(settings[i].field, settings[j].field);
		}
	}
}

/* --help is read in terminals of 80 columns. */
static void help_fits_the_terminal(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	config_print_help(out);
	fclose(out);
	for (char *rest = NULL, *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (strlen(line) > 80)
			fail_msg("%s", line);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_numbers),
		cmocka_unit_test(reads_booleans),
		cmocka_unit_test(reads_texts),
		cmocka_unit_test(refuses_with_one_line),
		cmocka_unit_test(warns_of_what_looks_wrong),
		cmocka_unit_test(reads_secrets_from_files),
		cmocka_unit_test(derives_what_is_not_set),
		cmocka_unit_test(table_is_consistent),
		cmocka_unit_test(help_fits_the_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
