/* Reading requests. Values are bounded by libwebsockets' header table (HEADER_BYTES, thread.c). */
#include "transport/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "transport/page.h"
#include "transport/strict.h"

static const struct {
	const char *path;
	enum route route;
} routes[] = {
	{"/ping", ROUTE_PING},
	{"/ready", ROUTE_READY},
	{"/publish", ROUTE_PUBLISH},
	{"/stream", ROUTE_STREAM},
	{"/ws", ROUTE_WEBSOCKET},
	{"/events", ROUTE_EVENTS},
	{"/consumers", ROUTE_CONSUMERS},
};

#define EVENT_PREFIX "/events/"

/* A known header's value, malloc'ed; NULL when it was not sent. */
static char *header(struct lws *wsi, enum lws_token_indexes name)
{
	int len = lws_hdr_total_length(wsi, name);
	char *value;

	if (len <= 0)
		return NULL;
	value = mem_zero((size_t)len + 1, 1);
	if (lws_hdr_copy(wsi, value, len + 1, name) < 0)
		value[0] = 0;
	return value;
}

/* The same for one that libwebsockets has no name for: lower case, with its colon. */
static char *custom_header(struct lws *wsi, const char *name)
{
	int name_len = (int)strlen(name), len = lws_hdr_custom_length(wsi, name, name_len);
	char *value;

	if (len < 0)
		return NULL;
	value = mem_zero((size_t)len + 1, 1);
	if (lws_hdr_custom_copy(wsi, value, len + 1, name, name_len) < 0)
		value[0] = 0;
	return value;
}

static enum method method_of(int index)
{
	switch (index) {
	case LWSHUMETH_GET:
		return METHOD_GET;
	case LWSHUMETH_HEAD:
		return METHOD_HEAD;
	case LWSHUMETH_POST:
		return METHOD_POST;
	case LWSHUMETH_PUT:
		return METHOD_PUT;
	case LWSHUMETH_DELETE:
		return METHOD_DELETE;
	case LWSHUMETH_OPTIONS:
		return METHOD_OPTIONS;
	default:
		return METHOD_OTHER;
	}
}

static enum route route_of(const char *path, int len)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
		if (span_is((struct span){path, (size_t)len}, routes[i].path))
			return routes[i].route;
	}
	return ROUTE_NONE;
}

bool request_lists(struct lws *wsi, enum lws_token_indexes name, const char *word)
{
	char *value = header(wsi, name);
	size_t len = strlen(word);
	bool found = false;

	for (const char *at = value; at && *at && !found; at += strcspn(at, ",")) {
		at += strspn(at, ", \t");
		found = strncasecmp(at, word, len) == 0 && strchr(", \t", at[len]);
	}
	free(value);
	return found;
}

/* A length that a proxy before us could read in another way would let one client's body pass for another's request. */
static void read_length(struct head *head, struct lws *wsi)
{
	char *value = header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);
	size_t len = value ? strlen(value) : 0;
	int times = strict_times(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);

	head->has_length = times > 0;
	head->encoded = strict_times(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
	while (len && strchr(" \t", value[len - 1]))
		value[--len] = 0;
	if (times > 1 || (times && (!len || len > 15 || strspn(value, "0123456789") != len)))
		head->malformed = "Content-Length must be one number";
	else if (value)
		head->content_length = strtoull(value, NULL, 10);
	free(value);
}

static void read_form(struct head *head, struct lws *wsi)
{
	if (strict_misread(wsi))
		head->malformed = "A line of the head is no header, or hides the next one";
	else if (strict_times(wsi, WSI_TOKEN_HOST) > 1)
		head->malformed = "There is more than one Host";
	else
		read_length(head, wsi);
}

static void read_origin(struct head *head, struct lws *wsi, const struct cors *cors)
{
	char *origin = header(wsi, WSI_TOKEN_ORIGIN), *host = header(wsi, WSI_TOKEN_HOST);

	head->origin_allowed = cors_allows(cors, span_of(origin), span_of(host));
	if (cors->all)
		head->allow_origin = mem_text("*");
	else if (origin && head->origin_allowed)
		head->allow_origin = mem_text(origin);
	head->credentials = head->allow_origin && !cors->all && cors->count == 1;
	free(origin);
	free(host);
}

/* A proxy that compresses makes a strong ETag weak. */
static bool has_file(struct lws *wsi, const char *etag)
{
	char weak[64] = "W/";

	strncpy(weak + 2, etag, sizeof(weak) - 3);
	return request_lists(wsi, WSI_TOKEN_HTTP_IF_NONE_MATCH, etag) ||
		request_lists(wsi, WSI_TOKEN_HTTP_IF_NONE_MATCH, weak) ||
		request_lists(wsi, WSI_TOKEN_HTTP_IF_NONE_MATCH, "*");
}

static bool is_engineio(struct span path, const char *expected)
{
	size_t len = strlen(expected);

	return span_is(path, expected) || (path.len == len - 1 && memcmp(path.p, expected, len - 1) == 0);
}

/* One part of a path behind /events/. */
static bool is_event(struct head *head, struct span path)
{
	size_t prefix = strlen(EVENT_PREFIX), len;

	if (path.len <= prefix || memcmp(path.p, EVENT_PREFIX, prefix) != 0 || memchr(path.p + prefix, '/', path.len - prefix))
		return false;
	len = path.len - prefix;
	memcpy(head->event, path.p + prefix, len < EVENT_NAME_MAX ? len : EVENT_NAME_MAX);
	return true;
}

