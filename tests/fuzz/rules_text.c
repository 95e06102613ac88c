/* Names are exact, quoted, with their schema, or in other letters: «exact case first, then folded». A filter may be in any letters. */
#include "rules_text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "rules/ruleset.h"

void meaning_choose(struct dice *dice, struct meaning *meaning)
{
	*meaning = (struct meaning){0};
	for (size_t t = 0; t < MODEL_TABLES; t++) {
		size_t count = model_tables[t].count;

		meaning->tables[t].watched = chance(dice, 85);
		meaning->tables[t].everyone = chance(dice, 15);
		for (size_t i = 0; i < count && !meaning->tables[t].everyone && chance(dice, 80); i++)
			meaning->tables[t].routes[i] = chance(dice, 40);
		meaning->tables[t].old_rows = chance(dice, 50);
		meaning->tables[t].listed = chance(dice, 20);
		for (size_t i = 0; i < count; i++) {
			meaning->tables[t].filtered[i] = chance(dice, 20);
			meaning->tables[t].columns[i] = chance(dice, 60);
		}
		/* COLUMNS that name no column are not written */
		if (meaning->tables[t].listed)
			meaning->tables[t].columns[roll(dice, (unsigned)count)] = true;
	}
}

/* A bare name stands for the one in lower case. */
static bool is_lower(const char *name)
{
	for (; *name; name++)
		if (!islower((unsigned char)*name) && *name != '_')
			return false;
	return true;
}

static void add_word(struct dice *dice, struct buf *out, const char *name, bool folded)
{
	if (!is_lower(name) || chance(dice, 30)) {
		buf_text(out, "\"");
		for (; *name; name++) {
			if (*name == '"')
				buf_text(out, "\"");
			buf_bytes(out, name, 1);
		}
		buf_text(out, "\"");
		return;
	}
	for (; *name; name++) {
		char c = (char)(folded && chance(dice, 60) ? toupper((unsigned char)*name) : *name);

		buf_bytes(out, &c, 1);
	}
}

/* TABLE_NAMES has it with its schema: then every other variable has to. */
static bool qualified[MODEL_TABLES];

/* folded: other letters, where the table can be found by them. */
static void add_table(struct dice *dice, struct buf *out, size_t table, bool folded)
{
	if (!model_tables[table].in_default_schema || qualified[table] || chance(dice, 30)) {
		add_word(dice, out, model_tables[table].schema, folded);
		buf_text(out, ".");
	}
	add_word(dice, out, model_tables[table].name, folded);
}

static void add_comma(struct dice *dice, struct buf *out)
{
	if (out->len)
		buf_text(out, chance(dice, 50) ? "," : " , ");
}

static void spell_tables(struct dice *dice, const struct meaning *meaning, struct buf *names, struct buf *old_rows)
{
	for (size_t t = 0; t < MODEL_TABLES; t++) {
		bool folded = chance(dice, 20);

		qualified[t] = meaning->tables[t].watched && chance(dice, 30);
		if (meaning->tables[t].watched) {
			add_comma(dice, names);
			if (qualified[t] || !model_tables[t].in_default_schema)
				add_table(dice, names, t, folded);
			else
				add_word(dice, names, model_tables[t].name, folded);
		}
		if (meaning->tables[t].old_rows) {
			add_comma(dice, old_rows);
			add_table(dice, old_rows, t, chance(dice, 20));
		}
	}
}

static void spell_columns(struct dice *dice, const struct meaning *meaning, struct buf *filters, struct buf *columns)
{
	for (size_t t = 0; t < MODEL_TABLES; t++) {
		for (size_t i = 0; i < model_tables[t].count; i++) {
			for (unsigned n = meaning->tables[t].filtered[i] ? 1 + roll(dice, 2) : 0; n > 0; n--) {
				add_comma(dice, filters);
				add_table(dice, filters, t, true);
				buf_text(filters, ".");
				add_word(dice, filters, model_tables[t].columns[i], true);
			}
			if (!meaning->tables[t].listed || !meaning->tables[t].columns[i])
				continue;
			add_comma(dice, columns);
			add_table(dice, columns, t, false);
			buf_text(columns, ".");
			add_word(dice, columns, model_tables[t].columns[i], chance(dice, 20));
		}
	}
}

static json_t *spell_route(struct dice *dice, const struct meaning *meaning, size_t t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < model_tables[t].count; i++)
		if (meaning->tables[t].routes[i])
			json_array_insert_new(list, chance(dice, 50) ? 0 : json_array_size(list), json_string(model_tables[t].columns[i]));
	if (json_array_size(list) == 1 && chance(dice, 70)) {
		json_t *one = json_incref(json_array_get(list, 0));

		json_decref(list);
		return one;
	}
	return list;
}

static char *spell_routing(struct dice *dice, const struct meaning *meaning)
{
	json_t *routing = json_object();
	char *text;

	for (size_t t = 0; t < MODEL_TABLES; t++) {
		AUTO_BUF struct buf name = buf_init(256);

		add_table(dice, &name, t, chance(dice, 20));
		if (meaning_has_rule(meaning, t))
			json_object_set_new(routing, name.bytes,
				meaning->tables[t].everyone ? json_string("*") : spell_route(dice, meaning, t));
	}
	text = json_dumps(routing, chance(dice, 50) ? 0 : JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(routing);
	return text;
}

struct ruleset *meaning_spell(struct dice *dice, const struct meaning *meaning)
{
	AUTO_BUF struct buf names = buf_init(BUF_NO_MAX), old_rows = names, filters = names, columns = names;
	struct err err = {""};
	struct ruleset *set;
	char *routing;

	spell_tables(dice, meaning, &names, &old_rows);
	routing = spell_routing(dice, meaning);
	spell_columns(dice, meaning, &filters, &columns);
	set = ruleset_create(&(struct ruleset_text){.table_names = names.bytes, .routing = routing, .filters = filters.bytes,
				     .columns = columns.bytes, .old_rows = old_rows.bytes, .auth_table = "auth", .auth_column = "token"},
		&err);
	if (!set)
		fprintf(stderr, "ERROR: refused: %s\nTABLE_NAMES=%s\nROUTING=%s\nFILTERS=%s\nCOLUMNS=%s\nOLD_ROWS=%s\n", err.text, names.bytes,
			routing, filters.bytes, columns.bytes, old_rows.bytes);
	buf_finish(&old_rows);
	buf_finish(&filters);
	buf_finish(&columns);
	free(routing);
	return set;
}
