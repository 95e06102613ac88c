/* The body of POST /publish, from its bytes to the publication that is handed to the database and the answer: nothing is published
 * without the operator's token, nothing that FILTERS name, nothing out of bounds; there is one answer, and it does not tell the
 * token. Two fields: the bearer (o: the operator's, w: another, else none), the body. */
#include "headers.h"

#include <jansson.h>

#include "auth/auth.h"
#include "base/log.h"
#include "base/utf8.h"
#include "rules/ruleset.h"
#include "transport/exchange.h"
#include "transport/publish.h"
#include "transport/thread.h"
#include "wire/wire.h"

#define OPERATOR "operator's own token"

static struct hub_config config;
static struct shared shared;
static struct hub_shared *counters;
static struct publish_job *taken;

static bool take(void *context, struct publish_job *job)
{
	(void)context;
	MUST(!taken);
	taken = job;
	return true;
}

static void wake(void *context)
{
	(void)context;
}

static void begin(void)
{
	struct err err;

	log_init(LOG_ERROR, 0);
	config.auth = auth_create(&(struct auth_config){.security_token = OPERATOR}, &err);
	config.default_source = "API";
	config.services.publish = take;
	shared.config.rules = ruleset_create(&(struct ruleset_text){.filters = "orders.password,orders.Pin", .auth_table = "auth",
						     .auth_column = "token"},
		&err);
	counters = hub_shared_create();
	MUST(config.auth && shared.config.rules && counters);
}

static void check_publication(const struct publication *item)
{
	json_t *data = json_loads(item->data, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
	const char *key;
	json_t *value;

	MUST(json_is_object(data));
	MUST(*item->topic && strlen(item->topic) <= 4 * 64 && utf8_valid(item->topic, strlen(item->topic)));
	MUST(*item->type && strlen(item->type) <= 4 * 64);
	MUST(item->source && (item->broadcast ? !item->user || !*item->user : item->user && *item->user));
	json_object_foreach(data, key, value)
		MUST(strcasecmp(item->topic, "orders") != 0 || (strcasecmp(key, "password") != 0 && strcasecmp(key, "pin") != 0));
	json_decref(data);
}

static bool may(const char *bearer, struct span body)
{
	json_t *root = json_loadb(body.p, body.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	const json_t *given = json_object_get(root, "securityToken");
	bool right = json_is_string(given) && strcmp(json_string_value(given), OPERATOR) == 0;

	json_decref(root);
	return right || (bearer && strcmp(bearer, OPERATOR) == 0);
}

static void publish(struct conn *conn, struct span body)
{
	struct exchange *exchange = conn->exchange;

	publish_begin(conn);
	if (taken) {
		MUST(may(exchange->bearer, body) && !exchange->answer_waits);
		check_publication(&taken->item);
		taken->status = STATUS_OK;
		taken->id = 7;
		taken->done(taken);
		taken = NULL;
		hub_turn(conn->thread->hub);
		MUST(exchange->answer_waits && strncmp(exchange->answer.bytes, "HTTP/1.1 200 ", 13) == 0);
	}
	MUST(exchange->answer_waits && conn->wsi->wakes == 1);
	MUST(!strstr(exchange->answer.bytes, OPERATOR));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span input = {(const char *)bytes, size}, who;
	struct lws wsi = {.count = 0};
	struct exchange exchange = {.body = buf_init(BUF_NO_MAX), .answer = buf_init(BUF_NO_MAX), .head = {.keep_alive = true}};
	struct thread thread = {.shared = &shared};
	struct conn conn = {.thread = &thread, .wsi = &wsi, .exchange = &exchange};

	if (!counters)
		begin();
	who = fuzz_field(&input);
	exchange.bearer = who.len && *who.p == 'o' ? strdup(OPERATOR) : who.len && *who.p == 'w' ? strdup("another") : NULL;
	buf_bytes(&exchange.body, input.p, input.len);
	thread.hub = hub_create(&config, counters, wake, NULL);
	publish(&conn, input);
	hub_destroy(thread.hub);
	free(exchange.bearer);
	buf_finish(&exchange.body);
	buf_finish(&exchange.answer);
	return 0;
}
