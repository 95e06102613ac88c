/* Not a test: what the public test suites of the Engine.IO and Socket.IO protocols expect of a server, over the same code that
 * serves esink's clients.
 *
 *   conformance --engineio|--socketio [PORT] [--ping-interval MS] [--ping-timeout MS] [--connect-timeout MS]
 *
 * --engineio: /engine.io/, every message comes back. --socketio: /socket.io/, namespaces `/` and `/custom`; a connection is sent
 * `auth` with what it came with; `message` comes back as `message-back`, `message-with-ack` as its acknowledgement, binary or
 * not. NETWORK_THREADS: as many. Ends on SIGTERM. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "relay.h"
#include "transport/socketio/socketio.h"

static void nothing(struct engineio *engine)
{
	(void)engine;
}

static void opened(struct engineio *engine, struct conn *conn)
{
	(void)engine;
	(void)conn;
}

static bool never_idle(const struct engineio *engine)
{
	(void)engine;
	return false;
}

static void ended(struct engineio *engine, enum close_reason reason)
{
	(void)engine;
	(void)reason;
}

static bool arrive(struct engineio *engine, struct thread *thread)
{
	(void)engine;
	(void)thread;
	return true;
}

/* -- Engine.IO -- */

static void echo(struct engineio *engine, bool binary, struct span data)
{
	engine_message(engine, binary, data);
}

static const struct engineio_app engineio_echo = {
	.opened = opened,
	.received = echo,
	.writable = nothing,
	.paused = nothing,
	.idle = never_idle,
	.upgraded = nothing,
	.ended = ended,
	.depart = nothing,
	.arrive = arrive,
	.vanish = ended,
};

/* -- Socket.IO -- */

static void send_json(struct engineio *engine, struct socketio_packet packet, json_t *root, const struct buf *attachments)
{
	char *text = json_dumps(root, JSON_COMPACT);

	packet.json = span_of(text);
	socketio_send(engine, &packet);
	for (unsigned i = 0; i < packet.attachments; i++)
		engine_message(engine, true, buf_as_span(&attachments[i]));
	free(text);
}

static void on_connect(struct engineio *engine, struct span namespace, const json_t *auth)
{
	char sid[21] = "";
	json_t *message;

	if (!span_is(namespace, "/") && !span_is(namespace, "/custom")) {
		socketio_refuse(engine, namespace, "Invalid namespace", 0);
		return;
	}
	random_word(sid, 20);
	if (socketio_admit(engine, namespace))
		socketio_accept(engine, namespace, sid);
	message = auth ? json_pack("[s, O]", "auth", auth) : json_pack("[s, {}]", "auth");
	send_json(engine, (struct socketio_packet){.type = SOCKETIO_EVENT, .namespace = namespace}, message, NULL);
	json_decref(message);
}

static void on_packet(struct engineio *engine, const struct socketio_packet *packet, const struct buf *attachments)
{
	const char *name = json_string_value(json_array_get(packet->root, 0));
	struct socketio_packet answer = {
		.type = packet->type, .namespace = packet->namespace, .attachments = packet->attachments};
	json_t *root = json_copy(packet->root);

	if (name && strcmp(name, "message") == 0) {
		json_array_set_new(root, 0, json_string("message-back"));
		send_json(engine, answer, root, attachments);
	} else if (name && strcmp(name, "message-with-ack") == 0 && packet->has_id) {
		json_array_remove(root, 0);
		answer.type = packet->type == SOCKETIO_EVENT ? SOCKETIO_ACK : SOCKETIO_BINARY_ACK;
		answer.has_id = true;
		answer.id = packet->id;
		send_json(engine, answer, root, attachments);
	}
	json_decref(root);
}

static void on_disconnect(struct engineio *engine, struct span namespace)
{
	(void)engine;
	(void)namespace;
}

static void finished(struct engineio *engine, enum close_reason reason)
{
	(void)reason;
	socketio_finish(engine);
}

static const struct socketio_app socketio_echo = {
	.engine = {
		.size = sizeof(struct socketio),
		.opened = opened,
		.received = socketio_received,
		.writable = nothing,
		.paused = nothing,
		.idle = socketio_idle,
		.upgraded = nothing,
		.ended = finished,
		.depart = nothing,
		.arrive = arrive,
		.vanish = finished,
	},
	.attachments = true,
	.connect = on_connect,
	.packet = on_packet,
	.disconnect = on_disconnect,
};

static bool take_option(int argc, char **argv, int *at, struct engineio_config *config)
{
	long value = *at + 1 < argc ? strtol(argv[*at + 1], NULL, 10) : 0;

	if (strcmp(argv[*at], "--ping-interval") == 0)
		config->ping_interval_ms = value;
	else if (strcmp(argv[*at], "--ping-timeout") == 0)
		config->ping_timeout_ms = value;
	else if (strcmp(argv[*at], "--connect-timeout") == 0)
		config->connect_timeout_ms = value;
	else
		return false;
	++*at;
	return value > 0;
}

int main(int argc, char **argv)
{
	struct relay_options options = {.server = {.port = 3000,
						.engineio = {.ping_interval_ms = 300, .ping_timeout_ms = 200}}};
	const char *threads = getenv("NETWORK_THREADS");
	struct engineio_config *config = &options.server.engineio;
	struct relay *relay;
	sigset_t ends;
	int number;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--engineio") == 0) {
			config->path = "/engine.io/";
			config->app = &engineio_echo;
		} else if (strcmp(argv[i], "--socketio") == 0) {
			config->app = &socketio_echo.engine;
		} else if (argv[i][0] >= '0' && argv[i][0] <= '9') {
			options.server.port = (int)strtol(argv[i], NULL, 10);
		} else if (!take_option(argc, argv, &i, config)) {
			config->app = NULL;
			break;
		}
	}
	if (!config->app) {
		fputs("conformance --engineio|--socketio [PORT] [--ping-interval MS] [--ping-timeout MS] [--connect-timeout MS]\n",
			stderr);
		return 2;
	}
	options.server.threads = threads ? (unsigned)strtoul(threads, NULL, 10) : 1;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	relay = relay_start(&options);
	printf("%d\n", relay_port(relay));
	fflush(stdout);
	sigwait(&ends, &number);
	relay_stop(relay);
	return 0;
}
