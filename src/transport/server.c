/* Puts the parts together: sockets, certificate, threads. */
#include "transport/server.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "transport/dispatch.h"
#include "transport/listen.h"
#include "transport/socketio/registry.h"
#include "transport/socketio/session.h"
#include "transport/thread.h"
#include "transport/tls.h"

#define OTHER_FDS 256 /* files that are no client's: loops, database, listening sockets, logs */

struct server {
	struct shared shared;
	struct hub_shared *hub_shared;
	struct thread *threads;
	struct hub **hubs;
	size_t count;
	int port;
	bool stopped;
};

#define LATER_MS 5000 /* than the hub, which knows the reason */

/* A peer whose network has gone, or whose window stays closed: the hub's own clocks come first where it has one. */
static int64_t lost_after(const struct hub_config *hub)
{
	int64_t slow = hub->slow_timeout_ms + LATER_MS, quiet = hub->heartbeat_ms + hub->heartbeat_timeout_ms;

	return slow > quiet ? slow : quiet;
}

static void fill_engineio_defaults(struct engineio_config *config)
{
	if (!config->path)
		config->path = "/socket.io/";
	if (!config->app)
		config->app = &socketio_sessions.engine;
	if (!config->ping_interval_ms)
		config->ping_interval_ms = 25000;
	if (!config->ping_timeout_ms)
		config->ping_timeout_ms = 20000;
	if (!config->connect_timeout_ms)
		config->connect_timeout_ms = 45000;
	if (!config->max_payload)
		config->max_payload = 1000000;
}

static void fill_defaults(struct server_config *config, const struct hub_config *hub)
{
	if (!config->lost_timeout_ms)
		config->lost_timeout_ms = lost_after(hub);
	if (!config->threads)
		config->threads = 1;
	if (!config->max_connections)
		config->max_connections = 10000;
	if (!config->max_body_bytes)
		config->max_body_bytes = 102400;
	if (!config->max_message_bytes)
		config->max_message_bytes = 65536;
	if (!config->max_history_page)
		config->max_history_page = 1000;
	if (!config->request_timeout_ms)
		config->request_timeout_ms = 10000;
	if (!config->idle_timeout_ms)
		config->idle_timeout_ms = 60000;
	if (!config->send_buffer_bytes)
		config->send_buffer_bytes = 131072;
	fill_engineio_defaults(&config->engineio);
}

/* libwebsockets keeps tables as large as the limit of open files, per thread: neither too few for the connections that are
 * allowed, nor the million of some containers. */
static void fit_file_limit(const struct server_config *config)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)config->max_connections + OTHER_FDS;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max != RLIM_INFINITY && wanted > limit.rlim_max ? limit.rlim_max : wanted;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static bool init_threads(struct server *server, struct listening *listening, SSL_CTX *certificate, struct err *err)
{
	server->count = listening->threads;
	server->threads = mem_zero(server->count, sizeof(*server->threads));
	server->hubs = mem_zero(server->count, sizeof(*server->hubs));
	for (size_t t = 0; t < server->count; t++) {
		struct thread *thread = &server->threads[t];

		thread->listen_count = listening->addresses;
		for (size_t a = 0; a < listening->addresses; a++) {
			thread->listen_fds[a] = listening->fds[t * listening->addresses + a];
			listening->fds[t * listening->addresses + a] = -1;
		}
		if (!thread_init(thread, &server->shared, server->hub_shared, certificate, err))
			return false;
		server->hubs[t] = thread->hub;
	}
	return true;
}

struct server *server_create(const struct server_config *config, const struct hub_config *hub_config, struct err *err)
{
	struct server *server = mem_zero(1, sizeof(*server));
	struct listening listening = {0};
	SSL_CTX *certificate = NULL;
	bool made = false;

	server->shared.config = *config;
	server->shared.hub = *hub_config;
	fill_defaults(&server->shared.config, hub_config);
	cors_init(&server->shared.cors, config->cors_origins, config->cors_origin_count);
	atomic_store(&server->shared.complained, INT64_MIN / 2);
	server->hub_shared = hub_shared_create();
	server->shared.engines = registry_create(server->shared.config.max_connections, hub_config->max_sessions_per_address);
	fit_file_limit(&server->shared.config);
	dispatch_log();
	if (config->cert_file || config->key_file)
		certificate = tls_read(config->cert_file, config->key_file, err);
	if ((certificate || !(config->cert_file || config->key_file)) &&
		listening_open(&listening, &server->shared.config, err) == STATUS_OK)
		made = init_threads(server, &listening, certificate, err);
	server->port = listening.port;
	listening_close(&listening);
	SSL_CTX_free(certificate);
	if (made)
		return server;
	server_destroy(server);
	return NULL;
}

struct hub *const *server_hubs(const struct server *server, size_t *count)
{
	*count = server->count;
	return server->hubs;
}

int server_port(const struct server *server)
{
	return server->port;
}

enum status server_start(struct server *server, struct err *err)
{
	for (size_t t = 0; t < server->count; t++) {
		if (!thread_start(&server->threads[t]))
			return err_set(err, STATUS_FAILED, "NETWORK_THREADS: thread %zu could not be started", t + 1);
	}
	return STATUS_OK;
}

bool server_certificate_good(const char *cert_file, const char *key_file, struct err *err)
{
	SSL_CTX *certificate = tls_read(cert_file, key_file, err);

	SSL_CTX_free(certificate);
	return certificate;
}

enum status server_address_good(const char *host, int port, struct err *err)
{
	const struct server_config config = {.host = host, .port = port, .threads = 1};
	struct listening listening;
	enum status status = listening_open(&listening, &config, err);

	if (status == STATUS_OK)
		listening_close(&listening);
	if (status == STATUS_CONFLICT) /* mostly the relay that runs while its configuration is checked */
		err_set(err, status, "PORT: %d is taken on %s: if not by the esink that runs already, stop what has it or choose another "
			"port", port, host && host[0] ? host : "all interfaces");
	return status;
}

enum status server_reload(struct server *server, struct err *err)
{
	const struct server_config *config = &server->shared.config;
	SSL_CTX *certificate;

	if (!config->cert_file)
		return STATUS_OK;
	certificate = tls_read(config->cert_file, config->key_file, err);
	if (!certificate)
		return STATUS_INVALID;
	for (size_t t = 0; t < server->count; t++)
		thread_reload(&server->threads[t], certificate);
	SSL_CTX_free(certificate);
	return STATUS_OK;
}

void server_stop(struct server *server, int64_t limit_ms)
{
	if (server->stopped)
		return;
	server->stopped = true;
	for (size_t t = 0; t < server->count; t++)
		thread_stop(&server->threads[t], limit_ms);
	for (size_t t = 0; t < server->count; t++)
		thread_join(&server->threads[t]);
}

/* What is on its way from one thread to another arrives, and what it posts in turn, before the first of them goes. */
static void settle(struct server *server)
{
	bool ran;

	do {
		ran = false;
		for (size_t t = 0; t < server->count; t++)
			ran |= thread_settle(&server->threads[t]);
	} while (ran);
}

void server_destroy(struct server *server)
{
	if (!server)
		return;
	server_stop(server, 1000);
	settle(server);
	for (size_t t = 0; t < server->count; t++)
		thread_finish(&server->threads[t]);
	registry_destroy(server->shared.engines);
	hub_shared_destroy(server->hub_shared);
	cors_finish(&server->shared.cors);
	free(server->threads);
	free(server->hubs);
	free(server);
}
