/* Who sees what: random rules, rows, updates that change who may see them, deletes, published events, rules that change between the
 * writing and the telling, and sessions that come, subscribe, fall behind, resume and go; against the model of model.h. Nobody is
 * shown a row or a column that the model forbids, and everyone is shown what it allows, in order and once.
 *
 * The rules, the sealed event, the hub and the frames are esink's own; the trigger is played here, by what ruleset_bind() says of
 * a table, and the lanes are those of tests/unit/hub. tests/e2e/authorisation.test.mjs does the same with real databases.
 */
#include "fuzz.h"

#include "../unit/hub/world.h"
#include "model.h"
#include "rules/wants.h"
#include "rules_text.h"
#include "source/today.h"

#define EVENTS_MAX 96
#define WATCHERS_MAX 12
#define SUBSCRIPTIONS_MAX 6
#define FIRST (world_head - before) /* the journal reaches back to FIRST + 1 */
#define world_head ((uint64_t)100)

struct subscription_model {
	uint64_t from; /* for events behind this id */
	const struct model_pattern *patterns[3];
	const char *types[3];
	size_t pattern_count, type_count;
};

struct watcher {
	struct client *client;
	const char *user; /* NULL: the operator, or with test nobody */
	bool test, stream, gone;
	bool has_after, recovers;
	uint64_t after, head; /* head: when it came */
	struct subscription_model subscriptions[SUBSCRIPTIONS_MAX];
	size_t subscription_count;
};

static struct world *world;
static struct meaning rules_then, rules_now;
static struct ruleset *set_then, *set_now;
static struct today today;
static struct model_event models[EVENTS_MAX];
static struct event *events[EVENTS_MAX];
static size_t count, delivered, before;
static struct watcher watchers[WATCHERS_MAX];
static size_t watcher_count;

/* -- writing ------------------------------------------------------------------------------------------------------------ */

static struct model_row choose_row(struct dice *dice, size_t table)
{
	struct model_row row = {0};

	for (size_t i = 0; i < model_tables[table].count; i++) {
		row.cells[i].count = chance(dice, 70) ? 1 : roll(dice, MODEL_USERS + 1);
		for (size_t n = 0; n < row.cells[i].count; n++)
			row.cells[i].users[n] = model_users[roll(dice, (unsigned)model_user_count)];
	}
	return row;
}

/* An update of some of the columns. */
static struct model_row change_row(struct dice *dice, size_t table, const struct model_row *old)
{
	struct model_row row = choose_row(dice, table);

	for (size_t i = 0; i < model_tables[table].count; i++)
		if (chance(dice, 60))
			row.cells[i] = old->cells[i];
	return row;
}

