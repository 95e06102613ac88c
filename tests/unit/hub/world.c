/* See world.h. */
#include "world.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "hub/internal.h"

/* -- the fake transport -- */

static struct client *client_from(struct session *session)
{
	return (struct client *)session;
}

static enum send_result take(struct session *session, const char *bytes, size_t len)
{
	struct client *client = client_from(session);
	enum send_result result = client->next;

	assert_false(client->closed);
	if (client->vanish_on_send) {
		session_disconnected(session, CLOSE_CLIENT);
		return SEND_DEAD;
	}
	if (result == SEND_DEAD)
		return SEND_DEAD;
	client->sends++;
	client->progress++;
	if (!client->forgetful)
		buf_bytes(&client->bytes, bytes, len);
	return result;
}

static enum send_result fake_send(struct session *session, const char *bytes, size_t len)
{
	assert_false(session->behind);
	return take(session, bytes, len);
}

/* Last words come while it is behind, and nothing else. */
static enum send_result fake_fetched(struct session *session, const char *bytes, size_t len)
{
	client_from(session)->last_words += session->behind;
	return take(session, bytes, len);
}

static void fake_want_writable(struct session *session)
{
	client_from(session)->wanted++;
}

static void fake_close(struct session *session, enum close_reason reason)
{
	struct client *client = client_from(session);

	assert_false(client->closed);
	client->closed = true;
	client->reason = reason;
	snprintf(client->unsaid, sizeof(client->unsaid), "%s", session_unsaid(session) ? session_unsaid(session) : "");
	if (client->takes_along) {
		client_gone(client->takes_along);
		memset(&client->takes_along->session, 0, sizeof(client->takes_along->session));
	}
	if (client->vanish_on_close)
		session_disconnected(session, reason);
}

static unsigned long fake_progress(struct session *session)
{
	return client_from(session)->progress;
}

static unsigned long fake_in_flight(struct session *session)
{
	return client_from(session)->in_flight;
}

static size_t fake_room(struct session *session)
{
	return client_from(session)->room;
}

static void fake_heartbeat(struct session *session)
{
	client_from(session)->heartbeats++;
}

const struct transport_ops fake_websocket = {.name = "websocket",
	.encoding = ENCODING_WEBSOCKET,
	.send = fake_send,
	.room = fake_room,
	.want_writable = fake_want_writable,
	.close = fake_close,
	.progress = fake_progress,
	.in_flight = fake_in_flight,
	.heartbeat = fake_heartbeat};
const struct transport_ops fake_stream = {.name = "sse",
	.encoding = ENCODING_SSE,
	.send = fake_send,
	.want_writable = fake_want_writable,
	.close = fake_close,
	.progress = fake_progress};
const struct transport_ops fake_fetching = {.name = "polling",
	.encoding = ENCODING_WEBSOCKET,
	.fetches = true,
	.send = fake_fetched,
	.want_writable = fake_want_writable,
	.close = fake_close,
	.progress = fake_progress};

/* -- the fake lanes -- */

static bool fake_lookup(void *context, struct lookup_job *job)
{
	struct world *world = context;

	if (world->full)
		return false;
	world->lookups[world->lookup_count++] = job;
	return true;
}

static bool fake_read(void *context, struct read_job *job)
{
	struct world *world = context;

	if (world->full)
		return false;
	world->reads[world->read_count++] = job;
	return true;
}

static bool fake_publish(void *context, struct publish_job *job)
{
	struct world *world = context;

	if (world->full)
		return false;
	world->publishes[world->publish_count++] = job;
	return true;
}

static bool fake_consume(void *context, struct consumer_job *job)
{
	struct world *world = context;

	if (world->full || world->consume_count == sizeof(world->consumes) / sizeof(*world->consumes))
		return false;
	world->consumes[world->consume_count++] = job;
	return true;
}

#define SHIFT(array, count)                                                                        \
	do {                                                                                       \
		memmove(array, array + 1, --(count) * sizeof(*array));                             \
	} while (0)

static void turn(struct world *world)
{
	hub_turn(world->hub);
	if (world->there)
		hub_turn(world->there);
}

void lookup_answer(struct world *world, enum status status, const char *user, bool numeric)
{
	struct lookup_job *job = world->lookups[0];

	assert_true(world->lookup_count > 0);
	SHIFT(world->lookups, world->lookup_count);
	job->status = status;
	job->user = (struct source_user){mem_text(user), numeric};
	job->done(job);
	turn(world);
}

void read_answer(
	struct world *world, enum status status, const char *users, uint64_t from, uint64_t to)
{
	struct read_job *job = world->reads[0];

