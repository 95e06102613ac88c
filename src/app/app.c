/* The wiring. Layers know nothing of each other but what is handed to them here:
 *
 *   config -> ruleset -> auth -> source -> lanes (look-ups, writes, reads) -> server (a hub per network thread) -> pump
 *
 * The server listens first, and /ready answers 503 until the pump has opened the source. Ending goes the other way: clients
 * are sent elsewhere, capture stops, then the lanes, whose last answers still find their hubs, and only then memory goes.
 * Every step of finish() tolerates what was never made, so that there is one way out.
 */
#include "app/app.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/layer_config.h"
#include "app/readiness.h"
#include "app/signals.h"
#include "auth/auth.h"
#include "base/log.h"
#include "rules/ruleset.h"
#include "source/lanes.h"
#include "source/pump.h"
#include "source/source.h"
#include "transport/server.h"

#define DRAIN_MS 4000    /* for clients; the rest of the five seconds is for the database */
#define SHUTDOWN_MS 4800 /* after it the process ends however it stands: nothing durable is in it */
#define FETCH_MS 1000    /* longest wait of one fetch */
#define FILES_OF_OURS 256 /* descriptors that are no client connections: database, loops, log, listening sockets */

struct app {
	const struct config *config;
	struct ruleset *rules;
	struct auth *auth;
	const struct source_ops *ops;
	struct source_config source_config;
	struct hub_config hub_config; /* the hubs borrow it */
	void *source;
	struct lanes *lanes;
	struct server *server;
	struct pump *pump;
	struct readiness readiness;
	int signal_fd, stop_fd; /* stop_fd: readable when the source must give up whatever blocks */
	int fatal_fd;           /* readable when the source refused to start; fatal is the sentence then */
	struct err fatal;
};

/* -- what the source thread calls -------------------------------------------------------------------------------------- */

static void on_live(void *context, const struct source_position *head)
{
	struct app *app = context;
	size_t count;
	struct hub *const *hubs = server_hubs(app->server, &count);

	for (size_t i = 0; i < count; i++)
		hub_live(hubs[i], head);
	readiness_live(&app->readiness);
}

static void on_away(void *context, const char *reason)
{
	struct app *app = context;
	size_t count;
	struct hub *const *hubs = server_hubs(app->server, &count);

	readiness_away(&app->readiness, reason);
	for (size_t i = 0; i < count; i++)
		hub_away(hubs[i]);
}

/* A hub that is stopping takes nothing any more: its clients are on their way elsewhere, where the journal has it all. */
static bool on_events(void *context, struct event *const *events, size_t event_count)
{
	struct app *app = context;
	size_t count;
	struct hub *const *hubs = server_hubs(app->server, &count);

	for (size_t i = 0; i < count; i++)
		if (!hub_deliver(hubs[i], events, event_count))
			log_debug("app", "%zu events came after the hubs had stopped", event_count);
	return true;
}

static void on_fatal(void *context, enum status status, const char *reason)
{
	struct app *app = context;
	uint64_t one = 1;

	readiness_away(&app->readiness, reason);
	err_set(&app->fatal, status, "%s", reason);
	/* Orders the sentence before the main thread's reading of it; write(2) and not eventfd_write(), for ThreadSanitizer to see. */
	if (write(app->fatal_fd, &one, sizeof(one)) < 0)
		log_error("app", "the main thread is not told: %s", strerror(errno));
}

/* -- making it --------------------------------------------------------------------------------------------------------- */

static enum app_exit say(enum app_exit status, const struct err *err)
{
	fprintf(stderr, "esink: %s\n", err->text);
	return status;
}

static enum app_exit exit_of(enum status status)
{
	if (status == STATUS_OK)
		return APP_DONE;
	return status == STATUS_INVALID || status == STATUS_NOT_FOUND || status == STATUS_DENIED ? APP_BAD_DATABASE :
												     APP_FAILED;
}

static enum status find_source(struct app *app, struct err *err)
{
	const struct config *config = app->config;

	app->ops = source_by_name(config->source);
	if (app->ops)
		return STATUS_OK;
	return err_set(err, STATUS_INVALID, "this build of esink has no source of the name %s", config->source);
}

/* What every command needs: rules, keys and a source that is not connected yet. */
static enum app_exit app_init(struct app *app, const struct config *config)
{
	const struct ruleset_text rules = layer_rules(config);
	const struct auth_config auth = layer_auth(config);
	struct err err = {{0}};

	*app = (struct app){.config = config, .signal_fd = -1};
	app->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	app->fatal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	readiness_init(&app->readiness);
	if (app->stop_fd < 0 || app->fatal_fd < 0) {
		err_set(&err, STATUS_FAILED, "the system has no descriptor for us: %s", strerror(errno));
		return say(APP_FAILED, &err);
	}
	app->rules = ruleset_create(&rules, &err);
	if (app->rules)
		app->auth = auth_create(&auth, &err);
	if (!app->auth || find_source(app, &err) != STATUS_OK)
		return say(APP_BAD_CONFIG, &err);
	app->source_config = layer_source(config);
	app->source_config.rules = app->rules;
	app->source_config.stop_fd = app->stop_fd;
	if (app->ops->validate && app->ops->validate(&app->source_config, &err) != STATUS_OK)
		return say(APP_BAD_CONFIG, &err);
	app->source = app->ops->create(&app->source_config);
	readiness_watch(&app->readiness, app->ops, app->source);
	return APP_DONE;
}

