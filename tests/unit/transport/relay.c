/* What app.c and the source layer do, with a queue and a thread in place of a database. */
#include "relay.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auth/auth.h"
#include "base/mem.h"
#include "rules/ruleset.h"

struct relay {
	struct server *server;
	struct auth *auth;
	struct ruleset *rules;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t publisher;
	struct publish_job *jobs[64]; /* waiting */
	size_t job_count;
	char ref[33];                 /* of the one under way */
	size_t shown_by;
	char *shown_to[64];
	size_t shown_count;
	uint64_t id;
	int asked, published, publish_delay_ms;
	bool stop, ready;
};

static bool lookup(void *context, struct lookup_job *job)
{
	(void)context;
	job->status = STATUS_UNAUTHORIZED;
	if (strncmp(job->token, "user-", 5) == 0) {
		job->status = STATUS_OK;
		job->user = (struct source_user){.id = mem_text(job->token + 5)};
	}
	job->done(job);
	return true;
}

static bool publish(void *context, struct publish_job *job)
{
	struct relay *relay = context;
	bool room;

	pthread_mutex_lock(&relay->lock);
	room = relay->job_count < sizeof(relay->jobs) / sizeof(*relay->jobs);
	if (room)
		relay->jobs[relay->job_count++] = job;
	relay->asked++;
	pthread_cond_broadcast(&relay->changed);
	pthread_mutex_unlock(&relay->lock);
	return room;
}

static bool read_page(void *context, struct read_job *job)
{
	(void)context;
	job->status = STATUS_GONE;
	job->done(job);
	return true;
}

static void deliver(struct relay *relay, struct event *const *events, size_t count)
{
	size_t hubs;
	struct hub *const *list = server_hubs(relay->server, &hubs);

	for (size_t i = 0; i < hubs; i++)
		(void)hub_deliver(list[i], events, count);
}

static void shown(void *context, const struct event *event, char *const *session_ids, size_t count)
{
	struct relay *relay = context;

	pthread_mutex_lock(&relay->lock);
	if (relay->ref[0] && span_is(event->ref, relay->ref)) {
		relay->shown_by++;
		for (size_t i = 0; i < count && relay->shown_count < 64; i++)
			relay->shown_to[relay->shown_count++] = mem_text(session_ids[i]);
	}
	pthread_cond_broadcast(&relay->changed);
	pthread_mutex_unlock(&relay->lock);
}

static struct event *event_of(const struct publication *item, uint64_t id)
{
	struct span user = span_of(item->user);
	struct event_parts parts = {
		.id = id,
		.timestamp = item->timestamp ? item->timestamp : 1700000000000,
		.version = 1,
		.broadcast = item->broadcast,
		.journal = span_of(RELAY_JOURNAL),
		.topic = span_of(item->topic),
		.type = span_of(item->type),
		.data = span_of(item->data),
		.source = span_of(item->source),
		.source_type = span_of(item->source_type),
		.ref = span_of(item->ref[0] ? item->ref : NULL),
		.users = &user,
		.user_count = item->user ? 1 : 0,
	};

	return event_create(&parts);
}

/* With the lock held, which it gives up while it waits. */
static void publish_one(struct relay *relay, struct publish_job *job)
{
	struct event *event = event_of(&job->item, ++relay->id);
	size_t hubs;

	(void)server_hubs(relay->server, &hubs);
	snprintf(relay->ref, sizeof(relay->ref), "%s", job->item.ref);
	relay->shown_by = relay->shown_count = 0;
	pthread_mutex_unlock(&relay->lock);
	usleep((useconds_t)relay->publish_delay_ms * 1000);
	deliver(relay, &event, 1);
	pthread_mutex_lock(&relay->lock);
	while (relay->shown_by < hubs && !relay->stop)
		pthread_cond_wait(&relay->changed, &relay->lock);
	job->status = relay->stop ? STATUS_UNAVAILABLE : STATUS_OK;
	job->id = event->id;
	job->sent_to_count = relay->shown_count;
	job->sent_to = mem_zero(relay->shown_count + 1, sizeof(*job->sent_to));
	memcpy(job->sent_to, relay->shown_to, relay->shown_count * sizeof(*job->sent_to));
	relay->published++;
	event_unref(event);
	job->done(job);
}

static void *publisher(void *context)
{
	struct relay *relay = context;

	pthread_mutex_lock(&relay->lock);
	while (!relay->stop || relay->job_count) {
		if (!relay->job_count) {
			pthread_cond_wait(&relay->changed, &relay->lock);
		} else {
			struct publish_job *job = relay->jobs[0];

			relay->job_count--;
			memmove(relay->jobs, relay->jobs + 1, relay->job_count * sizeof(*relay->jobs));
			publish_one(relay, job);
		}
	}
	pthread_mutex_unlock(&relay->lock);
	return NULL;
}

static bool ready(void *context, struct err *reason)
{
	struct relay *relay = context;

	if (!relay->ready)
		err_set(reason, STATUS_UNAVAILABLE, "PostgreSQL is away");
	return relay->ready;
}

#define LONG_MS 60000 /* nothing ends in a test because this is over; longer than its clients wait */