	assert_true(world->read_count > 0);
	SHIFT(world->reads, world->read_count);
	job->status = status;
	for (uint64_t id = from; status == STATUS_OK && id <= to; id++)
		event_batch_add(&job->batch, event_of(id, users, (struct event_parts){0}));
	job->done(job);
	turn(world);
}

void publish_answer(struct world *world, enum status status)
{
	struct publish_job *job = world->publishes[0];

	assert_true(world->publish_count > 0);
	SHIFT(world->publishes, world->publish_count);
	job->status = status;
	job->done(job);
	turn(world);
}

void consume_answer(struct world *world, enum status status, const char *topics, uint64_t from, uint64_t to, uint64_t seen)
{
	struct consumer_job *job = world->consumes[0];

	assert_true(world->consume_count > 0);
	SHIFT(world->consumes, world->consume_count);
	job->status = status;
	job->seen = seen;
	if (status == STATUS_OK) {
		job->states = mem_zero(1, sizeof(*job->states));
		job->states[job->state_count++].consumer =
			(struct consumer){.name = mem_text(job->name), .topics = mem_text(topics), .types = mem_text("[]"), .generation = 7};
		snprintf(job->journal, sizeof(job->journal), "%s", JOURNAL);
		job->events = mem_zero(to - from + 2, sizeof(*job->events));
	}
	for (uint64_t id = from; status == STATUS_OK && id <= to; id++)
		job->events[job->event_count++] = event_of(id, NULL, (struct event_parts){0});
	job->done(job);
	turn(world);
}

/* -- the world -- */

static void wake(void *context)
{
	(void)context;
}

static void on_shown(void *context, const struct event *event, char *const *ids, size_t count)
{
	struct world *world = context;

	(void)event;
	world->shown_calls++;
	world->shown[0] = 0;
	for (size_t i = 0; i < count; i++)
		snprintf(world->shown + strlen(world->shown),
			sizeof(world->shown) - strlen(world->shown), "%s%s", i ? " " : "", ids[i]);
}

int world_setup(void **state)
{
	struct world *world = mem_zero(1, sizeof(*world));
	struct auth_config auth = {.security_token = OPERATOR,
		.allow_test_token = true,
		.has_table = true,
		.jwt_secret = SECRET,
		.jwt_algorithm = "HS256",
		.jwt_user_claim = "sub"};
	struct ruleset_text rules = {
		.filters = "secrets.password", .auth_table = "auth", .auth_column = "token"};
	struct err err = {""};

	log_init(LOG_ERROR, 0);
	world->auth = auth_create(&auth, &err);
	world->rules = ruleset_create(&rules, &err);
	assert_string_equal(err.text, "");
	world->config = (struct hub_config){.auth = world->auth,
		.rules = world->rules,
		.services = {world, fake_lookup, fake_publish, fake_read, NULL, fake_consume},
		.allow_republishing = true,
		.default_source = "API",
		.auth_timeout_ms = 60000,
		.live_timeout_ms = 60000,
		.auth_recheck_ms = 600000,
		.slow_timeout_ms = 60000,
		.heartbeat_ms = 600000,
		.heartbeat_timeout_ms = 60000,
		.position_ms = 600000,
		.session_queue_bytes = 1 << 20,
		.tail_bytes = 1 << 20,
		.inbox_bytes = 1 << 20,
		.max_patterns = 10,
		.max_pattern_bytes = 200};
	world->shared = hub_shared_create();
	world->hub = hub_create(&world->config, world->shared, wake, world);
	hub_on_shown(world->hub, on_shown, world);
	world_live(world, JOURNAL, 100);
	*state = world;
	return 0;
}

void world_live(struct world *world, const char *journal, uint64_t id)
{
	struct source_position head = {.id = id};

	memcpy(head.journal, journal, JOURNAL_LEN);
	world->head = id;
	hub_live(world->hub, &head);
	hub_turn(world->hub);
}

void world_second(struct world *world)
{
	struct source_position head = {.journal = JOURNAL, .id = world->head};

	world->there = hub_create(&world->config, world->shared, wake, world);
	hub_live(world->there, &head);
	hub_turn(world->there);
}

