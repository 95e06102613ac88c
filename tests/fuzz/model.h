/* Who may see what, written from CONTRACT and docs/PROTOCOL.md and not from the code: the reference that the authorisation target
 * compares esink with. What a configuration means is chosen first, and spelt out as variables afterwards (rules_text.c), so that
 * nothing here reads a variable.
 *
 * A cell is a list of users (an array column holds several), or nothing. A row is shown whole, less the columns that are withheld.
 */
#ifndef ESINK_TESTS_FUZZ_MODEL_H
#define ESINK_TESTS_FUZZ_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "esink/span.h"

#define MODEL_COLUMNS 6
#define MODEL_TABLES 6
#define MODEL_USERS 3 /* in one cell */

struct model_table {
	const char *schema, *name, *topic;
	bool in_default_schema;
	size_t count;
	const char *columns[MODEL_COLUMNS]; /* the first is the primary key */
};
extern const struct model_table model_tables[MODEL_TABLES];
extern const char *const model_users[];
extern const size_t model_user_count;

/* What the configuration says of each table. */
struct meaning {
	struct {
		bool watched, everyone, routes[MODEL_COLUMNS], old_rows;
		bool filtered[MODEL_COLUMNS], listed, columns[MODEL_COLUMNS]; /* listed: COLUMNS name the table */
	} tables[MODEL_TABLES];
};
bool meaning_withholds(const struct meaning *meaning, size_t table, size_t column);
bool meaning_has_rule(const struct meaning *meaning, size_t table);

struct model_cell {
	size_t count;
	const char *users[MODEL_USERS];
};
struct model_row {
	struct model_cell cells[MODEL_COLUMNS];
};

/* One entry of the journal. then: the rules that its trigger was made under; now: those of the relay that tells it. */
struct model_event {
	enum { MODEL_INSERT, MODEL_UPDATE, MODEL_DELETE, MODEL_TRUNCATE, MODEL_PUBLISHED } kind;
	size_t table;              /* published: or MODEL_TABLES: `news` */
	struct model_row row, old; /* published: row's cells are the members of data */
	const struct meaning *then, *now;
	const char *type, *source_type;
	bool broadcast;               /* published */
	const char *user;             /* published; NULL: nobody */
};
const char *model_topic(const struct model_event *event);

/* How a session is to be shown it. data, old: new references; old NULL: none. */
struct model_view {
	bool visible;
	const char *type;
	json_t *data, *old;
};
/* user NULL: the operator, as consumers are. */
struct model_view model_show(const struct model_event *event, const char *user);
void model_view_finish(struct model_view *view);

/* Subscriptions: patterns whose meaning is said beside them. */
struct model_pattern {
	const char *pattern;
	enum { MODEL_ANY, MODEL_PREFIX, MODEL_EQUAL } kind;
	const char *words[3];
};
extern const struct model_pattern model_patterns[];
extern const size_t model_pattern_count;
bool model_matches(const struct model_pattern *pattern, const char *topic);

#endif