/* PREFIX part, PREFIX part/suffix: the part, not empty, in name, cut; one with a NUL is no name of anything. */
static bool split(struct span path, const char *prefix, const char *suffix, char *name, size_t room)
{
	size_t before = strlen(prefix), after = strlen(suffix), len;

	if (path.len <= before + after || memcmp(path.p, prefix, before) != 0 ||
		memcmp(path.p + path.len - after, suffix, after) != 0)
		return false;
	len = path.len - before - after;
	if (memchr(path.p + before, '/', len))
		return false;
	memset(name, 0, room);
	memcpy(name, path.p + before, len < room ? len : room - 1);
	if (memchr(path.p + before, 0, len))
		name[0] = '?';
	return true;
}

static enum route consumer_route(struct head *head, struct span path)
{
	static const struct {
		const char *suffix;
		enum route route;
	} suffixes[] = {{"", ROUTE_CONSUMER}, {"/poll", ROUTE_POLL}, {"/mark", ROUTE_MARK}};

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++)
		if (split(path, "/consumers/", suffixes[i].suffix, head->consumer, sizeof(head->consumer)))
			return suffixes[i].route;
	return split(path, EVENT_PREFIX, "/watch", head->event, sizeof(head->event)) ? ROUTE_WATCH : ROUTE_NONE;
}

static void read_route(struct head *head, struct lws *wsi, const char *path, int len, const char *engineio_path)
{
	head->route = route_of(path, len);
	if (is_engineio((struct span){path, (size_t)len}, engineio_path))
		head->route = ROUTE_ENGINEIO;
	else if (head->route == ROUTE_NONE && is_event(head, (struct span){path, (size_t)len}))
		head->route = ROUTE_EVENT;
	else if (head->route == ROUTE_NONE)
		head->route = consumer_route(head, (struct span){path, (size_t)len});
	if (head->route != ROUTE_NONE)
		return;
	head->file = page_find((struct span){path, (size_t)len});
	if (!head->file)
		return;
	head->route = ROUTE_PAGE;
	head->has_file = has_file(wsi, head->file->etag);
}

/* HTTP/1.1 without `Connection: close`. */
static bool stays(struct lws *wsi)
{
	char *version = header(wsi, WSI_TOKEN_HTTP);
	bool current = version && strcmp(version, "HTTP/1.1") == 0;

	free(version);
	return current && !request_lists(wsi, WSI_TOKEN_CONNECTION, "close");
}

void head_read(struct head *head, struct lws *wsi, const struct cors *cors, const char *engineio_path)
{
	char *path = NULL;
	int len = 0, method = lws_http_get_uri_and_method(wsi, &path, &len);

	*head = (struct head){.method = METHOD_OTHER};
	if (method >= 0) {
		head->method = method_of(method);
		read_route(head, wsi, path, len, engineio_path);
	}
	read_form(head, wsi);
	read_origin(head, wsi, cors);
	head->keep_alive = stays(wsi);
	head->expects = request_lists(wsi, WSI_TOKEN_HTTP_EXPECT, "100-continue");
	head->preflight = head->method == METHOD_OPTIONS && lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) > 0 &&
		lws_hdr_custom_length(wsi, "access-control-request-method:", 30) >= 0;
}

void head_finish(struct head *head)
{
	free(head->allow_origin);
	*head = (struct head){0};
}

char *request_bearer(struct lws *wsi)
{
	char *value = header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION), *token;
	bool is = value && strncasecmp(value, "Bearer ", 7) == 0;

	if (!value)
		return NULL;
	token = mem_text(is ? value + 7 + strspn(value + 7, " ") : "");
	mem_wipe_free(value);
	return token;
}

static void add(struct span **list, size_t *count, size_t *room, const char *text, size_t len)
{
	mem_grow(list, room, *count, sizeof(**list));
	(*list)[(*count)++] = (struct span){mem_text_n(text, len), len};
}

/* One `name=value` of the query. The first of several tokens or positions counts; an empty position is none, so that a client
 * that has none yet may say `after=` all the same. */
static void take(void *context, const char *part, size_t len)
{
	struct query *query = context;
	const char *equals = memchr(part, '=', len);
	struct span name = {part, equals ? (size_t)(equals - part) : len};
	const char *value = equals ? equals + 1 : part + len;
	size_t value_len = (size_t)(part + len - value);

	if (span_is(name, "token") && !query->token) {
		query->token = mem_text_n(value, value_len);
		query->token_in_query = true;
	} else if (span_is(name, "after") && (!query->after || !*query->after)) {
		free(query->after);
		query->after = mem_text_n(value, value_len);
	} else if (span_is(name, "topics")) {
		add(&query->topics, &query->topic_count, &query->topic_room, value, value_len);
	} else if (span_is(name, "types")) {
		add(&query->types, &query->type_count, &query->type_room, value, value_len);
	}
}

void query_each(struct lws *wsi, void (*each)(void *context, const char *part, size_t len), void *context)
{
	for (int i = 0;; i++) {
		int len = lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, i), n;
		char *part = mem_zero((size_t)(len < 0 ? 0 : len) + 1, 1);

		n = lws_hdr_copy_fragment(wsi, part, len + 1, WSI_TOKEN_HTTP_URI_ARGS, i);
		if (n > 0)
			each(context, part, (size_t)n);
		mem_wipe_free(part);
		if (n < 0)
			return;
	}
}

void query_read(struct query *query, struct lws *wsi)
{
	*query = (struct query){.token = request_bearer(wsi), .after = custom_header(wsi, "last-event-id:")};
	query_each(wsi, take, query);
}

static void drop(struct span *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free((char *)list[i].p);
	free(list);
}

void query_finish(struct query *query)
{
	mem_wipe_free(query->token);
	free(query->after);
	drop(query->topics, query->topic_count);
	drop(query->types, query->type_count);
	*query = (struct query){0};
}
