/* The named messages of the server: connected, error, subscribed, position. A session may not be
 * spoken to while it is behind its socket, nor before `connected`, which must come first; what is
 * to be said then is held, in a bounded buffer, and goes out before anything else. It is held as
 * name, JSON and id, and encoded when it is said: by then the session may be spoken to in another
 * way (session_speak_through()).
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "hub/internal.h"
#include "rules/topics.h"

#define SAID_MAX                                                                                   \
	((size_t)1 << 20) /* far above any of these messages; the largest repeats a client's own   \
			   */

#define CONNECTED_BYTES 256 /* of the usual one */

uint64_t session_position(const struct session *session)
{
	return session->state == SESSION_LIVE ? tail_head(&session->hub->tail) : session->position;
}

/* A message in session->held: this, then the three texts. */
struct held {
	uint32_t name, json, id; /* bytes; the name's with its NUL; id NO_ID: none */
};

#define NO_ID UINT32_MAX

static bool hold(struct session *session, const char *text, struct span json, struct span id)
{
	struct span name = {text, strlen(text) + 1};
	struct held head = {(uint32_t)name.len, (uint32_t)json.len, id.p ? (uint32_t)id.len : NO_ID};
	struct buf *held = session->held;

	if (!held) {
		held = session->held = mem_alloc(sizeof(*held));
		*held = buf_init(HELD_MAX);
	}
	if (buf_reserve(held, sizeof(head) + name.len + json.len + id.len)) {
		buf_bytes(held, &head, sizeof(head));
		buf_span(held, name);
		buf_span(held, json);
		buf_span(held, id);
		return true;
	}
	session_end(session, CLOSE_TOO_MANY);
	return false;
}

void held_free(struct session *session)
{
	if (session->held)
		buf_finish(session->held);
	free(session->held);
	session->held = NULL;
}

/* In hub->said, after what was encoded there since it was cleared. */
static void encode(struct session *session, const char *name, struct span json, struct span id)
{
	wire_message(&session->hub->said, session->ops->encoding, name, json, id);
}

static void begin(struct session *session)
{
	session->hub->said.max = SAID_MAX;
	buf_clear(&session->hub->said);
}

static bool tell_said(struct session *session)
{
	struct buf *said = &session->hub->said;

	if (!said->full)
		return session_tell(session, said->bytes, said->len);
	log_warn("hub", "session %s: a message of more than %zu bytes was not sent", session->id, SAID_MAX);
	return true;
}

static bool speak(struct session *session, const char *name, struct span json, struct span id)
{
	if (session->behind || !session_connected(session))
		return hold(session, name, json, id);
	begin(session);
	encode(session, name, json, id);
	return tell_said(session);
}

bool say(struct session *session, const char *name, struct span json)
{
	return speak(session, name, json, (struct span){NULL, 0});
}

bool say_with_id(struct session *session, const char *name, struct span json)
{
	AUTO_BUF struct buf id = buf_init(64);

	buf_text(&id, session->hub->journal);
	buf_text(&id, ":");
	buf_number(&id, (int64_t)session_position(session));
	return speak(session, name, json, buf_as_span(&id));
}

static struct span take(const char **at, size_t len)
{
	struct span text = {*at, len};

	*at += len;
	return text;
}

static void encode_held(struct session *session, const struct buf *held)
{
	const char *at = held->bytes, *end = held->bytes + held->len;

	while (at < end) {
		struct span name, json, id = {NULL, 0};
		struct held head;

		memcpy(&head, at, sizeof(head));
		at += sizeof(head);
		name = take(&at, head.name);
		json = take(&at, head.json);
		if (head.id != NO_ID)
			id = take(&at, head.id);
		encode(session, name.p, json, id);
	}
}

bool say_held(struct session *session)
{
	if (!session->held)
		return true;
	begin(session);
	encode_held(session, session->held);
	held_free(session);
	return tell_said(session);
}

static void error_json(struct buf *json, int code, const char *text)
{
	buf_printf(json, "{\"code\":%d,\"message\":", code);
	buf_json_string(json, span_of(text));
	buf_text(json, "}");
}

bool say_error(struct session *session, int code, const char *text)
{
	AUTO_BUF struct buf json = buf_init(SAID_MAX);

	error_json(&json, code, text);
	return say(session, "error", buf_as_span(&json));
}

