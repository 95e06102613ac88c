/* A Socket.IO packet of a client's: what is let through has its type's shape, is written as it was read, and as a message for
 * the hub is JSON.
 */
#include "fuzz.h"

#include "wire/engineio.h"
#include "wire/socketio.h"
#include "wire/wire.h"

static void check_within(struct span part, struct span whole)
{
	MUST(part.p >= whole.p && part.p + part.len <= whole.p + whole.len);
}

static void check_shape(const struct socketio_packet *packet, struct span text)
{
	MUST(packet->type != SOCKETIO_CONNECT_ERROR && packet->type <= SOCKETIO_BINARY_ACK);
	MUST(packet->attachments <= SOCKETIO_ATTACHMENTS_MAX);
	MUST(packet->namespace.len && *packet->namespace.p == '/');
	if (!span_is(packet->namespace, "/"))
		check_within(packet->namespace, text);
	MUST(!packet->root == !packet->json.p);
	if (packet->json.p)
		check_within(packet->json, text);
}

/* Reads the same when it is written and read again. */
static void check_again(const struct socketio_packet *packet)
{
	struct buf written = buf_init(BUF_NO_MAX), room = buf_init(0);
	struct engineio_packet outer;
	struct socketio_packet again;
	struct span body;
	struct err err;

	MUST(socketio_write(&written, ENCODING_SOCKETIO_POLLING, packet));
	body = (struct span){written.bytes + 1, written.len - 1};
	if (engineio_read_payload(&body, &room, &outer) == ENGINEIO_PACKET) { /* not: its namespace is not UTF-8 */
		MUST(outer.type == ENGINEIO_MESSAGE && !outer.binary && !body.p);
		MUST(socketio_read(outer.data, &again, &err) == STATUS_OK);
		MUST(again.type == packet->type && again.attachments == packet->attachments);
		MUST(again.has_id == packet->has_id && again.id == packet->id);
		MUST(span_equal(again.namespace, packet->namespace) && span_equal(again.json, packet->json));
		MUST(json_equal(again.root, packet->root) || !packet->root);
		socketio_packet_finish(&again);
	}
	buf_finish(&written);
}

/* Every element's own bytes, one after another: JSON that says what jansson read there. */
static void check_elements(const struct socketio_packet *packet)
{
	size_t count = json_array_size(packet->root);
	struct span raw;

	for (size_t i = 0; i < count; i++) {
		json_t *value;

		MUST(wire_raw_element(packet->json, i, &raw));
		check_within(raw, packet->json);
		value = json_loadb(raw.p, raw.len, JSON_DECODE_ANY, NULL);
		if (!value)
			value = json_loadb(raw.p, raw.len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
		MUST(value);
		MUST(json_typeof(value) == json_typeof(json_array_get(packet->root, i)) || json_is_number(value));
		json_decref(value);
	}
	MUST(!wire_raw_element(packet->json, count, &raw));
}

static void check_message(const struct socketio_packet *packet)
{
	struct buf text = buf_init(BUF_NO_MAX);
	struct err err;
	json_t *root;

	if (socketio_client_message(packet, &text)) {
		root = wire_load(buf_as_span(&text), &err);
		MUST(root && json_object_size(root) == 2 && json_object_get(root, "event"));
		json_decref(root);
	} else {
		MUST(packet->type != SOCKETIO_EVENT && packet->type != SOCKETIO_BINARY_EVENT);
	}
	buf_finish(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span text = fuzz_exact((struct span){(const char *)bytes, size});
	struct socketio_packet packet = {0};
	struct err err = {""};

	if (socketio_read(text, &packet, &err) == STATUS_OK) {
		check_shape(&packet, text);
		check_again(&packet);
		if (json_is_array(packet.root))
			check_elements(&packet);
		check_message(&packet);
		socketio_packet_finish(&packet);
	} else {
		MUST(*err.text && !packet.root);
	}
	free((char *)(uintptr_t)text.p);
	return 0;
}