static void make_lanes(struct app *app)
{
	const struct lanes_config lanes = layer_lanes(app->config);

	app->lanes = lanes_create(app->ops, app->source, &lanes);
	readiness_watch_also(&app->readiness, lanes_complaint, app->lanes);
}

/* No more than the hard limit of open files allows; the server raises the soft one to what it needs. */
static uint32_t allowed_connections(const struct config *config)
{
	struct rlimit files;
	int64_t allowed = config->max_connections;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max == RLIM_INFINITY ||
		files.rlim_max >= (rlim_t)allowed + FILES_OF_OURS)
		return (uint32_t)allowed;
	allowed = (int64_t)(files.rlim_max > 2 * FILES_OF_OURS ? files.rlim_max - FILES_OF_OURS : files.rlim_max / 2);
	log_line(config->max_connections_set ? LOG_WARN : LOG_INFO, "app",
		"MAX_CONNECTIONS is %lld, not %lld: no more than %llu files may be open (ulimit -Hn)", (long long)allowed,
		(long long)config->max_connections, (unsigned long long)files.rlim_max);
	return (uint32_t)allowed;
}

static bool make_server(struct app *app, struct err *err)
{
	const struct config *config = app->config;
	uint32_t connections = allowed_connections(config);
	struct server_config server = layer_server(config);
	size_t count;
	struct hub *const *hubs;

	server.max_connections = connections;
	server.rules = app->rules;
	server.ready = readiness_ask;
	server.ready_context = &app->readiness;
	app->hub_config = layer_hub(config);
	app->hub_config.auth = app->auth;
	app->hub_config.services =
		(struct services){app->lanes, lanes_lookup, lanes_publish, lanes_read, lanes_history, lanes_consume};
	app->hub_config.rules = app->rules;
	app->hub_config.max_sessions = connections;
	app->server = server_create(&server, &app->hub_config, err);
	if (!app->server)
		return false;
	hubs = server_hubs(app->server, &count);
	for (size_t i = 0; i < count; i++)
		hub_on_shown(hubs[i], lanes_shown, app->lanes);
	return true;
}

static void make_pump(struct app *app)
{
	const struct pump_callbacks callbacks = {
		.context = app, .live = on_live, .away = on_away, .events = on_events, .fatal = on_fatal};

	app->pump = pump_create(app->ops, app->source, &callbacks, app->stop_fd, FETCH_MS);
}

static void tell_start(const struct app *app)
{
	const struct config *config = app->config;
	const char *host = config->host ? config->host : "*";
	bool bare_ipv6 = strchr(host, ':') && *host != '[';

	log_info("app", "esink " ESINK_VERSION " listens on %s://%s%s%s:%d; source %s, %zu table%s, %lld network thread%s",
		config->use_ssl ? "https" : "http", bare_ipv6 ? "[" : "", host, bare_ipv6 ? "]" : "",
		server_port(app->server), app->ops->name, app->rules->table_count,
		app->rules->table_count == 1 ? "" : "s", (long long)config->network_threads,
		config->network_threads == 1 ? "" : "s");
	if (config->allow_test_token)
		log_info("app", "the token TEST is accepted; ALLOW_TEST_TOKEN=false or NODE_ENV=production refuses it");
}

/* Listens first: whoever asks /ready while the database is away gets an answer. */
static enum app_exit app_start(struct app *app)
{
	struct err err = {{0}};

	app->signal_fd = signals_open();
	if (app->signal_fd < 0) {
		err_set(&err, STATUS_FAILED, "signals cannot be waited for: %s", strerror(errno));
		return say(APP_FAILED, &err);
	}
	make_lanes(app);
	if (!make_server(app, &err))
		return say(APP_BAD_CONFIG, &err);
	make_pump(app);
	if (server_start(app->server, &err) != STATUS_OK)
		return say(APP_FAILED, &err);
	tell_start(app);
	lanes_start(app->lanes);
	pump_start(app->pump);
	return APP_DONE;
}

/* -- running and ending ------------------------------------------------------------------------------------------------ */

static void tell_reload(const char *what, bool many, enum status status, const struct err *err)
{
	if (status == STATUS_OK)
		log_info("app", "SIGHUP: %s %s read again", what, many ? "were" : "was");
	else
		log_error("app", "SIGHUP: %s %s: %s", what, many ? "stay as they were" : "stays as it was", err->text);
}

static bool differ(const char *one, const char *other)
{
	return strcmp(one ? one : "", other ? other : "") != 0;
}

