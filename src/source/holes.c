/* A watched table that lost its triggers (made anew under its name, as migration tools do, or the triggers were dropped) is written to
 * uncaptured until they are made again, whether a relay runs or none. What was written then can never be told: those who watch the
 * table have to fetch their state anew. So a driver says in the log which tables they are, and hands out a hole that ends at the
 * newest event of a moment when the triggers are in place.
 *
 * One table's may be made at once while another one's are waited for, so each look is held against the one before: whatever was lacking
 * and is not any more is a hole that is over.
 */
#include "source/holes.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

static bool is_same(const struct hole_watch *watch, const char *lacking)
{
	return strcmp(watch->lacking ? watch->lacking : "", lacking) == 0;
}

/* Whether it is one of the names, which stand with commas. */
static bool names(const char *list, const char *name, size_t len)
{
	for (const char *at = list; (at = strstr(at, name)) != NULL; at++) {
		bool begins = at == list || at[-1] == ' ', ends = !at[len] || at[len] == ',';

		if (begins && ends)
			return true;
	}
	return false;
}

bool holes_over(const struct hole_watch *watch, const char *lacking)
{
	AUTO_FREE char *before = mem_text(watch->lacking ? watch->lacking : "");
	char *rest = NULL;

	for (char *name = strtok_r(before, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		name += *name == ' ';
		if (!names(lacking, name, strlen(name)))
			return true;
	}
	return false;
}

void holes_add(struct hole_watch *watch, uint64_t last)
{
	watch->holes.count++;
	if (last >= watch->holes.below)
		watch->holes.below = last + 1;
}

void holes_seen(struct hole_watch *watch, const char *domain, const char *lacking)
{
	if (is_same(watch, lacking))
		return;
	if (*lacking)
		log_warn(domain, "%s: without a trigger of esink until now (made anew, renamed, or the trigger was dropped); what was written "
			"since is not captured: clients are told to fetch their state anew", lacking);
	free(watch->lacking);
	watch->lacking = mem_text(lacking);
}

bool holes_tell(const struct hole_watch *watch, struct event_batch *batch)
{
	bool news = batch->holes.count != watch->holes.count;

	batch->holes = watch->holes;
	return news;
}

void holes_forget(struct hole_watch *watch)
{
	watch->holes.below = 0;
}

void holes_finish(struct hole_watch *watch)
{
	free(watch->lacking);
	watch->lacking = NULL;
}
