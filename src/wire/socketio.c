/* Socket.IO packets. The decoder takes what socket.io-parser takes from a real client, reads it the
 * same, and takes nothing else: where that one lets pass what no client writes (an event without its
 * array, an id of white space, a CONNECT_ERROR), this one refuses. JSON is read by wire_load(), with
 * its bound on depth, its refusal of repeated keys and of NULs; what is passed on is cut out of the
 * text and not written anew, so numbers keep their digits.
 */
#include "wire/socketio.h"

#include <string.h>

#include "wire/engineio.h"
#include "wire/formats.h"

#define ID_DIGITS_MAX 18 /* below 2^63; a client counts from 0 */

struct reader {
	const char *at, *end;
};

static bool digit_at(const struct reader *reader)
{
	return reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9';
}

/* As many digits as there are. False: none, or more than max. */
static bool read_number(struct reader *reader, size_t max, uint64_t *number)
{
	uint64_t value = 0;
	size_t count = 0;

	for (; digit_at(reader); reader->at++)
		if (++count <= max)
			value = value * 10 + (uint64_t)(*reader->at - '0');
	if (count == 0 || count > max)
		return false;
	*number = value;
	return true;
}

static bool binary_type(enum socketio_type type)
{
	return type == SOCKETIO_BINARY_EVENT || type == SOCKETIO_BINARY_ACK;
}

static bool read_attachments(struct reader *reader, unsigned *attachments)
{
	uint64_t number;

	if (!read_number(reader, 2, &number) || number < 1 || number > SOCKETIO_ATTACHMENTS_MAX)
		return false;
	if (reader->at >= reader->end || *reader->at++ != '-')
		return false;
	*attachments = (unsigned)number;
	return true;
}

/* From its '/' to a comma, which is taken too, or to the end; without a query. It goes into answers and logs: no control
 * characters. */
static bool read_namespace(struct reader *reader, struct span *namespace)
{
	size_t left = (size_t)(reader->end - reader->at);
	const char *comma, *query;
	struct span name = {reader->at, left};

	*namespace = span_of("/");
	if (left == 0 || *reader->at != '/')
		return true;
	comma = memchr(reader->at, ',', left);
	if (comma)
		name.len = (size_t)(comma - reader->at);
	reader->at = comma ? comma + 1 : reader->end;
	query = memchr(name.p, '?', name.len);
	if (query)
		name.len = (size_t)(query - name.p);
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f)
			return false;
	*namespace = name;
	return true;
}

/* Everything before the JSON. False: malformed. */
static bool read_head(struct reader *reader, struct socketio_packet *packet)
{
	if (!digit_at(reader) || *reader->at > '0' + SOCKETIO_BINARY_ACK)
		return false;
	packet->type = (enum socketio_type)(*reader->at++ - '0');
	if (binary_type(packet->type) && !read_attachments(reader, &packet->attachments))
		return false;
	if (!read_namespace(reader, &packet->namespace))
		return false;
	packet->has_id = digit_at(reader);
	if (packet->has_id && !read_number(reader, ID_DIGITS_MAX, &packet->id))
		return false;
	return reader->at == reader->end || *reader->at == '[' || *reader->at == '{'; /* white space would be an id elsewhere */
}

bool socketio_reserved(struct span name)
{
	static const struct span names[] = {{"connect", 7}, {"connect_error", 13}, {"disconnect", 10},
		{"disconnecting", 13}, {"newListener", 11}, {"removeListener", 14}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (span_equal(name, names[i]))
			return true;
	return false;
}

static bool is_event(const json_t *root)
{
	const json_t *name = json_array_get(root, 0);

	if (json_is_string(name))
		return !socketio_reserved((struct span){json_string_value(name), json_string_length(name)});
	return json_is_number(name);
}

static bool has_shape(enum socketio_type type, const json_t *root)
{
	switch (type) {
	case SOCKETIO_CONNECT:
		return !root || json_is_object(root);
	case SOCKETIO_DISCONNECT:
		return !root;
	case SOCKETIO_EVENT:
	case SOCKETIO_BINARY_EVENT:
		return is_event(root);
	case SOCKETIO_ACK:
	case SOCKETIO_BINARY_ACK:
		return json_is_array(root);
	default:
		return false;
	}
}

enum status socketio_read(struct span text, struct socketio_packet *packet, struct err *err)
{
	struct reader reader = {text.p, text.p + text.len};
	struct socketio_packet read = {0};

	if (!read_head(&reader, &read))
		return err_set(err, STATUS_INVALID, "The text is not a Socket.IO packet.");
	if (reader.at < reader.end) {
		read.json = (struct span){reader.at, (size_t)(reader.end - reader.at)};
		read.root = wire_load(read.json, err);
		if (!read.root)
			return STATUS_INVALID;
	}
	if (!has_shape(read.type, read.root)) {
		socketio_packet_finish(&read);
		return err_set(err, STATUS_INVALID, "The data of the Socket.IO packet are not what its type has.");
	}
	*packet = read;
	return STATUS_OK;
}

void socketio_packet_finish(struct socketio_packet *packet)
{
	json_decref(packet->root);
	*packet = (struct socketio_packet){0};
}

bool socketio_client_message(const struct socketio_packet *packet, struct buf *text)
{
	struct span name, data;

	if (packet->type != SOCKETIO_EVENT && packet->type != SOCKETIO_BINARY_EVENT)
		return false;
	if (!wire_raw_element(packet->json, 0, &name))
		return false;
	if (!wire_raw_element(packet->json, 1, &data))
		data = span_of("{}");
	BUF_LITERAL(text, "{\"event\":");
	buf_span(text, name);
	BUF_LITERAL(text, ",\"data\":");
	buf_span(text, data);
	return BUF_LITERAL(text, "}");
}

bool socketio_write(struct buf *buf, enum encoding encoding, const struct socketio_packet *packet)
{
	size_t start = engineio_begin(buf, encoding, ENGINEIO_MESSAGE);

	wire_digits(buf, packet->type);
	if (binary_type(packet->type)) {
		wire_digits(buf, packet->attachments);
		BUF_LITERAL(buf, "-");
	}
	if (packet->namespace.len && !span_is(packet->namespace, "/")) {
		buf_span(buf, packet->namespace);
		BUF_LITERAL(buf, ",");
	}
	if (packet->has_id)
		wire_digits(buf, packet->id);
	buf_span(buf, packet->json);
	return engineio_end(buf, encoding, start, start);
}
