/* One network thread: its loop, its libwebsockets context, its listening sockets and its hub. */
#ifndef ESINK_THREAD_H
#define ESINK_THREAD_H

#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "hub/hub.h"
#include "transport/cors.h"
#include "transport/answers.h"
#include "transport/events.h"
#include "transport/refusals.h"
#include "transport/server.h"
#include "transport/socketio/host.h"

#define LISTEN_MAX 4          /* addresses of one host name that are listened on */
#define SCRATCH_KEPT 1048576  /* a scratch buffer that grew beyond this is given back */
#define TICK_MS 250

struct conn;
struct lingering;

/* What all threads read and none writes after the start, but for the counters. */
struct shared {
	struct server_config config; /* defaults filled in */
	struct hub_config hub;
	struct cors cors;
	struct engineio_registry *engines;
	atomic_uint connections; /* surplus ones, too */
	atomic_uint surplus;     /* listen.h's spare ones */
	atomic_uint requests;       /* under way */
	atomic_uint polls;          /* of Engine.IO, that wait */
	_Atomic int64_t complained; /* when a refused connection was last logged, ms */
	struct refusals refusals;   /* of requests */
};

struct thread {
	struct shared *shared;
	struct hub *hub;
	pthread_t id;
	bool running; /* id is to be joined */

	uv_loop_t loop;
	uv_async_t async;      /* woken from other threads: the hub's inbox, stop, reload */
	uv_prepare_t prepare;  /* before the loop sleeps: the hub's turn */
	uv_timer_t tick;
	uv_poll_t listeners[LISTEN_MAX];
	int listen_fds[LISTEN_MAX];
	size_t listen_count;
	bool listening, listen_paused;

	struct lws_context *context; /* NULL once it is destroyed */
	struct lws_vhost *vhost;
	SSL_CTX *ssl;                /* the vhost's, borrowed */
	SSL_CTX *unused_ssl;         /* stands in for a client's */
	bool tls, touched, draining, hub_draining;
	int64_t drain_began, drain_until; /* ms, monotonic */
	struct buf scratch;
	struct conn *watched;        /* those with a deadline, conn.h */
	struct engineio_host engines;
	struct events_desk events;   /* questions about the past */
	struct answers answers;      /* to them and to consumers */
	struct lingering *lingering; /* linger.h */
	size_t lingering_count;

	atomic_bool stop;
	_Atomic int64_t stop_limit_ms;
	_Atomic(SSL_CTX *) certificate; /* to be taken over */
};

/* Makes loop, hub and context. listen_fds are the thread's from now on, also on failure. certificate: NULL without TLS. */
bool thread_init(struct thread *thread, struct shared *shared, struct hub_shared *hub_shared, SSL_CTX *certificate,
	struct err *err);
bool thread_start(struct thread *thread);
void thread_stop(struct thread *thread, int64_t limit_ms); /* asks only; any thread */
void thread_join(struct thread *thread);
void thread_reload(struct thread *thread, SSL_CTX *certificate); /* takes a reference of its own; any thread */
/* All have ended: takes what others have posted to it. True: there was something. */
bool thread_settle(struct thread *thread);
void thread_finish(struct thread *thread); /* not running; tolerates a half-made one */

/* The hub has something to do before the loop sleeps. */
static inline void thread_touch(struct thread *thread)
{
	thread->touched = true;
}

#endif