void say_error_now(struct session *session, int code, const char *text)
{
	AUTO_BUF struct buf json = buf_init(SAID_MAX);
	const struct buf *said = &session->hub->said;

	error_json(&json, code, text);
	begin(session);
	encode(session, "error", buf_as_span(&json), (struct span){NULL, 0});
	session_put(session, said->bytes, said->len);
}

/* -1, 0, 42: what a 32 bit integer column gives; anything else stays a string. */
static bool is_plain_integer(struct span text)
{
	size_t start = text.len && text.p[0] == '-';

	if (text.len == start || text.len > 15 || (text.p[start] == '0' && text.len > 1))
		return false;
	for (size_t i = start; i < text.len; i++)
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
	return true;
}

static void user_json(struct buf *json, const struct session *session)
{
	if (session->kind == SESSION_OPERATOR)
		buf_text(json, "null,\"operator\":true");
	else if (session->kind == SESSION_TEST)
		buf_text(json, "\"-1\"");
	else if ((session->requested & SESSION_NUMERIC) && is_plain_integer(session->user->id))
		buf_span(json, session->user->id);
	else
		buf_json_string(json, session->user->id);
}

/* `connected` comes first, also when it has to wait itself: what was held before it goes behind it. */
static void hold_behind(struct session *session, struct buf *earlier)
{
	struct buf *held = session->held;

	if (!earlier)
		return;
	if (session_usable(session) && !held) {
		session->held = earlier;
		return;
	}
	if (session_usable(session) && !buf_span(held, buf_as_span(earlier)))
		session_end(session, CLOSE_TOO_MANY);
	buf_finish(earlier);
	free(earlier);
}

static bool say_first(struct session *session, struct span json)
{
	struct buf *earlier = session->held;

	session->held = NULL;
	if (session->kind == SESSION_TEST)
		say(session, "connected", json);
	else
		say_with_id(session, "connected", json);
	hold_behind(session, earlier);
	return session_usable(session);
}

/* A stream's id: is its position, not the head: one that breaks off in the middle of its replay
 * resumes where it was. A TEST session has no part in the journal, so it is not told how far that
 * has come. */
bool say_connected(struct session *session, bool recovered)
{
	AUTO_BUF struct buf json = buf_init(SAID_MAX);
	const struct hub *hub = session->hub;
	uint64_t head = session->kind == SESSION_TEST ? 0 : tail_head(&hub->tail);

	buf_reserve(&json, CONNECTED_BYTES);
	buf_text(&json, "{\"sessionId\":\"");
	buf_text(&json, session->id);
	buf_text(&json, "\",\"userId\":");
	user_json(&json, session);
	buf_text(&json, ",\"code\":200,\"message\":\"Successfully connected.\",\"journal\":\"");
	buf_text(&json, hub->journal);
	buf_text(&json, "\",\"id\":\"");
	buf_number(&json, (int64_t)head);
	buf_text(&json, recovered ? "\",\"recovered\":true}" : "\",\"recovered\":false}");
	return say_first(session, buf_as_span(&json));
}

bool say_position(struct session *session)
{
	AUTO_BUF struct buf json = buf_init(128);

	buf_printf(&json, "{\"journal\":\"%s\",\"id\":\"%llu\"}", session->hub->journal,
		(unsigned long long)session_position(session));
	return say_with_id(session, "position", buf_as_span(&json));
}

static void list_json(struct buf *json, const struct span *texts, size_t count)
{
	buf_text(json, "[");
	for (size_t i = 0; i < count; i++) {
		buf_text(json, i ? "," : "");
		buf_json_string(json, texts[i]);
	}
	buf_text(json, "]");
}

bool say_subscribed(struct session *session)
{
	AUTO_BUF struct buf json = buf_init(SAID_MAX);
	const struct span *topics = NULL, *types = NULL;
	size_t topic_count = 0, type_count = 0;

	if (session->subscription) {
		topic_count = subscription_topics(session->subscription, &topics);
		type_count = subscription_types(session->subscription, &types);
	}
	buf_text(&json, "{\"topics\":");
	list_json(&json, topics, topic_count);
	buf_text(&json, ",\"types\":");
	list_json(&json, types, type_count);
	buf_text(&json, "}");
	return say(session, "subscribed", buf_as_span(&json));
}