int world_teardown(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < world->client_count; i++) {
		client_gone(world->clients[i]);
		client_forget(world->clients[i]);
		buf_finish(&world->clients[i]->bytes);
		buf_finish(&world->clients[i]->pieces);
		free(world->clients[i]);
	}
	assert_int_equal(hub_session_count(world->hub), 0);
	while (world->lookup_count)
		lookup_answer(world, STATUS_UNAVAILABLE, NULL, false);
	while (world->read_count)
		read_answer(world, STATUS_UNAVAILABLE, NULL, 1, 0);
	while (world->publish_count)
		publish_answer(world, STATUS_UNAVAILABLE);
	while (world->consume_count)
		consume_answer(world, STATUS_UNAVAILABLE, "[]", 1, 0, 0);
	if (world->there)
		assert_int_equal(hub_session_count(world->there), 0);
	hub_destroy(world->there);
	hub_destroy(world->hub);
	hub_shared_destroy(world->shared);
	auth_destroy(world->auth);
	ruleset_destroy(world->rules);
	free(world);
	return 0;
}

/* -- clients -- */

struct client *client_open_with(
	struct world *world, const struct transport_ops *ops, const struct session_request *request)
{
	struct client *client = mem_zero(1, sizeof(*client));
	const char *message = "";

	client->bytes = buf_init(BUF_NO_MAX);
	world->clients[world->client_count++] = client;
	client->refused = !session_open(
		&client->session, world->hub, ops, request, &client->reason, &message);
	snprintf(client->refusal, sizeof(client->refusal), "%s", client->refused ? message : "");
	return client;
}

static struct client *open_on(
	struct world *world, const struct transport_ops *ops, const char *token, const char *after)
{
	struct session_request request = {
		.token = span_of(token), .after = span_of(after), .address = "192.0.2.1"};

	return client_open_with(world, ops, &request);
}

struct client *client_open(struct world *world, const char *token, const char *after)
{
	return open_on(world, &fake_websocket, token, after);
}

struct client *stream_open(struct world *world, const char *token, const char *after)
{
	return open_on(world, &fake_stream, token, after);
}

struct client *client_of(struct world *world, const char *user)
{
	struct client *client = client_open(world, user, NULL);

	lookup_answer(world, STATUS_OK, user, false);
	client_forget(client);
	client->sends = 0;
	return client;
}

struct client *client_test(struct world *world)
{
	return client_open(world, "TEST", NULL);
}

struct client *client_operator(struct world *world)
{
	struct client *client = client_open(world, OPERATOR, NULL);

	client_forget(client);
	return client;
}

void client_gone(struct client *client)
{
	session_disconnected(&client->session, CLOSE_CLIENT);
}

void client_say(struct client *client, const char *text)
{
	session_receive(&client->session, span_of(text));
}

void client_writable(struct client *client)
{
	client->progress++;
	session_writable(&client->session);
}

static size_t read_frame(struct client *client, size_t at)
{
	const unsigned char *p = (const unsigned char *)client->bytes.bytes + at;
	size_t header = p[1] < 126 ? 2 : p[1] == 126 ? 4 : 10, len = p[1];

	assert_int_equal(p[0] & 0x7f, client->pieces.len ? 0 : 1);
	if (header > 2)
		len = 0;
	for (size_t i = 2; i < header; i++)
		len = len << 8 | p[i];
	assert_true(at + header + len <= client->bytes.len);
	client->pieces.max = BUF_NO_MAX;
	buf_bytes(&client->pieces, p + header, len);
	if (p[0] & 0x80) {
		client->messages[client->count] = json_loadb(client->pieces.bytes, client->pieces.len, 0, NULL);
		assert_non_null(client->messages[client->count++]);
		buf_clear(&client->pieces);
	}
	return at + header + len;
}

static size_t read_stream_event(struct client *client, size_t at)
{
	const char *p = client->bytes.bytes + at, *end = strstr(p, "\n\n"),
		   *event = strstr(p, "event: "), *data = strstr(p, "data: ");
	json_t *message = json_object();

	assert_true(end && event && data && event < data && data < end);
	json_object_set_new(message, "event", json_stringn(event + 7, strcspn(event + 7, "\n")));
	json_object_set_new(
		message, "data", json_loadb(data + 6, (size_t)(end - data) - 6, 0, NULL));
	if (strncmp(p, "id: ", 4) == 0)
		json_object_set_new(message, "id", json_stringn(p + 4, strcspn(p + 4, "\n")));
	client->messages[client->count++] = message;
	return (size_t)(end + 2 - client->bytes.bytes);
}

void client_read(struct client *client)
{
	for (size_t at = 0; at < client->bytes.len;) {
		assert_true(client->count < MESSAGES_MAX);
		at = client->session.ops->encoding == ENCODING_SSE ? read_stream_event(client, at)
								   : read_frame(client, at);
	}
	buf_clear(&client->bytes);
}

void client_forget(struct client *client)
{
	if (!client->refused && client->session.ops)
		client_read(client);
	for (size_t i = 0; i < client->count; i++)
		json_decref(client->messages[i]);
	client->count = 0;
}

