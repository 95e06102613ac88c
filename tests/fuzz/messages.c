/* What a client says on a websocket, and what happens meanwhile: events, full sockets, answers of the database in any order. Whatever
 * it says, all that it is sent is whole frames of JSON (world.c looks), nobody is shown another's event, nothing but `auth` is
 * answered before it is known who speaks, and nothing is left when it goes. Built over the fakes of tests/unit/hub.
 *
 * Fields: a letter, and what it needs behind it. m: a message; e: an event for user 7, x: for user 8; l: the token's look-up is
 * answered (empty: it is nobody's); r, u, c: so are a read of the journal, a publication and a consumer's poll; f: the socket is
 * full; w: it takes all; t: a tick of the clock. The first: o: the operator, u: user 7, T: TEST, else it has to say `auth`.
 */
#include "fuzz.h"

#include "../unit/hub/world.h"

static struct world *world;

static void event_for(const char *user, const char *topic)
{
	publish_parts(world, (struct event_parts){.users = &(struct span){user, 1}, .user_count = 1, .topic = span_of(topic)});
}

/* The events that follow what was asked for: of user 7 every other one. */
static void answer_read(enum status status)
{
	struct read_job *job = world->reads[0];

	read_answer(world, status, "7", job->after + 1, world->head < job->after + 50 ? world->head : job->after + 50);
}

static void answer_consume(enum status status)
{
	consume_answer(world, status, "[]", 1, world->consume_count % 3, world->head);
}

static void do_field(struct client *client, struct span field)
{
	char *text = fuzz_text((struct span){field.p + 1, field.len - 1});
	enum status status = *text == 'n' ? STATUS_UNAVAILABLE : *text == 'g' ? STATUS_GONE : STATUS_OK;

	switch (field.p[0]) {
	case 'm':
		session_receive(&client->session, (struct span){text, field.len - 1});
		break;
	case 'e':
		event_for("7", "orders");
		break;
	case 'x':
		event_for("8", "hidden");
		break;
	case 'l':
		if (world->lookup_count)
			lookup_answer(world, *text ? status : STATUS_UNAUTHORIZED, "7", true);
		break;
	case 'r':
		if (world->read_count)
			answer_read(status);
		break;
	case 'u':
		if (world->publish_count)
			publish_answer(world, status);
		break;
	case 'c':
		if (world->consume_count)
			answer_consume(status);
		break;
	case 'f':
		client->next = SEND_BEHIND;
		break;
	case 'w':
		client->next = SEND_ALL;
		client_writable(client);
		break;
	default:
		hub_tick(world->hub);
	}
	free(text);
	hub_turn(world->hub);
}

static struct client *open_client(struct span who)
{
	char *jwt = NULL;
	const char *token = who.len && *who.p == 'o' ? OPERATOR : who.len && *who.p == 'T' ? "TEST" : NULL;
	struct client *client;

	if (who.len && *who.p == 'u')
		token = jwt = jwt_of("7", 3600);
	client = client_open(world, token, who.len > 1 ? "100" : NULL);
	free(jwt);
	return client;
}

static void check(struct client *client, bool operator)
{
	bool known = false;

	client_read(client);
	for (size_t i = 0; i < client->count; i++) {
		const json_t *message = client->messages[i], *data = json_object_get(message, "data");
		const char *name = json_string_value(json_object_get(message, "event")), *table = json_string_value(json_object_get(data, "table"));

		MUST(name && json_is_object(data));
		known |= strcmp(name, "connected") == 0;
		MUST(known || strcmp(name, "error") == 0);
		MUST(strcmp(name, "changes") != 0 || (table && (operator || strcmp(table, "hidden") != 0)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span input = {(const char *)bytes, size}, who = fuzz_field(&input);
	struct client *client;
	void *state = NULL;
	bool operator = who.len && *who.p == 'o';

	world_setup(&state);
	world = state;
	client = open_client(who);
	hub_turn(world->hub);
	for (int i = 0; input.len && i < 64; i++) {
		struct span field = fuzz_field(&input);

		operator |= memmem(bytes, size, OPERATOR, strlen(OPERATOR)) != NULL;
		if (field.len)
			do_field(client, field);
	}
	check(client, operator);
	world_teardown(&state);
	return 0;
}
