/* Events and named messages to bytes, client frames to requests. No sockets, no sessions; every decoder here is fuzzed. */
#ifndef ESINK_WIRE_H
#define ESINK_WIRE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "esink/event.h"
#include "esink/history.h"
#include "esink/status.h"

/* The event's JSON envelope (CONTRACT section 2) as a receiver of that class sees it, appended to buf. */
bool envelope_write(struct buf *buf, const struct event *event, enum event_class class);

/* The `changes` message with that envelope, ready to send, made once per (encoding, class) and kept in the event. In the
 * Socket.IO encodings a message named after the table comes before it, so such a frame is twice as long. Any thread. Lives as
 * long as the event. */
const struct frame *wire_frame(struct event *event, enum encoding encoding, enum event_class class);

/* After any multiple of this many bytes of such a frame the rest may be sent later: a websocket's control frames may stand
 * there. */
#define FRAME_PIECE ((size_t)16384)

/* A named message with a JSON value as text, appended ready to send. id: for streams' `id:` line, absent for none. */
bool wire_message(struct buf *buf, enum encoding encoding, const char *name, struct span json, struct span id);

/* Client JSON, an object or array: repeated keys, NULs and invalid UTF-8 are refused, integers beyond 64 bits become reals.
 * NULL: err has a sentence without any of the text in it (it may hold a token). */
json_t *wire_load(struct span text, struct err *err);

/* The bytes of a member as the client wrote them, digits and all: path names one key a level, ends with NULL. text must have
 * passed wire_load(). False: not there, or its key is written with escapes. */
bool wire_raw_member(struct span text, const char *const *path, struct span *raw);

/* The bytes of an array's element, likewise. False: it has none of that index. */
bool wire_raw_element(struct span text, size_t index, struct span *raw);

enum client_message_kind { CLIENT_AUTH, CLIENT_SUBSCRIBE, CLIENT_UNSUBSCRIBE, CLIENT_EVENT, CLIENT_READY, CLIENT_ACK, CLIENT_UNKNOWN };

struct client_message {
	enum client_message_kind kind;
	json_t *root; /* owns the rest */
	json_t *data; /* an object, borrowed from root; {} when none was sent */
};

/* {"event":NAME,"data":{...}}. STATUS_INVALID with a sentence for the client; depth and duplicate keys are bounded. */
enum status wire_parse(struct span text, struct client_message *message, struct err *err) MUST_CHECK;
void client_message_finish(struct client_message *message);

/* Whether a client's `auth` has a member that is meant to be after, topics or types and would be passed over: the session would get
 * more than was asked for. subscribes: topics and types are members of it. */
enum status wire_check_auth(const json_t *auth, bool subscribes, struct err *err) MUST_CHECK;

/* A resume point: `journal:id` or a bare id. journal is "" for a bare one. False: malformed. */
bool wire_parse_position(struct span text, char journal[JOURNAL_LEN + 1], uint64_t *id);

/* The query of GET /events, one part `name=value` at a time, decoded: fills in what the job asks for. asked must be zeroed first, but
 * for job and limit_max. What is not such a question is refused, also a name that is none, or twice: a filter that was
 * misspelt would show more than was asked for. key names what is wrong. */
struct wire_history {
	struct history_job *job;
	size_t limit_max;
	unsigned given; /* which parts there were */
};
void wire_history_begin(struct wire_history *asked); /* the job's defaults */
enum status wire_history_part(struct wire_history *asked, struct span name, struct span value, const char **key, struct err *err) MUST_CHECK;

/* Milliseconds since 1970, or ISO 8601: a date, or a date and time with or without seconds, a fraction and a zone; without one UTC
 * is meant. False: neither, or beyond the year 9999. */
bool wire_parse_time(struct span text, int64_t *ms);

/* The fields of a published event, from POST /publish or a client's `event`; checks what CONTRACT sections 3 and 4 say of
 * table, type, data, userId, timestamp, source, version. key names the field that is wrong. With needs_user (a
 * publisher's) a member that is nearly one of these is refused, too. Strings are borrowed from body. */
struct published {
	const char *table, *type, *source; /* source NULL: none given */
	json_t *data;
	char user[256]; /* a string or number as text; "" with has_user false or broadcast */
	bool has_user, broadcast;
	int64_t timestamp; /* 0: none given */
	int32_t version;
};
enum status wire_parse_published(const json_t *body, bool needs_user, struct published *published, const char **key,
	struct err *err) MUST_CHECK;

#endif
