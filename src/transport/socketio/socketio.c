/* One packet at a time. What is not as the protocol says ends the connection, as the reference server does: a packet that
 * cannot be read, one for a namespace that was not connected, a second CONNECT, an attachment that nobody announced or one
 * that is missing.
 */
#include "transport/socketio/socketio.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "transport/socketio/registry.h"
#include "transport/thread.h"

struct assembly {
	struct buf text; /* the packet as it came; its spans point here */
	struct socketio_packet packet;
	struct buf attachments[SOCKETIO_ATTACHMENTS_MAX];
	size_t count, bytes;
	bool fits; /* each placeholder names an attachment */
};

static const struct socketio_app *app_of(const struct engineio *engine)
{
	return (const struct socketio_app *)(const void *)engine_config(engine)->app;
}

static char **slot_of(struct socketio *socketio, struct span namespace)
{
	for (size_t i = 0; i < NAMESPACES_MAX; i++)
		if (socketio->namespaces[i] && span_is(namespace, socketio->namespaces[i]))
			return &socketio->namespaces[i];
	return NULL;
}

bool socketio_connected(const struct engineio *engine, struct span namespace)
{
	return slot_of(engine_memory((struct engineio *)(uintptr_t)engine), namespace);
}

bool socketio_idle(const struct engineio *engine)
{
	const struct socketio *socketio = engine_memory((struct engineio *)(uintptr_t)engine);

	for (size_t i = 0; i < NAMESPACES_MAX; i++)
		if (socketio->namespaces[i])
			return false;
	return true;
}

static void drop_assembly(struct socketio *socketio)
{
	struct assembly *assembly = socketio->assembly;

	if (!assembly)
		return;
	socketio->assembly = NULL;
	socketio_packet_finish(&assembly->packet);
	buf_finish(&assembly->text);
	for (size_t i = 0; i < assembly->count; i++)
		buf_finish(&assembly->attachments[i]);
	free(assembly);
}

void socketio_finish(struct engineio *engine)
{
	struct socketio *socketio = engine_memory(engine);

	drop_assembly(socketio);
	for (size_t i = 0; i < NAMESPACES_MAX; i++)
		free(socketio->namespaces[i]);
	*socketio = (struct socketio){0};
}

/* -- sending -- */

enum send_result socketio_send(struct engineio *engine, const struct socketio_packet *packet)
{
	AUTO_BUF struct buf bytes = buf_init(BUF_NO_MAX); /* by packet */

	socketio_write(&bytes, engine_encoding(engine), packet);
	return engine_say(engine, bytes.bytes, bytes.len);
}

bool socketio_admit(struct engineio *engine, struct span namespace)
{
	struct socketio *socketio = engine_memory(engine);
	size_t i = 0;

	while (i < NAMESPACES_MAX && socketio->namespaces[i])
		i++;
	if (i == NAMESPACES_MAX) {
		socketio_refuse(engine, namespace, "Too many namespaces", 0);
		return false;
	}
	socketio->namespaces[i] = mem_text_n(namespace.p, namespace.len);
	registry_speaks(engine->home->shared->engines, engine, true);
	return true;
}

void socketio_accept(struct engineio *engine, struct span namespace, const char *sid)
{
	AUTO_BUF struct buf json = buf_init(256);

	buf_text(&json, "{\"sid\":");
	buf_json_string(&json, span_of(sid));
	buf_text(&json, "}");
	socketio_send(engine, &(struct socketio_packet){.type = SOCKETIO_CONNECT, .namespace = namespace,
				      .json = buf_as_span(&json)});
}

static void leave(struct socketio *socketio, struct span namespace)
{
	char **slot = slot_of(socketio, namespace);

	if (!slot)
		return;
	free(*slot);
	*slot = NULL;
}

void socketio_refuse(struct engineio *engine, struct span namespace, const char *message, int code)
{
	AUTO_BUF struct buf json = buf_init(4096);

	buf_text(&json, "{\"message\":");
	buf_json_string(&json, span_of(message));
	if (code)
		buf_printf(&json, ",\"data\":{\"code\":%d}", code);
	buf_text(&json, "}");
	socketio_send(engine, &(struct socketio_packet){.type = SOCKETIO_CONNECT_ERROR, .namespace = namespace,
				      .json = buf_as_span(&json)});
	leave(engine_memory(engine), namespace);
}

void socketio_disconnect(struct engineio *engine, struct span namespace)
{
	socketio_send(engine, &(struct socketio_packet){.type = SOCKETIO_DISCONNECT, .namespace = namespace});
	leave(engine_memory(engine), namespace);
}

/* -- receiving -- */

static void malformed(struct engineio *engine)
{
	engine_close(engine, CLOSE_BAD_MESSAGE);
}

