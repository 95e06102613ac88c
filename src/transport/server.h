/* The network side: T threads, each with a uv loop, a libwebsockets context, a listening socket of its own on the shared
 * port (SO_REUSEPORT), and a hub. The threads share nothing but events, the hub's counters and this configuration.
 *
 * Life: server_create() binds the port and makes the hubs, so that the source can be wired to them; server_start() begins
 * to accept; server_stop() drains and ends the threads; server_destroy() frees, when nothing can post to a hub any more.
 */
#ifndef ESINK_SERVER_H
#define ESINK_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esink/status.h"
#include "hub/hub.h"
#include "transport/socketio/engineio.h"

struct ruleset;

/* Borrowed for the life of the server. A zero for a number means the default in brackets. */
struct server_config {
	const char *host;                    /* NULL or "": all interfaces, IPv4 and IPv6 */
	int port;                            /* 0: a free one, see server_port() */
	const char *cert_file, *key_file;    /* both or neither; PEM. With them TLS only */
	const char *const *cors_origins;     /* as in CORS_ORIGIN; none, or one that is "*": every origin */
	size_t cors_origin_count;
	unsigned threads;                    /* [1] */
	uint32_t max_connections;            /* sockets of all kinds, all threads [10000] */
	size_t max_body_bytes;               /* of one HTTP request [102400] */
	size_t max_message_bytes;            /* of one websocket message [65536] */
	size_t max_history_page;             /* events of one answer of GET /events [1000] */
	int64_t request_timeout_ms;          /* a request must be there whole within it [10 s] */
	int64_t idle_timeout_ms;             /* a kept-alive connection without a request [60 s] */
	int send_buffer_bytes;               /* SO_SNDBUF [131072] */
	int64_t lost_timeout_ms;             /* what was sent may be unacknowledged for so long; 0: longer than the hub waits */
	const struct ruleset *rules;         /* FILTERS for POST /publish */
	struct engineio_config engineio;     /* Socket.IO */
	/* Is capture live? If not, reason is the sentence for GET /ready. Any thread. */
	bool (*ready)(void *context, struct err *reason);
	void *ready_context;
};

struct server;

/* Takes the port, reads the certificate, makes the hubs. On failure NULL, and err names the variable: `PORT: 8080 is
 * taken ...`, `SSL_CERT_FILE: ...`. hub_config is copied; auth, services and default_source are taken from it. */
struct server *server_create(const struct server_config *config, const struct hub_config *hub_config, struct err *err);

/* Whether the certificate and key can be used, for --check; err names the variable otherwise. */
bool server_certificate_good(const char *cert_file, const char *key_file, struct err *err);

/* Whether HOST and PORT could be taken, for --check, by taking and leaving them. STATUS_CONFLICT: the port is taken, by a running
 * relay perhaps; STATUS_DENIED: not by this process; STATUS_INVALID: by none. */
enum status server_address_good(const char *host, int port, struct err *err) MUST_CHECK;

/* The hubs, one per thread, for delivery and for hub_on_shown(), which must be set before server_start(). */
struct hub *const *server_hubs(const struct server *server, size_t *count);
int server_port(const struct server *server);

/* Starts the threads. STATUS_FAILED: the system has no thread for us. */
enum status server_start(struct server *server, struct err *err) MUST_CHECK;

/* Reads the certificate again for connections to come; on failure the old one stays and err tells. Any thread. */
enum status server_reload(struct server *server, struct err *err) MUST_CHECK;

/* Stops accepting, closes every session so that clients reconnect elsewhere, sends what is queued, ends the threads; blocks
 * until then, at most a little over limit_ms (4000 leaves an exit within 5 s), also with sockets that do not read. Idempotent.
 * Afterwards hub_deliver() returns false, and what is posted to a hub waits for server_destroy(). */
void server_stop(struct server *server, int64_t limit_ms);

/* Stops first. Nothing may post to a hub any more: the lanes and the pump are stopped. NULL is fine. */
void server_destroy(struct server *server);

#endif