/* By name: they may be in files, whose owner believes that SIGHUP was all. */
static void tell_restart(const struct config *now, const struct config *fresh)
{
	static const char text[] = "SIGHUP: %s was changed, which is read at the start alone: restart";

	if (differ(now->postgres_url, fresh->postgres_url))
		log_warn("app", text, "POSTGRES_DATABASE_URL");
	if (differ(now->mysql_password, fresh->mysql_password))
		log_warn("app", text, "MYSQL_PASSWORD");
}

/* What cannot be read stays as it was: a relay does not stop over a file that is half-way replaced. The configuration is read
 * again for the sake of the files that its secrets lie in; nothing else of it is taken over. Whoever came in by a key or token
 * that is gone now has to go. */
static void reload(struct app *app)
{
	struct config fresh = {0};
	struct err err = {{0}};
	enum status status = config_load(&fresh, config_environment(), &err);
	size_t count;
	struct hub *const *hubs = server_hubs(app->server, &count);

	if (status == STATUS_OK)
		status = auth_reload(app->auth, fresh.security_token, fresh.jwt_secret, &err);
	tell_reload("tokens and keys", true, status, &err);
	if (status == STATUS_OK) {
		hubs_withdraw(hubs, count);
		tell_restart(app->config, &fresh);
	}
	config_finish(&fresh);
	if (app->config->use_ssl)
		tell_reload("the certificate", false, server_reload(app->server, &err), &err);
}

static enum app_exit app_wait(struct app *app)
{
	uint64_t times;

	for (;;) {
		int number = signals_wait(app->signal_fd, app->fatal_fd);

		if (number == SIGHUP) {
			reload(app);
		} else if (number) {
			log_info("app", "%s: shutting down", number == SIGINT ? "SIGINT" : "SIGTERM");
			return APP_DONE;
		} else if (read(app->fatal_fd, &times, sizeof(times)) == sizeof(times)) {
			return say(APP_BAD_DATABASE, &app->fatal);
		}
	}
}

static void app_finish(struct app *app)
{
	if (app->server)
		server_stop(app->server, DRAIN_MS);
	pump_stop(app->pump);
	if (app->stop_fd >= 0)
		eventfd_write(app->stop_fd, 1); /* the lanes' turn, also when there was no pump to say so */
	lanes_stop(app->lanes);
	server_destroy(app->server);
	lanes_destroy(app->lanes);
	pump_destroy(app->pump);
	if (app->ops)
		app->ops->destroy(app->source);
	auth_destroy(app->auth);
	ruleset_destroy(app->rules);
	readiness_finish(&app->readiness);
	const int fds[] = {app->signal_fd, app->stop_fd, app->fatal_fd};
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

enum app_exit app_run(const struct config *config)
{
	struct app app;
	enum app_exit status = app_init(&app, config);

	if (status == APP_DONE)
		status = app_start(&app);
	if (status == APP_DONE)
		status = app_wait(&app);
	readiness_stopping(&app.readiness);
	signals_shutdown(SHUTDOWN_MS, status);
	app_finish(&app);
	if (status == APP_DONE)
		log_info("app", "ended");
	return status;
}

/* The source does it, on this thread; signals end the process as they do by default. */
static enum app_exit run_once(const struct config *config, bool uninstall, bool brief, bool only_look)
{
	struct app app;
	struct err err = {{0}};
	enum app_exit result = app_init(&app, config);

	app.source_config.brief = brief;
	app.source_config.only_look = only_look;
	if (result == APP_DONE) {
		enum status status = uninstall ? app.ops->uninstall(app.source, &err) : app.ops->check(app.source, &err);

		result = exit_of(status);
		if (result != APP_DONE)
			say(result, &err);
	}
	app_finish(&app);
	return result;
}

/* Another process may listen there now, a relay perhaps, and another user may be allowed to. */
static bool check_address(const struct config *config, struct err *err)
{
	enum status status = server_address_good(config->host, (int)config->port, err);

	if (status == STATUS_CONFLICT || status == STATUS_DENIED)
		log_warn("app", "%s", err->text);
	return status == STATUS_OK || status == STATUS_CONFLICT || status == STATUS_DENIED;
}

static enum app_exit check(const struct config *config, bool brief)
{
	struct err err = {{0}};

	if (!check_address(config, &err))
		return say(APP_BAD_CONFIG, &err);
	if (config->use_ssl && !server_certificate_good(config->ssl_cert_file, config->ssl_key_file, &err))
		return say(APP_BAD_CONFIG, &err);
	return run_once(config, false, brief, false);
}

enum app_exit app_check(const struct config *config)
{
	return check(config, false);
}

enum app_exit app_check_brief(const struct config *config)
{
	return check(config, true);
}

enum app_exit app_uninstall(const struct config *config)
{
	return run_once(config, true, false, false);
}

enum app_exit app_check_uninstall(const struct config *config)
{
	return run_once(config, true, false, true);
}