static char *row_text(const struct model_table *table, const struct model_row *row, const bool *sent, size_t columns)
{
	json_t *object = json_object();
	char *text;

	for (size_t i = 0; i < columns; i++) {
		json_t *list = json_array();

		if (!sent[i]) {
			json_decref(list);
			continue;
		}
		for (size_t n = 0; n < row->cells[i].count; n++)
			json_array_append_new(list, json_string(row->cells[i].users[n]));
		json_object_set_new(object, table->columns[i], row->cells[i].count > 1 ? json_incref(list)
							: row->cells[i].count ? json_incref(json_array_get(list, 0)) : json_null());
		json_decref(list);
	}
	text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

static size_t collect(const struct table_rule *rule, const struct model_row *row, struct span *users)
{
	size_t found = 0;

	for (size_t i = 0; i < rule->route_count; i++)
		for (size_t n = 0; n < row->cells[rule->route[i]].count; n++)
			users[found++] = span_of(row->cells[rule->route[i]].users[n]);
	return found;
}

static bool all_in(const struct span *users, size_t user_count, const struct span *others, size_t other_count)
{
	for (size_t i = 0; i < user_count; i++) {
		bool found = false;

		for (size_t n = 0; n < other_count; n++)
			found |= span_equal(users[i], others[n]);
		if (!found)
			return false;
	}
	return true;
}

/* What the trigger of that table, made under those rules, puts into the journal, told under today's. */
static struct event *seal_change(const struct model_event *model, struct event_parts parts)
{
	static const char *const types[] = {"insert", "update", "delete", "truncate"};
	const struct model_table *table = &model_tables[model->table];
	struct relation relation = {table->schema, table->name, table->in_default_schema, table->columns, table->count};
	struct span users[MODEL_COLUMNS * MODEL_USERS], old_users[MODEL_COLUMNS * MODEL_USERS];
	bool update = model->kind == MODEL_UPDATE, truncate = model->kind == MODEL_TRUNCATE;
	struct table_rule rule;
	struct event *event;
	char *data, *old = NULL, *old_key = NULL;

	ruleset_bind(model->then == &rules_then ? set_then : set_now, &relation, &rule);
	MUST(!rule.missing || strcmp(table->name, "auth") == 0);
	data = truncate ? strdup("{}") : row_text(table, &model->row, rule.sent, table->count);
	parts.type = span_of(types[model->kind]);
	parts.data = span_of(data);
	parts.broadcast = rule.broadcast;
	parts.users = users;
	parts.user_count = truncate ? 0 : collect(&rule, &model->row, users);
	if (update && rule.old_rows)
		parts.old = span_of(old = row_text(table, &model->old, rule.sent, table->count));
	if (update) {
		parts.old_users = old_users;
		parts.old_user_count = collect(&rule, &model->old, old_users);
		parts.rerouted = !all_in(users, parts.user_count, old_users, parts.old_user_count) ||
			!all_in(old_users, parts.old_user_count, users, parts.user_count);
		parts.old_key = span_of(old_key = row_text(table, &model->old, rule.sent, 1));
	}
	if (!parts.rerouted) {
		parts.old_user_count = 0;
		parts.old_key = (struct span){NULL, 0};
	}
	today_row(&today, &parts, "public");
	event = event_create(&parts);
	table_rule_finish(&rule);
	free(data);
	free(old);
	free(old_key);
	return event;
}

static struct event *seal_published(const struct model_event *model, struct event_parts parts)
{
	static const bool all[MODEL_COLUMNS] = {true, true, true, true, true, true};
	bool known = model->table < MODEL_TABLES;
	char *data = known ? row_text(&model_tables[model->table], &model->row, all, model_tables[model->table].count) : strdup("{}");
	struct span user = span_of(model->user);
	char *filtered = NULL;
	struct event *event;

	MUST(ruleset_filter_data(model->then == &rules_then ? set_then : set_now, model_topic(model), span_of(data), &filtered, NULL) == STATUS_OK);
	parts.type = span_of(model->type);
	parts.data = span_of(filtered);
	parts.broadcast = model->broadcast;
	parts.users = &user;
	parts.user_count = model->user != NULL;
	today_published(&today, &parts);
	event = event_create(&parts);
	free(data);
	free(filtered);
	return event;
}

/* The next entry of the journal; not yet handed to the hub. */
static void write_event(struct dice *dice)
{
	static const char *const types[] = {"shipped", "update", "x"}, *const sources[] = {"api", "sql", "websocket", "socketio"};
	struct model_event *model = &models[count];
	struct event_parts parts = {.id = FIRST + count + 1, .key = FIRST + count + 1, .version = 1, .journal = span_of(JOURNAL), .source = span_of("s")};

	if (count == EVENTS_MAX)
		return;
	*model = (struct model_event){.table = roll(dice, MODEL_TABLES), .then = chance(dice, 50) ? &rules_then : &rules_now, .now = &rules_now,
		.source_type = "database"};
	if (chance(dice, 15) || !model->then->tables[model->table].watched) {
		model->kind = MODEL_PUBLISHED;
		model->table = roll(dice, MODEL_TABLES + 1);
		model->type = types[roll(dice, 3)];
		model->source_type = sources[roll(dice, 4)];
		model->broadcast = chance(dice, 30);
		model->user = model->broadcast || chance(dice, 10) ? NULL : model_users[roll(dice, (unsigned)model_user_count)];
	} else {
		unsigned kind = roll(dice, 10);

		model->kind = kind < 6 ? MODEL_UPDATE : kind < 8 ? MODEL_INSERT : kind < 9 ? MODEL_DELETE : MODEL_TRUNCATE;
	}
	if (model->table < MODEL_TABLES) {
		model->old = choose_row(dice, model->table);
		model->row = change_row(dice, model->table, &model->old);
	}
	parts.topic = span_of(model_topic(model));
	parts.source_type = span_of(model->source_type);
	events[count++] = model->kind == MODEL_PUBLISHED ? seal_published(model, parts) : seal_change(model, parts);
}

static void deliver(void)
{
	if (delivered < count)
		MUST(hub_deliver(world->hub, events + delivered, count - delivered));
	delivered = count;
	world->head = FIRST + count;
	hub_turn(world->hub);
}

/* -- watching ------------------------------------------------------------------------------------------------------------ */

static void choose_subscription(struct dice *dice, struct subscription_model *ret)
{
	static const char *const types[] = {"insert", "update", "delete", "truncate", "shipped"};

	ret->pattern_count = roll(dice, 4);
	ret->type_count = chance(dice, 50) ? 0 : roll(dice, 4);
	for (size_t i = 0; i < ret->pattern_count; i++)
		ret->patterns[i] = &model_patterns[roll(dice, (unsigned)model_pattern_count)];
	for (size_t i = 0; i < ret->type_count; i++)
		ret->types[i] = types[roll(dice, 5)];
}

static bool wanted(const struct subscription_model *subscription, const char *topic, const char *type)
{
	bool topics = !subscription->pattern_count, types = !subscription->type_count;

	for (size_t i = 0; i < subscription->pattern_count; i++)
		topics |= model_matches(subscription->patterns[i], topic);
	for (size_t i = 0; i < subscription->type_count; i++)
		types |= strcmp(subscription->types[i], type) == 0;
	return topics && types;
}

static void choose_after(struct dice *dice, struct watcher *watcher, char *text, size_t size)
{
	bool own = chance(dice, 85), bare = chance(dice, 30);

	watcher->after = FIRST - 2 + roll(dice, (unsigned)(count + 5));
	watcher->has_after = true;
	watcher->recovers = watcher->after >= FIRST && watcher->after <= watcher->head && (own || bare);
	snprintf(text, size, "%s%s%llu", bare ? "" : own ? JOURNAL : OTHER_JOURNAL, bare ? "" : ":", (unsigned long long)watcher->after);
}

static void come(struct dice *dice)
{
	struct watcher *watcher = &watchers[watcher_count];
	struct subscription_model *subscription = &watcher->subscriptions[0];
	struct span topics[3], types[3];
	char after[48] = "";
	struct session_request request = {.topics = topics, .types = types, .address = "192.0.2.1"};

	if (watcher_count == WATCHERS_MAX)
		return;
	*watcher = (struct watcher){.user = model_users[roll(dice, (unsigned)model_user_count)], .stream = chance(dice, 30), .head = FIRST + delivered,
		.test = chance(dice, 5), .subscription_count = 1};
	if (watcher->test || !*watcher->user || chance(dice, 15)) /* an empty id is nobody's */
		watcher->user = NULL;
	if (!watcher->test && chance(dice, 50))
		choose_after(dice, watcher, after, sizeof(after));
	if (chance(dice, 40))
		choose_subscription(dice, subscription);
	for (size_t i = 0; i < subscription->pattern_count; i++)
		topics[i] = span_of(subscription->patterns[i]->pattern);
	for (size_t i = 0; i < subscription->type_count; i++)
		types[i] = span_of(subscription->types[i]);
	request.topic_count = subscription->pattern_count;
	request.type_count = subscription->type_count;
	request.token = span_of(watcher->test ? "TEST" : watcher->user ? "a token" : OPERATOR);
	request.after = span_of(*after ? after : NULL);
	watcher->client = client_open_with(world, watcher->stream ? &fake_stream : &fake_websocket, &request);
	MUST(!watcher->client->refused);
	watcher_count++;
	if (watcher->user)
		lookup_answer(world, STATUS_OK, watcher->user, false);
	hub_turn(world->hub);
}

static void subscribe(struct dice *dice, struct watcher *watcher)
{
	struct subscription_model *next = &watcher->subscriptions[watcher->subscription_count];
	json_t *message, *topics = json_array(), *types = json_array();
	char *text;

	*next = (struct subscription_model){.from = FIRST + count};
	if (chance(dice, 80))
		choose_subscription(dice, next);
	for (size_t i = 0; i < next->pattern_count; i++)
		json_array_append_new(topics, json_string(next->patterns[i]->pattern));
	for (size_t i = 0; i < next->type_count; i++)
		json_array_append_new(types, json_string(next->types[i]));
	message = json_pack("{s:s, s:{s:o, s:o}}", "event", "subscribe", "data", "topics", topics, "types", types);
	text = json_dumps(message, JSON_COMPACT);
	client_say(watcher->client, text);
	watcher->subscription_count++;
	json_decref(message);
	free(text);
}

/* Only a session that has all that came before is asked: what a subscription means for what lies behind is not promised. */
static void perhaps_subscribe(struct dice *dice, struct watcher *watcher)
{
	if (watcher->stream || watcher->gone || watcher->subscription_count == SUBSCRIPTIONS_MAX || watcher->test)
		return;
	deliver();
	if (watcher->client->session.state == SESSION_LIVE && !watcher->client->session.behind)
		subscribe(dice, watcher);
}

/* The journal may be ahead of what the hub was handed. */
static void answer_read(void)
{
	struct read_job *job = world->reads[0];

	memmove(world->reads, world->reads + 1, --world->read_count * sizeof(*world->reads));
	job->status = job->after < FIRST ? STATUS_GONE : STATUS_OK;
	for (uint64_t id = job->after + 1; job->status == STATUS_OK && id <= FIRST + count && id - job->after <= job->max; id++)
		event_batch_add(&job->batch, event_ref(events[id - FIRST - 1]));
	job->done(job);
	hub_turn(world->hub);
}

static void one_step(struct dice *dice)
{
	struct watcher *watcher = watcher_count ? &watchers[roll(dice, (unsigned)watcher_count)] : NULL;
	unsigned what = roll(dice, 100);

	if (what < 12 || !watcher) {
		come(dice);
	} else if (what < 55) {
		write_event(dice);
	} else if (what < 70) {
		deliver();
	} else if (what < 78) {
		if (world->read_count)
			answer_read();
	} else if (what < 84) {
		watcher->client->next = SEND_BEHIND;
	} else if (what < 90) {
		watcher->client->next = SEND_ALL;
		if (!watcher->gone)
			client_writable(watcher->client);
	} else if (what < 97) {
		perhaps_subscribe(dice, watcher);
	} else if (!watcher->gone) {
		watcher->gone = true;
		client_gone(watcher->client);
	}
}

/* Every socket takes everything, every read is answered, until nothing moves. */
static void settle(void)
{
	deliver();
	for (int quiet = 0; quiet < 4; quiet++) {
		for (size_t i = 0; i < watcher_count; i++) {
			size_t sends = watchers[i].client->sends;

			watchers[i].client->next = SEND_ALL;
			if (!watchers[i].gone)
				client_writable(watchers[i].client);
			hub_turn(world->hub);
			if (watchers[i].client->sends != sends)
				quiet = 0;
		}
		while (world->read_count) {
			quiet = 0;
			answer_read();
		}
	}
}

/* -- judging -------------------------------------------------------------------------------------------------------------- */

static void complain(const struct watcher *watcher, uint64_t id, const struct model_view *view, const json_t *got)
{
	char *data = view ? json_dumps(view->data, JSON_COMPACT) : NULL, *old = view ? json_dumps(view->old, JSON_COMPACT) : NULL,
	     *message = json_dumps(got, JSON_COMPACT);

	fprintf(stderr, "ERROR: %s \"%s\" should see %s of %llu: %s old %s; it saw: %s\n", watcher->user ? "user" : watcher->test ? "TEST" : "operator",
		watcher->user ? watcher->user : "", view ? view->type : "nothing", (unsigned long long)id, data ? data : "-", old ? old : "-",
		message ? message : "nothing");
	abort();
}

static bool says(const json_t *message, const struct model_event *event, const struct model_view *view, uint64_t id)
{
	const json_t *data = json_object_get(message, "data");
	char digits[24];

	snprintf(digits, sizeof(digits), "%llu", (unsigned long long)id);
	return strcmp(json_string_value(json_object_get(data, "id")), digits) == 0 &&
		strcmp(json_string_value(json_object_get(data, "table")), model_topic(event)) == 0 &&
		strcmp(json_string_value(json_object_get(data, "type")), view->type) == 0 &&
		json_equal(json_object_get(data, "data"), view->data) && !json_object_get(data, "incomplete") &&
		(view->old ? json_equal(json_object_get(data, "old"), view->old) : !json_object_get(data, "old"));
}

static const struct subscription_model *subscription_at(const struct watcher *watcher, uint64_t id)
{
	size_t at = watcher->subscription_count - 1;

	while (at && watcher->subscriptions[at].from >= id)
		at--;
	return &watcher->subscriptions[at];
}

static json_t *next_change(const struct watcher *watcher, size_t *at)
{
	for (; *at < watcher->client->count; (*at)++)
		if (strcmp(json_string_value(json_object_get(watcher->client->messages[*at], "event")), "changes") == 0)
			return watcher->client->messages[(*at)++];
	return NULL;
}

/* The first message, and where what it is to be shown begins. */
static bool connected(const struct watcher *watcher, uint64_t *from)
{
	const json_t *first = watcher->client->count ? watcher->client->messages[0] : NULL, *data = json_object_get(first, "data");
	uint64_t id;

	if (!first && watcher->gone)
		return false;
	if (!first || strcmp(json_string_value(json_object_get(first, "event")), "connected") != 0)
		complain(watcher, watcher->head, NULL, first);
	id = strtoull(json_string_value(json_object_get(data, "id")), NULL, 10);
	MUST(json_is_true(json_object_get(data, "recovered")) == (watcher->has_after && watcher->recovers));
	MUST(id >= watcher->head && id <= FIRST + count);
	*from = watcher->recovers ? watcher->after : id;
	return true;
}

static void judge_test(const struct watcher *watcher)
{
	json_t *change;

	for (size_t at = 0; (change = next_change(watcher, &at));)
		if (strcmp(json_string_value(json_object_get(json_object_get(change, "data"), "table")), "esink_test") != 0)
			complain(watcher, 0, NULL, change);
}

static void judge(const struct watcher *watcher)
{
	uint64_t from = 0;
	size_t at = 0;
	json_t *change;

	client_read(watcher->client);
	if (watcher->test || !connected(watcher, &from)) {
		judge_test(watcher);
		return;
	}
	for (uint64_t id = from + 1; id <= FIRST + count; id++) {
		const struct model_event *event = &models[id - FIRST - 1];
		struct model_view view = model_show(event, watcher->user);

		if (view.visible && wanted(subscription_at(watcher, id), model_topic(event), view.type)) {
			change = next_change(watcher, &at);
			if (!change && watcher->gone)
				id = FIRST + count; /* it had not taken more */
			else if (!change || !says(change, event, &view, id))
				complain(watcher, id, &view, change);
		}
		model_view_finish(&view);
	}
	change = next_change(watcher, &at);
	if (change)
		complain(watcher, 0, NULL, change);
}

/* A consumer sees what the operator does, but clients' own events only where it asks for that source. */
static void judge_consumer(struct dice *dice)
{
	static const char *const sources[] = {"database", "sql", "api", "websocket", "socketio"};
	struct subscription_model asked = {0};
	json_t *topics = json_array(), *types = json_array(), *source_types = json_array();
	char *topics_text = NULL, *types_text = NULL;
	struct wants *wants = NULL;
	bool from[5] = {true, true, true, false, false};
	const char *key;
	struct err err = {""};

	choose_subscription(dice, &asked);
	for (size_t i = 0; i < asked.pattern_count; i++)
		json_array_append_new(topics, json_string(asked.patterns[i]->pattern));
	for (size_t i = 0; i < asked.type_count; i++)
		json_array_append_new(types, json_string(asked.types[i]));
	for (size_t i = 0, some = roll(dice, 32); i < 5 && some; i++)
		if ((from[i] = some >> i & 1))
			json_array_append_new(source_types, json_string(sources[i]));
	MUST(wants_texts(topics, types, source_types, 10, 200, &topics_text, &types_text, &key, &err) == STATUS_OK);
	MUST(wants_create(topics_text, types_text, 10, 200, &wants, &err) == STATUS_OK);
	for (size_t i = 0; i < count; i++) {
		struct model_view view = model_show(&models[i], NULL);
		size_t source = 0;

		while (strcmp(sources[source], models[i].source_type) != 0)
			source++;
		MUST(wants_event(wants, events[i]) == (from[source] && wanted(&asked, model_topic(&models[i]), view.type)));
		model_view_finish(&view);
	}
	wants_destroy(wants);
	json_decref(topics);
	json_decref(types);
	json_decref(source_types);
	free(topics_text);
	free(types_text);
}

/* -- one case -------------------------------------------------------------------------------------------------------------- */

static void begin(struct dice *dice)
{
	void *state;

	meaning_choose(dice, &rules_then);
	rules_now = rules_then;
	set_then = meaning_spell(dice, &rules_then);
	if (chance(dice, 40))
		meaning_choose(dice, &rules_now);
	set_now = meaning_spell(dice, &rules_now);
	MUST(set_then && set_now);
	today = (struct today){.rules = set_now};
	count = delivered = watcher_count = 0;
	before = roll(dice, 20);
	world_setup(&state);
	world = state;
	world->config.tail_bytes = chance(dice, 50) ? 2048 : 1 << 20;
	world->config.session_queue_bytes = chance(dice, 50) ? 1024 : 1 << 20;
	while (count < before)
		write_event(dice);
	delivered = count;
}

static void end(void)
{
	void *state = world;

	world_teardown(&state);
	for (size_t i = 0; i < count; i++)
		event_unref(events[i]);
	today_finish(&today);
	ruleset_destroy(set_then);
	ruleset_destroy(set_now);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct dice dice = dice_of(bytes, size);
	unsigned steps;

	begin(&dice);
	steps = 20 + roll(&dice, 100);
	for (unsigned i = 0; i < steps; i++)
		one_step(&dice);
	settle();
	for (size_t i = 0; i < watcher_count; i++)
		judge(&watchers[i]);
	judge_consumer(&dice);
	end();
	return 0;
}
