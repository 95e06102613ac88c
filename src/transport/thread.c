/* The loop of a network thread. Everything that happens in a turn of the loop (requests, messages, events handed over) only
 * marks the hub as touched; its turn comes once, just before the loop would sleep. So all that is there is sent to a
 * session in one send(), which is worth more than any other trick here.
 *
 * The end: no more is accepted, requests under way get a second, the hub closes its sessions over another, and when they and the requests under way are
 * gone, or the limit is reached, the context is destroyed, which cuts off what is left. The loop itself and its wake-up
 * stay until thread_finish(): another thread may still post.
 */
#include "transport/thread.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "transport/conn.h"
#include "transport/dispatch.h"
#include "transport/linger.h"
#include "transport/listen.h"
#include "transport/tls.h"

#define HEADER_BYTES 16384  /* of one request's head: tokens and cookies can be long */
#define SERVICE_BYTES 16384 /* read at a time, one buffer per thread */
#define DRAIN_SPREAD_MS 1000
#define REQUESTS_FIRST_MS 1000 /* the end waits for requests under way before it turns to sessions */
#define REQUESTS_LAST_MS 2500  /* and no longer than this in all */

static const struct lws_http_mount everything = {
	.mountpoint = "/", .mountpoint_len = 1, .origin_protocol = LWSMPRO_CALLBACK, .origin = PROTOCOL_NAME};

/* On the answers that libwebsockets gives itself, to what it cannot parse. */
static const struct lws_protocol_vhost_options own_headers[] = {
	{&own_headers[1], NULL, "x-content-type-options:", "nosniff"},
	{&own_headers[2], NULL, "x-frame-options:", "SAMEORIGIN"},
	{&own_headers[3], NULL, "referrer-policy:", "no-referrer"},
	{&own_headers[4], NULL, "vary:", "Origin"},
	{NULL, NULL, "connection:", "close"},
};

static const lws_retry_bo_t no_checks = {0}; /* heartbeats are the hub's */

static void wake(void *context)
{
	struct thread *thread = context;

	uv_async_send(&thread->async);
}

static bool busy(const struct thread *thread)
{
	return atomic_load(&thread->shared->requests) > 0;
}

/* First the requests under way on all threads, whose events still have to come through every hub; then the sessions. */
static void drain_sessions(struct thread *thread, int64_t now)
{
	int64_t left = thread->drain_until - now;

	if (thread->hub_draining || (busy(thread) && now < thread->drain_began + REQUESTS_FIRST_MS))
		return;
	thread->hub_draining = true;
	hub_drain(thread->hub, left < 2 * DRAIN_SPREAD_MS ? left / 2 : DRAIN_SPREAD_MS);
	engine_drain(thread);
}

static void drain(struct thread *thread)
{
	thread->draining = true;
	thread->drain_began = clock_ms();
	thread->drain_until = thread->drain_began + atomic_load(&thread->stop_limit_ms);
	listen_end(thread);
}

/* Those that no longer get an answer from the database do not hold the end up to its limit. */
static bool drained(struct thread *thread)
{
	int64_t now = clock_ms();

	drain_sessions(thread, now);
	if (now >= thread->drain_until)
		return true;
	return thread->hub_draining && !hub_session_count(thread->hub) &&
		((!busy(thread) && !atomic_load(&thread->shared->polls)) || now >= thread->drain_began + REQUESTS_LAST_MS);
}

static void take_certificate(struct thread *thread)
{
	SSL_CTX *certificate = atomic_exchange(&thread->certificate, NULL);

	if (certificate && !tls_apply(thread->ssl, certificate))
		log_error("http", "the new certificate could not be taken over");
	SSL_CTX_free(certificate);
}

static void on_wake(uv_async_t *async)
{
	struct thread *thread = async->data;

	thread_touch(thread);
	take_certificate(thread);
	if (atomic_load(&thread->stop) && !thread->draining)
		drain(thread);
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct thread *thread = prepare->data;

	if (thread->touched) {
		thread->touched = false;
		hub_turn(thread->hub);
		engine_turn(thread);
	}
	if (thread->draining && drained(thread))
		uv_stop(&thread->loop);
	else if (thread->touched)
		uv_async_send(&thread->async);
}

static void on_tick(uv_timer_t *tick)
{
	struct thread *thread = tick->data;

	conn_overdue(thread);
	linger_tick(thread);
	events_tick(thread);
	answers_tick(&thread->answers);
	listen_resume(thread);
	refusals_tick(&thread->shared->refusals);
	hub_tick(thread->hub);
	thread_touch(thread);
}

static int64_t whole_seconds(int64_t ms)
{
	return ms < 1000 ? 1 : (ms + 999) / 1000;
}

static bool make_vhost(struct thread *thread, SSL_CTX *certificate, struct err *err)
{
	const struct server_config *config = &thread->shared->config;
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = dispatch_protocols,
		.mounts = &everything,
		.headers = own_headers,
		.keepalive_timeout = (int)whole_seconds(config->idle_timeout_ms),
		.timeout_secs_ah_idle = (unsigned)whole_seconds(config->request_timeout_ms),
		.retry_and_idle_policy = &no_checks,
		.alpn = "http/1.1",
		/* unknown methods and plain garbage come to us as raw bytes: http_foreign() */
		.options = LWS_SERVER_OPTION_FALLBACK_TO_APPLY_LISTEN_ACCEPT_CONFIG,
	};

	if (certificate) {
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;
		/* or it makes one for a client, with all certificates of the system, and does not free it */
		SSL_CTX_up_ref(certificate);
		info.provided_client_ssl_ctx = thread->unused_ssl = certificate;
	}
	thread->vhost = lws_create_vhost(thread->context, &info);
	if (thread->vhost && (!certificate || (thread->ssl && tls_apply(thread->ssl, certificate))))
		return true;
	err_set(err, STATUS_FAILED, "libwebsockets could not be set up%s", certificate ? " for TLS" : "");
	return false;
}

