/* See model.h. */
#include "model.h"

#include <string.h>
#include <strings.h>

const struct model_table model_tables[MODEL_TABLES] = {
	{"public", "orders", "orders", true, 6, {"id", "owner", "team", "note", "secret", "price"}},
	{"public", "notes", "notes", true, 5, {"id", "author", "reader", "body", "token"}},
	{"shop", "items", "shop.items", false, 4, {"id", "seller", "buyer", "cost"}},
	{"public", "Odd.Table", "Odd.Table", true, 4, {"Id", "the owner", "PIN", "a\"b"}},
	{"public", "orders_archive", "orders_archive", true, 3, {"id", "owner", "pin"}},
	{"public", "auth", "auth", true, 3, {"id", "token", "who"}},
};
const char *const model_users[] = {"7", "8", "alice", "ALICE", "*", "007", " 7", "o'neil \"x\"", "zo\xc3\xab", "", "-1", "true"};
const size_t model_user_count = sizeof(model_users) / sizeof(*model_users);

const struct model_pattern model_patterns[] = {
	{"orders", MODEL_PREFIX, {"orders"}},
	{"orders$", MODEL_EQUAL, {"orders"}},
	{".*", MODEL_ANY, {NULL}},
	{"x*", MODEL_ANY, {NULL}},
	{"rders", MODEL_PREFIX, {"rders"}},
	{"(orders|notes)$", MODEL_EQUAL, {"orders", "notes"}},
	{"news|auth", MODEL_PREFIX, {"news", "auth"}},
	{"shop\\.", MODEL_PREFIX, {"shop."}},
	{"^Odd[.]Table$", MODEL_EQUAL, {"Odd.Table"}},
	{"[^o]+s$", MODEL_EQUAL, {"news"}},
	{"(?:shop\\.items|orders_\\w+)$", MODEL_EQUAL, {"shop.items", "orders_archive"}},
};
const size_t model_pattern_count = sizeof(model_patterns) / sizeof(*model_patterns);

bool model_matches(const struct model_pattern *pattern, const char *topic)
{
	if (pattern->kind == MODEL_ANY)
		return true;
	for (size_t i = 0; i < 3 && pattern->words[i]; i++) {
		const char *word = pattern->words[i];

		if (pattern->kind == MODEL_EQUAL ? strcmp(topic, word) == 0 : strncmp(topic, word, strlen(word)) == 0)
			return true;
	}
	return false;
}

/* «FILTERS: removed before anything leaves the table; AUTH_TABLE.AUTH_COLUMN always is. COLUMNS: for a table named here only these
 * columns leave it.» */
bool meaning_withholds(const struct meaning *meaning, size_t table, size_t column)
{
	if (meaning->tables[table].filtered[column])
		return true;
	if (strcmp(model_tables[table].name, "auth") == 0 && strcmp(model_tables[table].columns[column], "token") == 0)
		return true;
	return meaning->tables[table].listed && !meaning->tables[table].columns[column];
}

bool meaning_has_rule(const struct meaning *meaning, size_t table)
{
	for (size_t i = 0; i < model_tables[table].count; i++)
		if (meaning->tables[table].routes[i])
			return true;
	return meaning->tables[table].everyone;
}

const char *model_topic(const struct model_event *event)
{
	return event->table < MODEL_TABLES ? model_tables[event->table].topic : "news";
}

static json_t *show_cell(const struct model_cell *cell)
{
	json_t *list;

	if (cell->count < 2)
		return cell->count ? json_string(cell->users[0]) : json_null();
	list = json_array();
	for (size_t i = 0; i < cell->count; i++)
		json_array_append_new(list, json_string(cell->users[i]));
	return list;
}

/* The columns that neither the rules of then nor those of today withhold. */
static json_t *show_row(const struct model_event *event, const struct model_row *row, bool key_alone)
{
	json_t *object = json_object();

	for (size_t i = 0; i < (key_alone ? 1 : model_tables[event->table].count); i++)
		if (!meaning_withholds(event->then, event->table, i) && !meaning_withholds(event->now, event->table, i))
			json_object_set_new(object, model_tables[event->table].columns[i], show_cell(&row->cells[i]));
	return object;
}

/* A published object: what FILTERS name for that table is taken out. */
static json_t *show_published(const struct model_event *event)
{
	json_t *object = json_object();

	for (size_t i = 0; event->table < MODEL_TABLES && i < model_tables[event->table].count; i++) {
		bool token = strcmp(model_tables[event->table].name, "auth") == 0 && i == 1;

		if (!event->now->tables[event->table].filtered[i] && !event->then->tables[event->table].filtered[i] && !token)
			json_object_set_new(object, model_tables[event->table].columns[i], show_cell(&event->row.cells[i]));
	}
	return object;
}

/* «"col": the user whose id, as text, equals the column's, as text. A list: every distinct user in those columns.» */
static bool routed(const struct model_event *event, const struct model_row *row, const char *user)
{
	for (size_t i = 0; i < model_tables[event->table].count; i++)
		for (size_t n = 0; event->then->tables[event->table].routes[i] && n < row->cells[i].count; n++)
			if (strcmp(row->cells[i].users[n], user) == 0)
				return true;
	return false;
}

static struct model_view whole(const struct model_event *event, bool with_old)
{
	static const char *const types[] = {"insert", "update", "delete", "truncate"};
	struct model_view view = {.visible = true, .type = types[event->kind]};

	view.data = event->kind == MODEL_TRUNCATE ? json_object() : show_row(event, &event->row, false);
	if (event->kind == MODEL_UPDATE && with_old && event->then->tables[event->table].old_rows)
		view.old = show_row(event, &event->old, false);
	return view;
}

static struct model_view show_change(const struct model_event *event, const char *user)
{
	bool everyone = event->then->tables[event->table].everyone && event->now->tables[event->table].everyone;
	bool now, before;

	if (!user)
		return whole(event, true);
	if (!event->now->tables[event->table].watched || !meaning_has_rule(event->now, event->table))
		return (struct model_view){.visible = false};
	if (everyone)
		return whole(event, true);
	if (event->kind == MODEL_TRUNCATE)
		return (struct model_view){.visible = false};
	now = routed(event, &event->row, user);
	before = event->kind == MODEL_UPDATE ? routed(event, &event->old, user) : now;
	if (now)
		return whole(event, before);
	if (!before)
		return (struct model_view){.visible = false};
	return (struct model_view){.visible = true, .type = "delete", .data = show_row(event, &event->old, true)};
}

struct model_view model_show(const struct model_event *event, const char *user)
{
	if (event->kind != MODEL_PUBLISHED)
		return show_change(event, user);
	if (user && !event->broadcast && (!event->user || strcmp(event->user, user) != 0))
		return (struct model_view){.visible = false};
	return (struct model_view){.visible = true, .type = event->type, .data = show_published(event)};
}

void model_view_finish(struct model_view *view)
{
	json_decref(view->data);
	json_decref(view->old);
	*view = (struct model_view){.visible = false};
}