static void fill_limits(struct hub_config *hub)
{
	hub->auth_timeout_ms = hub->auth_timeout_ms ? hub->auth_timeout_ms : LONG_MS;
	hub->live_timeout_ms = hub->live_timeout_ms ? hub->live_timeout_ms : LONG_MS;
	hub->auth_recheck_ms = LONG_MS;
	hub->slow_timeout_ms = hub->slow_timeout_ms ? hub->slow_timeout_ms : LONG_MS;
	hub->heartbeat_ms = hub->heartbeat_ms ? hub->heartbeat_ms : LONG_MS;
	hub->heartbeat_timeout_ms = hub->heartbeat_timeout_ms ? hub->heartbeat_timeout_ms : LONG_MS;
	hub->position_ms = LONG_MS;
	hub->session_queue_bytes = 262144;
	hub->tail_bytes = hub->tail_bytes ? hub->tail_bytes : 64u << 20;
	hub->inbox_bytes = 64u << 20;
	hub->max_messages_per_second = 100;
	hub->max_patterns = 20;
	hub->max_pattern_bytes = 1000;
	hub->max_pending_auth = 10000;
	hub->default_source = "API";
}

static void make_live(struct relay *relay)
{
	struct source_position head = {.journal = RELAY_JOURNAL, .id = 100};
	size_t count;
	struct hub *const *hubs = server_hubs(relay->server, &count);

	relay->id = head.id;
	for (size_t i = 0; i < count; i++)
		hub_live(hubs[i], &head);
}

struct relay *relay_start(const struct relay_options *options)
{
	struct relay *relay = mem_zero(1, sizeof(*relay));
	struct relay_options own = *options;
	struct ruleset_text text = {.filters = "users.password"};
	struct auth_config auth = {.security_token = options->no_operator ? NULL : RELAY_OPERATOR,
		.allow_test_token = true, .has_table = true};
	struct err err = {""};
	size_t count;
	struct hub *const *hubs;

	pthread_mutex_init(&relay->lock, NULL);
	pthread_cond_init(&relay->changed, NULL);
	relay->publish_delay_ms = options->publish_delay_ms;
	relay->ready = !options->not_live;
	relay->rules = ruleset_create(&text, &err);
	relay->auth = auth_create(&auth, &err);
	fill_limits(&own.hub);
	own.hub.auth = relay->auth;
	own.hub.services = (struct services){relay, lookup, publish, read_page, NULL, NULL};
	own.server.host = "127.0.0.1";
	own.server.rules = relay->rules;
	own.server.ready = ready;
	own.server.ready_context = relay;
	own.server.request_timeout_ms = own.server.request_timeout_ms ? own.server.request_timeout_ms : LONG_MS;
	relay->server = server_create(&own.server, &own.hub, &err);
	if (!relay->server) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	hubs = server_hubs(relay->server, &count);
	for (size_t i = 0; i < count; i++)
		hub_on_shown(hubs[i], shown, relay);
	if (server_start(relay->server, &err) != STATUS_OK || pthread_create(&relay->publisher, NULL, publisher, relay))
		abort();
	if (!options->not_live)
		make_live(relay);
	return relay;
}

int relay_port(const struct relay *relay)
{
	return server_port(relay->server);
}

struct server *relay_server(const struct relay *relay)
{
	return relay->server;
}

uint64_t relay_emit(struct relay *relay, const char *user, size_t count, size_t data_bytes)
{
	struct event **events = mem_zero(count, sizeof(*events));
	char *data = mem_format("{\"text\":\"%0*d\"}", (int)data_bytes, 0);
	struct publication item = {.topic = (char *)"games", .type = (char *)"update", .data = data,
		.source = (char *)"postgres", .source_type = (char *)"database", .user = (char *)user, .broadcast = !user};

	pthread_mutex_lock(&relay->lock);
	for (size_t i = 0; i < count; i++)
		events[i] = event_of(&item, ++relay->id);
	deliver(relay, events, count);
	pthread_mutex_unlock(&relay->lock);
	for (size_t i = 0; i < count; i++)
		event_unref(events[i]);
	free(events);
	free(data);
	return relay->id;
}

void relay_set_ready(struct relay *relay, bool is)
{
	relay->ready = is;
}

struct question {
	struct task task;
	struct hub *hub;
	struct relay *relay;
	size_t sessions;
	bool answered;
};

static void answer(struct task *task)
{
	struct question *question = (struct question *)task;

	pthread_mutex_lock(&question->relay->lock);
	question->sessions = hub_session_count(question->hub);
	question->answered = true;
	pthread_cond_broadcast(&question->relay->changed);
	pthread_mutex_unlock(&question->relay->lock);
}

size_t relay_sessions(struct relay *relay)
{
	size_t hubs, sessions = 0;
	struct hub *const *all = server_hubs(relay->server, &hubs);

	for (size_t i = 0; i < hubs; i++) {
		struct question question = {.task.run = answer, .hub = all[i], .relay = relay};

		inbox_post(hub_inbox(all[i]), &question.task);
		pthread_mutex_lock(&relay->lock);
		while (!question.answered)
			pthread_cond_wait(&relay->changed, &relay->lock);
		pthread_mutex_unlock(&relay->lock);
		sessions += question.sessions;
	}
	return sessions;
}

int relay_asked(struct relay *relay)
{
	int asked;

	pthread_mutex_lock(&relay->lock);
	asked = relay->asked;
	pthread_mutex_unlock(&relay->lock);
	return asked;
}

int relay_published(struct relay *relay)
{
	int published;

	pthread_mutex_lock(&relay->lock);
	published = relay->published;
	pthread_mutex_unlock(&relay->lock);
	return published;
}

void relay_stop(struct relay *relay)
{
	server_stop(relay->server, 4000);
	pthread_mutex_lock(&relay->lock);
	relay->stop = true;
	pthread_cond_broadcast(&relay->changed);
	pthread_mutex_unlock(&relay->lock);
	pthread_join(relay->publisher, NULL);
	server_destroy(relay->server);
	auth_destroy(relay->auth);
	ruleset_destroy(relay->rules);
	pthread_cond_destroy(&relay->changed);
	pthread_mutex_destroy(&relay->lock);
	free(relay);
}
