/* One sealed journal entry. Immutable after event_create() and shared by every thread by reference count; the only
 * thing that is added later is the cache of encoded frames, each slot written once by compare-and-swap.
 *
 * The database's JSON text is kept as it came and spliced into envelopes; nothing here parses it.
 */
#ifndef ESINK_EVENT_H
#define ESINK_EVENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "esink/span.h"

#define JOURNAL_LEN 16 /* hex digits */

/* How one entry is shown to a receiver. */
enum event_class {
	CLASS_BOTH,    /* sees it whole: every insert and delete, an update of a row that was the receiver's and still is */
	CLASS_ENTERED, /* an update that made the row the receiver's: without `old` */
	CLASS_LEFT,    /* an update that took the row away: type delete, the old key alone */
	CLASS_COUNT
};

/* The byte formats that events are framed in; each (encoding, class) of an event is framed once, by the wire layer. */
enum encoding {
	ENCODING_WEBSOCKET,
	ENCODING_SSE,
	ENCODING_SOCKETIO,         /* Socket.IO packets in websocket frames */
	ENCODING_SOCKETIO_POLLING, /* the same in the body of an HTTP answer, a record separator before each */
	ENCODING_COUNT
};

struct frame {
	size_t len;
	char bytes[];
};

/* One user who may see the event. hash = hash_bytes(id). */
struct receiver {
	uint64_t hash;
	const char *id;
	uint32_t len;
	enum event_class class;
};

struct event {
	atomic_uint refs;
	uint64_t id;       /* 1.. within the journal */
	uint64_t key;      /* the source's own reading key of it (outbox sequence); 0: none. A hint for reading on, nothing else */
	int64_t timestamp; /* ms since 1970, when the change was made */
	int32_t version;
	bool incomplete;
	bool broadcast; /* every user session, class both */
	char journal[JOURNAL_LEN + 1];
	/* Spans into the event's own memory. data is a JSON object; old, old_key, transaction_id, actor, ref may be absent. */
	struct span topic, type, data, old, old_key, source, source_type, transaction_id, actor;
	struct span ref; /* the publisher's reference, matched to the waiting /publish; never shown */
	uint32_t receiver_count;
	struct receiver *receivers; /* distinct users, ascending by (hash, id) */
	size_t size;                /* bytes that this event holds, frames not counted: what the bounds count */
	_Atomic(struct frame *) frames[ENCODING_COUNT][CLASS_COUNT];
};

/* What a source says of one entry. All spans are borrowed for the call. users: the audience by the row as it is after
 * the change (delete: before it). old_users with rerouted: the audience of the row before an update that changed it. */
struct event_parts {
	uint64_t id, key;
	int64_t timestamp;
	int32_t version;
	bool incomplete, broadcast, rerouted;
	struct span journal, topic, type, data, old, old_key, source, source_type, transaction_id, actor, ref;
	const struct span *users, *old_users;
	size_t user_count, old_user_count;
};

/* Copies everything into one allocation, merges the two audiences into receivers with a class each, and returns it with
 * one reference, the caller's. Repeated users count once. */
struct event *event_create(const struct event_parts *parts);
struct event *event_ref(struct event *event);
void event_unref(struct event *event); /* NULL is fine */

/* Whether that user may see it, and how. hash must be hash_bytes(user). Any thread. */
bool event_visible(const struct event *event, uint64_t hash, struct span user, enum event_class *class);

/* The type as a receiver of that class sees it. */
struct span event_type_shown(const struct event *event, enum event_class class);

#endif