static bool make_context(struct thread *thread, SSL_CTX *certificate, struct err *err)
{
	void *loops[1] = {&thread->loop};
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.foreign_loops = loops,
		.user = thread,
		.pcontext = &thread->context,
		.timeout_secs = (unsigned)whole_seconds(thread->shared->config.request_timeout_ms),
		.max_http_header_data2 = HEADER_BYTES,
		.pt_serv_buf_size = SERVICE_BYTES,
		.retry_and_idle_policy = &no_checks,
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
	};

	if (certificate)
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	thread->context = lws_create_context(&info);
	if (thread->context)
		return make_vhost(thread, certificate, err);
	err_set(err, STATUS_FAILED, "libwebsockets could not be set up: is its libuv plugin (libwebsockets-evlib-uv) installed?");
	return false;
}

bool thread_init(struct thread *thread, struct shared *shared, struct hub_shared *hub_shared, SSL_CTX *certificate,
	struct err *err)
{
	thread->shared = shared;
	thread->tls = certificate != NULL;
	thread->scratch = buf_init(BUF_NO_MAX); /* by the hub's batches */
	uv_loop_init(&thread->loop);
	uv_async_init(&thread->loop, &thread->async, on_wake);
	uv_prepare_init(&thread->loop, &thread->prepare);
	uv_timer_init(&thread->loop, &thread->tick);
	thread->async.data = thread->prepare.data = thread->tick.data = thread;
	engine_host_init(thread);
	thread->hub = hub_create(&shared->hub, hub_shared, wake, thread);
	return make_context(thread, certificate, err);
}

struct census {
	const struct thread *thread;
	size_t foreign;
};

static void count_foreign(uv_handle_t *handle, void *context)
{
	struct census *census = context;

	census->foreign += handle->data != census->thread;
}

/* libwebsockets closes its handles in our loop over several turns. Its second lws_context_destroy() unloads the code that
 * their last callbacks run, so it must not come before they are gone. */
static void destroy_context(struct thread *thread)
{
	struct census census = {.thread = thread, .foreign = 1};

	if (!thread->context)
		return;
	lws_context_destroy(thread->context);
	for (int i = 0; i < 1000 && census.foreign; i++) {
		uv_run(&thread->loop, UV_RUN_NOWAIT);
		census.foreign = 0;
		uv_walk(&thread->loop, count_foreign, &census);
	}
	if (census.foreign)
		log_error("http", "libwebsockets does not let go of its sockets");
	else if (thread->context)
		lws_context_destroy(thread->context);
	thread->context = NULL;
}

static void *run(void *argument)
{
	struct thread *thread = argument;

	uv_prepare_start(&thread->prepare, on_prepare);
	uv_timer_start(&thread->tick, on_tick, TICK_MS, TICK_MS);
	if (!listen_begin(thread))
		log_error("http", "a listening socket cannot be watched");
	uv_run(&thread->loop, UV_RUN_DEFAULT);
	uv_prepare_stop(&thread->prepare);
	uv_timer_stop(&thread->tick);
	linger_end(thread);
	destroy_context(thread);
	hub_turn(thread->hub);
	engine_turn(thread);
	return NULL;
}

bool thread_start(struct thread *thread)
{
	thread->running = pthread_create(&thread->id, NULL, run, thread) == 0;
	return thread->running;
}

void thread_stop(struct thread *thread, int64_t limit_ms)
{
	atomic_store(&thread->stop_limit_ms, limit_ms);
	atomic_store(&thread->stop, true);
	if (thread->running)
		wake(thread);
}

void thread_join(struct thread *thread)
{
	if (thread->running)
		pthread_join(thread->id, NULL);
	thread->running = false;
}

void thread_reload(struct thread *thread, SSL_CTX *certificate)
{
	SSL_CTX_up_ref(certificate);
	SSL_CTX_free(atomic_exchange(&thread->certificate, certificate));
	wake(thread);
}

static void close_all(uv_handle_t *handle, void *context)
{
	(void)context;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

bool thread_settle(struct thread *thread)
{
	bool ran = false;

	if (!thread->hub)
		return false;
	listen_end(thread);
	destroy_context(thread);
	ran = inbox_run(hub_inbox(thread->hub));
	engine_host_finish(thread);
	return ran;
}

void thread_finish(struct thread *thread)
{
	if (!thread->shared)
		return;
	listen_end(thread);
	destroy_context(thread);
	if (thread->hub) {
		while (inbox_run(hub_inbox(thread->hub)))
			;
		hub_destroy(thread->hub);
	}
	uv_walk(&thread->loop, close_all, NULL);
	uv_run(&thread->loop, UV_RUN_DEFAULT);
	uv_loop_close(&thread->loop);
	SSL_CTX_free(atomic_exchange(&thread->certificate, NULL));
	SSL_CTX_free(thread->unused_ssl);
	buf_finish(&thread->scratch);
	thread->shared = NULL;
}
