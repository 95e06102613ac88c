/* Today's rules on what the journal holds (rules/row.c says why), for live events as for replays:
 * what is drained after a restart may have been written under the rules before it.
 *
 * The rules name tables, an event has a topic. `shop.orders` may be a table `orders` of schema
 * `shop`, or a table of the default schema whose name has a dot: all that a topic may mean is
 * looked at, and kept for the next event of that topic.
 */
#include "source/today.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define READINGS 6

struct view {
	char *topic;
	char *names[READINGS]; /* schema, NUL, table of each reading */
	struct relation readings[READINGS];
	bool filtered[READINGS];
	struct row_memo memos[READINGS];
	size_t count;
	bool users, everyone;
};

static void read_as(struct view *view, const struct ruleset *rules, char *names,
	const char *schema, const char *table, bool in_default_schema)
{
	struct relation *relation = &view->readings[view->count];
	struct table_view rule;

	*relation = (struct relation){schema, table, in_default_schema, NULL, 0};
	rule = ruleset_view(rules, relation);
	view->names[view->count] = names;
	view->filtered[view->count++] = rule.filtered;
	view->users |= rule.users;
	view->everyone |= rule.everyone;
}

static struct view *view_create(
	const struct ruleset *rules, struct span topic, const char *default_schema)
{
	struct view *view = mem_zero(1, sizeof(*view));
	char *schema = mem_text(default_schema);

	view->topic = mem_text_n(topic.p, topic.len);
	read_as(view, rules, schema, schema, view->topic, true);
	for (const char *dot = strchr(view->topic, '.'); dot && view->count < READINGS;
		dot = strchr(dot + 1, '.')) {
		char *names = mem_text(view->topic);

		names[dot - view->topic] = 0;
		read_as(view, rules, names, names, names + (dot - view->topic) + 1, false);
	}
	return view;
}

static struct view *view_of(
	struct today *today, struct span topic, const char *default_schema)
{
	uint64_t hash = hash_bytes(topic.p, topic.len);
	struct view *view = map_get(&today->views, hash, topic);

	if (view)
		return view;
	view = view_create(today->rules, topic, default_schema);
	map_put(&today->views, hash, span_of(view->topic), view);
	return view;
}

/* Puts text in the place of *row; it stays until the next event. */
static void keep(struct today *today, struct span *row, char *text)
{
	today->kept[today->kept_count++] = text;
	*row = span_of(text);
}

static void filter_row(
	struct today *today, struct view *view, struct event_parts *parts, struct span *row)
{
	for (size_t i = 0; i < view->count && row->p; i++) {
		char *filtered = NULL;
		struct err err;

		if (!view->filtered[i])
			continue;
		if (ruleset_filter_row(today->rules, &view->readings[i], &view->memos[i], *row,
			    &filtered, &err) != STATUS_OK) {
			filtered = mem_text("{}");
			parts->incomplete = true;
		}
		if (filtered)
			keep(today, row, filtered);
	}
}

static void forget(struct today *today)
{
	while (today->kept_count)
		free(today->kept[--today->kept_count]);
}

void today_row(
	struct today *today, struct event_parts *parts, const char *default_schema)
{
	struct view *view = view_of(today, parts->topic, default_schema);

	forget(today);
	filter_row(today, view, parts, &parts->data);
	filter_row(today, view, parts, &parts->old);
	filter_row(today, view, parts, &parts->old_key);
	parts->broadcast &= view->everyone;
	if (!view->users)
		parts->user_count = parts->old_user_count = 0;
}

void today_published(struct today *today, struct event_parts *parts)
{
	char *filtered = NULL;
	struct err err;

	forget(today);
	if (!ruleset_filters_topic(today->rules, parts->topic.p))
		return;
	if (ruleset_filter_data(today->rules, parts->topic.p, parts->data, &filtered, &err) !=
		STATUS_OK) {
		filtered = mem_text("{}");
		parts->incomplete = true;
	}
	keep(today, &parts->data, filtered);
}

void today_finish(struct today *today)
{
	struct view *view;

	forget(today);
	for (size_t at = 0; (view = map_next(&today->views, &at));) {
		for (size_t i = 0; i < view->count; i++) {
			free(view->names[i]);
			row_memo_finish(&view->memos[i]);
		}
		free(view->topic);
		free(view);
	}
	map_finish(&today->views);
}
