/* What a Socket.IO client sends: the body of a polling request, a websocket message. What is read can be written, and reads
 * the same again, from a polling answer as from the frames of a session that upgrades.
 */
#include "fuzz.h"

#include "wire/engineio.h"

static void check_packet(const struct engineio_packet *packet)
{
	MUST(packet->type >= ENGINEIO_OPEN && packet->type <= ENGINEIO_NOOP);
	MUST(!packet->binary || packet->type == ENGINEIO_MESSAGE);
	MUST(packet->data.p);
}

/* Every packet of the body, written again: with a separator in front it is the body. */
static void check_payload(struct span body)
{
	struct buf room = buf_init(body.len), again = buf_init(BUF_NO_MAX), frames = buf_init(BUF_NO_MAX), direct = frames;
	struct engineio_packet packet;
	struct span left = body;
	enum engineio_result result;

	while ((result = engineio_read_payload(&left, &room, &packet)) == ENGINEIO_PACKET) {
		check_packet(&packet);
		MUST(engineio_write(&again, ENCODING_SOCKETIO_POLLING, packet.type, packet.binary, packet.data));
		MUST(engineio_write(&direct, ENCODING_SOCKETIO, packet.type, packet.binary, packet.data));
	}
	if (result == ENGINEIO_END) {
		MUST(again.len == body.len + 1 && memcmp(again.bytes + 1, body.p, body.len) == 0);
		MUST(engineio_payload_to_frames(&frames, buf_as_span(&again)));
		MUST(span_equal(buf_as_span(&frames), buf_as_span(&direct)));
	}
	buf_clear(&frames);
	engineio_payload_to_frames(&frames, body); /* and of anything: no crash */
	buf_finish(&room);
	buf_finish(&again);
	buf_finish(&frames);
	buf_finish(&direct);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span body = fuzz_exact((struct span){(const char *)bytes, size});
	struct buf room = buf_init(size);
	struct engineio_packet packet;

	if (engineio_read_frame(body, false, &room, &packet))
		check_packet(&packet);
	MUST(engineio_read_frame(body, true, &room, &packet) && span_equal(packet.data, body));
	check_payload(body);
	buf_finish(&room);
	free((char *)(uintptr_t)body.p);
	return 0;
}
