/* What one variable demands of another: a production relay names its database, a signature algorithm has the key that it
 * needs, TLS has its files, limits fit each other. Each refusal names the variable to change. Whether a key or certificate is
 * any good is for those who load it; whether a table exists, for the database.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "app/config.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"

static enum status complain(const char *name, const char *value, const char *complaint, struct err *err)
{
	return config_complain(config_setting(name), value ? value : "", complaint, err);
}

/* Of a database, and not the one variable that chooses it: the SQLite file that is watched instead would be there, and empty. */
static void doubt_default(struct config *config, const char *const *environment)
{
	static const char postgres[] = "POSTGRES_DATABASE_URL", mysql[] = "MYSQL_DATABASE";
	static const struct {
		const char *given, *wanted;
	} names[] = {{"POSTGRES_URL", postgres}, {"POSTGRESQL_URL", postgres},
		{"DATABASE_URL", "POSTGRES_DATABASE_URL, or MYSQL_DATABASE with its host and user"}, {"PGDATABASE", postgres},
		{"PGHOST", postgres}, {"PGSERVICE", postgres}, {"MYSQL_HOST", mysql}, {"MYSQL_USERNAME", mysql},
		{"MYSQL_PASSWORD", mysql}, {"MYSQL_PASSWORD_FILE", mysql}, {"MYSQL_PORT", mysql}, {"MYSQL_URL", mysql},
		{"MYSQL_USER", mysql}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (config_given(environment, names[i].given)) {
			config_warn(config, mem_format("%s is set, which chooses no database, so the SQLite file \"%s\" is watched: set %s "
				"(or SQLITE_PATH, if that file is meant)", names[i].given, config->sqlite_path, names[i].wanted));
			return;
		}
}

/* MySQL wins over PostgreSQL wins over SQLite. */
static enum status check_database(struct config *config, const char *const *environment, struct err *err)
{
	const char *url = config->postgres_url;

	config->source = config->mysql_database ? "mysql" : url ? "postgres" : "sqlite";
	if (config->production && !config->mysql_database && !url && !config_given(environment, "SQLITE_PATH"))
		return complain("NODE_ENV", config->node_env,
			"allowed without a database of its own: set POSTGRES_DATABASE_URL, MYSQL_DATABASE or SQLITE_PATH", err);
	if (url && strncmp(url, "postgres://", 11) != 0 && strncmp(url, "postgresql://", 13) != 0 && !strchr(url, '='))
		return complain("POSTGRES_DATABASE_URL", url,
			"a postgresql:// address nor a keyword=value string, such as postgresql://user@host/database", err);
	if (!config->mysql_database && !url && !config_given(environment, "SQLITE_PATH"))
		doubt_default(config, environment);
	if (config->mysql_database && url)
		config_warn(config, mem_text("POSTGRES_DATABASE_URL is ignored: MYSQL_DATABASE is set and wins"));
	if ((config->mysql_database || url) && config_given(environment, "SQLITE_PATH"))
		config_warn(config, mem_format("SQLITE_PATH is ignored: %s is set and wins",
			config->mysql_database ? "MYSQL_DATABASE" : "POSTGRES_DATABASE_URL"));
	return STATUS_OK;
}

/* Names of other algorithms and claims are pointless without a key, and whoever set them believes that tokens are checked. */
static enum status check_jwt_unused(struct config *config, const char *const *environment, struct err *err)
{
	static const char *const names[] = {"JWT_ALGORITHM", "JWT_USER_CLAIM", "JWT_ISSUER", "JWT_AUDIENCE"};
	const char *const values[] = {
		config->jwt_algorithm, config->jwt_user_claim, config->jwt_issuer, config->jwt_audience};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (config_given(environment, names[i]))
			return complain(names[i], values[i],
				"of use without a key: set JWT_SECRET, JWT_PUBLIC_KEY_FILE or JWT_JWKS_FILE", err);
	return STATUS_OK;
}

static enum status check_jwt(struct config *config, const char *const *environment, struct err *err)
{
	bool hmac = !strncmp(config->jwt_algorithm, "HS", 2);
	int keys = !!config->jwt_secret + !!config->jwt_public_key_file + !!config->jwt_jwks_file;

	if (!keys)
		return check_jwt_unused(config, environment, err);
	if (keys > 1) /* the value that is shown is a path, never the secret */
		return complain(config->jwt_jwks_file ? "JWT_JWKS_FILE" : "JWT_PUBLIC_KEY_FILE",
			config->jwt_jwks_file ? config->jwt_jwks_file : config->jwt_public_key_file,
			"allowed beside another key: set one of JWT_SECRET, JWT_PUBLIC_KEY_FILE and JWT_JWKS_FILE", err);
	if (hmac && config->jwt_public_key_file)
		return complain("JWT_ALGORITHM", config->jwt_algorithm,
			"an algorithm of JWT_PUBLIC_KEY_FILE: set RS256, RS384, RS512, ES256, ES384 or ES512", err);
	if (!hmac && config->jwt_secret)
		return complain("JWT_ALGORITHM", config->jwt_algorithm,
			"an algorithm of JWT_SECRET: set HS256, HS384 or HS512, or give a public key in "
			"JWT_PUBLIC_KEY_FILE instead", err);
	if (config->jwt_secret && strlen(config->jwt_secret) < 32)
		config_warn(config, mem_text("JWT_SECRET is shorter than 32 bytes: such a secret can be guessed from a token"));
	return STATUS_OK;
}

/* What lets in whoever guesses it. */
static void doubt_tokens(struct config *config)
{
	if (config->security_token && strlen(config->security_token) < 16)
		config_warn(config, mem_text("SECURITY_TOKEN is shorter than 16 bytes: such a token can be guessed, and its bearer sees and "
			"publishes everything"));
	if (!strcasecmp(config->auth_column, config->auth_user_column))
		config_warn(config, mem_format("AUTH_COLUMN is AUTH_USER_COLUMN, \"%s\": whoever knows a user's id comes in as that user",
			config->auth_column));
}

static enum status check_file(const char *name, const char *path, struct err *err)
{
	if (!path)
		return complain(name, "", "allowed to be empty when USE_SSL is true", err);
	return access(path, R_OK) == 0 ? STATUS_OK : complain(name, path, "a readable file", err);
}

static enum status check_tls(const struct config *config, struct err *err)
{
	enum status status;

	if (config->mysql_database && config->mysql_ssl_ca && access(config->mysql_ssl_ca, R_OK) != 0)
		return complain("MYSQL_SSL_CA", config->mysql_ssl_ca, "a readable file", err);
	if (!config->use_ssl)
		return STATUS_OK;
	status = check_file("SSL_CERT_FILE", config->ssl_cert_file, err);
	return status == STATUS_OK ? check_file("SSL_KEY_FILE", config->ssl_key_file, err) : status;
}

/* scheme://host[:port], as browsers write the Origin header: no path, no trailing slash. */
static bool is_origin(const char *text)
{
	size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
	const char *host = text + scheme + 3;

	if (!scheme || strncmp(text + scheme, "://", 3) != 0 || !*host)
		return false;
	for (; *host; host++)
		if (isspace((unsigned char)*host) || strchr("/?#@*\"'", *host) || isupper((unsigned char)*host))
			return false;
	return true;
}

static void add_origin(struct config *config, const char *origin)
{
	mem_grow(&config->origins, &config->origin_room, config->origin_count, sizeof(*config->origins));
	config->origins[config->origin_count++] = mem_text(origin);
}

static enum status check_origins(struct config *config, struct err *err)
{
	AUTO_FREE char *copy = mem_text(config->cors_origin);
	char *rest = NULL;

	for (char *item = strtok_r(copy, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
		item += strspn(item, " \t\n");
		for (size_t n = strlen(item); n && isspace((unsigned char)item[n - 1]); n--)
			item[n - 1] = 0;
		if (*item && strcmp(item, "*") != 0 && !is_origin(item))
			return complain("CORS_ORIGIN", item,
				"an origin in lower case without a path, such as https://shop.example or http://localhost:3000, "
				"nor *", err);
		if (*item)
			add_origin(config, item);
	}
	if (!config->origin_count)
		add_origin(config, "");
	return STATUS_OK;
}

static enum status check_limits(struct config *config, struct err *err)
{
	char text[32];

	if (config->session_queue_bytes > config->tail_bytes) {
		config_show_number(config_setting("SESSION_QUEUE_BYTES"), config->session_queue_bytes, text);
		return complain("SESSION_QUEUE_BYTES", text, "within TAIL_BYTES: lower it, or raise TAIL_BYTES", err);
	}
	return STATUS_OK;
}

static void derive(struct config *config, const char *const *environment)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (!config->network_threads)
		config->network_threads = cores > 65 ? 64 : cores > 1 ? cores - 1 : 1;
	config->max_connections_set = config_given(environment, "MAX_CONNECTIONS");
}

enum status config_check(struct config *config, const char *const *environment, struct err *err)
{
	enum status status;

	if (!config->production && !strncasecmp(config->node_env, "prod", 4))
		config_warn(config, mem_format("NODE_ENV is not production: the TEST token is %s",
			config->allow_test_token ? "on" : "off"));
	derive(config, environment);
	doubt_tokens(config);
	status = check_database(config, environment, err);
	if (status == STATUS_OK)
		status = check_jwt(config, environment, err);
	if (status == STATUS_OK)
		status = check_tls(config, err);
	if (status == STATUS_OK)
		status = check_origins(config, err);
	return status == STATUS_OK ? check_limits(config, err) : status;
}