json_t *message_data(struct client *client, size_t index)
{
	client_read(client);
	assert_true(index < client->count);
	return json_object_get(client->messages[index], "data");
}

static void describe(struct buf *out, const json_t *message)
{
	const char *name = json_string_value(json_object_get(message, "event"));
	const json_t *data = json_object_get(message, "data");

	buf_printf(out, "%s%s", out->len ? " " : "", name);
	if (strcmp(name, "changes") == 0 || strcmp(name, "position") == 0)
		buf_printf(out, ":%s", json_string_value(json_object_get(data, "id")));
	if (strcmp(name, "changes") == 0 &&
		strcmp(json_string_value(json_object_get(data, "type")), "delete") == 0)
		buf_text(out, ":delete");
	if (strcmp(name, "error") == 0)
		buf_printf(out, ":%d", (int)json_integer_value(json_object_get(data, "code")));
	if (json_is_true(json_object_get(data, "recovered")))
		buf_text(out, ":recovered");
}

void assert_sent(struct client *client, const char *expected)
{
	AUTO_BUF struct buf out = buf_init(1 << 20);

	client_read(client);
	for (size_t i = 0; i < client->count; i++)
		describe(&out, client->messages[i]);
	assert_string_equal(out.bytes ? out.bytes : "", expected);
	client_forget(client);
}

void assert_ids(struct client *client, uint64_t from, uint64_t to)
{
	client_read(client);
	for (size_t i = 0; i < client->count; i++) {
		char id[24];

		snprintf(id, sizeof(id), "%llu", (unsigned long long)(from + i));
		assert_string_equal(
			json_string_value(json_object_get(message_data(client, i), "id")), id);
	}
	assert_int_equal(client->count, to + 1 - from);
	client_forget(client);
}

/* -- events -- */

struct event *event_of(uint64_t id, const char *users, struct event_parts parts)
{
	struct span spans[64];
	size_t count = 0;

	parts.id = parts.key = id;
	parts.broadcast = users && strcmp(users, "*") == 0;
	for (const char *at = users; at && *at && !parts.broadcast;) {
		size_t len = strcspn(at, ",");

		spans[count++] = (struct span){at, len};
		at += len + (at[len] == ',');
	}
	if (users) {
		parts.users = spans;
		parts.user_count = count;
	}
	parts.journal = parts.journal.p ? parts.journal : span_of(JOURNAL);
	parts.topic = parts.topic.p ? parts.topic : span_of("orders");
	parts.type = parts.type.p ? parts.type : span_of("update");
	parts.data = parts.data.p ? parts.data : span_of("{\"id\":1}");
	parts.source = span_of("postgres");
	parts.source_type = span_of("database");
	return event_create(&parts);
}

static void hand_over(struct world *world, struct event **events, size_t count)
{
	assert_true(hub_deliver(world->hub, events, count));
	for (size_t i = 0; i < count; i++)
		event_unref(events[i]);
}

void publish_many(struct world *world, const char *users, size_t count)
{
	struct event **events = mem_alloc(count * sizeof(*events));

	for (size_t i = 0; i < count; i++)
		events[i] = event_of(++world->head, users, (struct event_parts){0});
	hand_over(world, events, count);
	free(events);
	hub_turn(world->hub);
}

void publish(struct world *world, const char *users)
{
	publish_many(world, users, 1);
}

void publish_parts(struct world *world, struct event_parts parts)
{
	struct event *event = event_of(++world->head, NULL, parts);

	hand_over(world, &event, 1);
	hub_turn(world->hub);
}

/* -- tokens and time -- */

static void add_base64url(struct buf *out, const void *bytes, size_t len)
{
	unsigned char text[1024];
	int n = EVP_EncodeBlock(text, bytes, (int)len);

	for (int i = 0; i < n && text[i] != '='; i++)
		buf_bytes(out, text[i] == '+' ? "-" : text[i] == '/' ? "_" : (char *)&text[i], 1);
}

char *jwt_of(const char *user, double seconds)
{
	static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
	struct buf out = buf_init(4096);
	char payload[256];
	unsigned char mac[32];
	unsigned mac_len;

	snprintf(payload, sizeof(payload), "{\"sub\":\"%s\",\"exp\":%.3f}", user,
		(double)clock_wall_ms() / 1000 + seconds);
	add_base64url(&out, header, strlen(header));
	buf_text(&out, ".");
	add_base64url(&out, payload, strlen(payload));
	HMAC(EVP_sha256(), SECRET, (int)strlen(SECRET), (unsigned char *)out.bytes, out.len, mac,
		&mac_len);
	buf_text(&out, ".");
	add_base64url(&out, mac, mac_len);
	return buf_take(&out);
}