static void whole(struct engineio *engine, const struct socketio_packet *packet, const struct buf *attachments)
{
	struct socketio *socketio = engine_memory(engine);
	bool in = slot_of(socketio, packet->namespace);

	if (packet->type == SOCKETIO_CONNECT && !in) {
		app_of(engine)->connect(engine, packet->namespace, packet->root);
	} else if (packet->type == SOCKETIO_DISCONNECT && in) {
		leave(socketio, packet->namespace);
		registry_speaks(engine->home->shared->engines, engine, !socketio_idle(engine));
		app_of(engine)->disconnect(engine, packet->namespace);
	} else if (packet->type != SOCKETIO_CONNECT && in) {
		app_of(engine)->packet(engine, packet, attachments);
	} else {
		malformed(engine);
	}
}

/* Each placeholder names an attachment that is there. The parser has bounded the depth. */
static bool placeholders_fit(const json_t *value, unsigned count)
{
	const json_t *number = json_object_get(value, "num");
	const char *key;
	json_t *member;
	size_t i;

	if (json_is_true(json_object_get(value, "_placeholder")))
		return json_is_integer(number) && json_integer_value(number) >= 0 && json_integer_value(number) < count;
	json_array_foreach(value, i, member)
		if (!placeholders_fit(member, count))
			return false;
	json_object_foreach((json_t *)(uintptr_t)value, key, member)
		if (!placeholders_fit(member, count))
			return false;
	return true;
}

/* The parser's spans point into the text, so it is read again where it is kept. Where nobody wants the attachments nothing is
 * kept: a megabyte of JSON, read, is twenty of memory, and they may never come. */
static void begin_assembly(struct engineio *engine, struct span text, const struct socketio_packet *packet)
{
	struct socketio *socketio = engine_memory(engine);
	char **slot = slot_of(socketio, packet->namespace);
	struct assembly *assembly;
	struct err err;

	if (!slot) {
		malformed(engine);
		return;
	}
	assembly = socketio->assembly = mem_zero(1, sizeof(*assembly));
	assembly->fits = placeholders_fit(packet->root, packet->attachments);
	assembly->packet = (struct socketio_packet){
		.type = packet->type, .attachments = packet->attachments, .namespace = span_of(*slot)};
	if (!app_of(engine)->attachments)
		return;
	assembly->text = buf_init(text.len);
	buf_span(&assembly->text, text);
	if (socketio_read(buf_as_span(&assembly->text), &assembly->packet, &err) != STATUS_OK)
		malformed(engine);
}

/* Of CONNECTs and ACKs: a CONNECT is answered, and begins a session anew and with it that one's count of messages. As many as
 * messages, and none while the answers to earlier ones heap up. */
static bool too_many(struct engineio *engine)
{
	struct socketio *socketio = engine_memory(engine);
	uint32_t max = engine->home->shared->hub.max_messages_per_second;
	int64_t now = clock_ms();

	if (now - socketio->counted_since >= 1000) {
		socketio->counted_since = now;
		socketio->counted = 0;
	}
	return (max && ++socketio->counted > max) || engine_stuffed(engine);
}

static bool counts(enum socketio_type type)
{
	return type == SOCKETIO_CONNECT || type == SOCKETIO_ACK || type == SOCKETIO_BINARY_ACK;
}

static void text_packet(struct engineio *engine, struct span text)
{
	struct socketio_packet packet;
	struct err err;

	if (socketio_read(text, &packet, &err) != STATUS_OK) {
		malformed(engine);
		return;
	}
	if (counts(packet.type) && too_many(engine))
		engine_close(engine, CLOSE_TOO_MANY);
	else if (packet.namespace.len > NAMESPACE_BYTES)
		malformed(engine);
	else if (packet.attachments)
		begin_assembly(engine, text, &packet);
	else
		whole(engine, &packet, NULL);
	socketio_packet_finish(&packet);
}

static void attachment(struct engineio *engine, struct assembly *assembly, struct span data)
{
	struct socketio *socketio = engine_memory(engine);
	struct buf *room = &assembly->attachments[assembly->count];

	assembly->bytes += data.len;
	if (assembly->bytes > engine_config(engine)->max_payload) {
		engine_close(engine, CLOSE_TOO_LARGE);
		return;
	}
	*room = buf_init(data.len);
	if (app_of(engine)->attachments)
		buf_span(room, data);
	if (++assembly->count < assembly->packet.attachments)
		return;
	if (assembly->fits)
		whole(engine, &assembly->packet, assembly->attachments);
	else
		malformed(engine);
	drop_assembly(socketio);
}

void socketio_received(struct engineio *engine, bool binary, struct span data)
{
	struct assembly *assembly = ((struct socketio *)engine_memory(engine))->assembly;

	if (binary && assembly)
		attachment(engine, assembly, data);
	else if (!binary && !assembly)
		text_packet(engine, data);
	else
		malformed(engine);
}
