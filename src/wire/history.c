/* The query of GET /events. Every value is judged by itself and nothing of it is repeated in a sentence. What cannot be part of
 * a question is refused rather than passed over: without it the answer would be another one than was asked for.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "wire/wire.h"

#define TEXT_MAX 512 /* bytes: more than a table's name, a type or a transaction has */
#define LIMIT_DEFAULT 100
#define NAME_SHOWN 64 /* bytes of a name that is no parameter's */

typedef bool take_fn(struct wire_history *asked, struct span value, struct err *err);

static bool refuse(struct err *err, const char *sentence)
{
	err_set(err, STATUS_INVALID, "%s", sentence);
	return false;
}

/* -- each part -- */

static bool take_id(struct wire_history *asked, struct span value, uint64_t *ret, struct err *err)
{
	struct history_job *job = asked->job;
	char journal[JOURNAL_LEN + 1];
	uint64_t id;

	if (!wire_parse_position(value, journal, &id))
		return refuse(err, "An id is digits, or a journal, a colon and digits, as `position` tells it");
	if (journal[0] && job->journal[0] && strcmp(journal, job->journal) != 0)
		return refuse(err, "after and before are of two journals");
	if (journal[0])
		memcpy(job->journal, journal, sizeof(journal));
	*ret = id;
	return true;
}

static bool take_after(struct wire_history *asked, struct span value, struct err *err)
{
	asked->job->has_after = true;
	return take_id(asked, value, &asked->job->after, err);
}

/* Nothing is before the first one, nor before none. */
static bool take_before(struct wire_history *asked, struct span value, struct err *err)
{
	if (!take_id(asked, value, &asked->job->before, err))
		return false;
	if (!asked->job->before)
		asked->job->before = 1;
	return true;
}

static bool take_time(struct span value, int64_t *ms, struct err *err)
{
	return wire_parse_time(value, ms) ||
		refuse(err, "A time is milliseconds since 1970, or as 2024-05-01 or 2024-05-01T12:00:00Z");
}

static bool take_since(struct wire_history *asked, struct span value, struct err *err)
{
	return take_time(value, &asked->job->since, err);
}

static bool take_until(struct wire_history *asked, struct span value, struct err *err)
{
	return take_time(value, &asked->job->until, err);
}

static bool take_text(struct span value, char **text, struct err *err)
{
	if (!value.len || value.len > TEXT_MAX || memchr(value.p, 0, value.len) || !utf8_valid(value.p, value.len))
		return refuse(err, "It is empty, too long, or no text");
	*text = mem_text_n(value.p, value.len);
	return true;
}

static bool take_table(struct wire_history *asked, struct span value, struct err *err)
{
	return take_text(value, &asked->job->table, err);
}

static bool take_type(struct wire_history *asked, struct span value, struct err *err)
{
	return take_text(value, &asked->job->type, err);
}

static bool take_transaction(struct wire_history *asked, struct span value, struct err *err)
{
	return take_text(value, &asked->job->transaction_id, err);
}

static bool take_limit(struct wire_history *asked, struct span value, struct err *err)
{
	size_t limit = 0;

	for (size_t i = 0; i < value.len && limit <= asked->limit_max; i++) {
		if (value.p[i] < '0' || value.p[i] > '9') {
			limit = 0;
			break;
		}
		limit = limit * 10 + (size_t)(value.p[i] - '0');
	}
	if (!limit || limit > asked->limit_max) {
		err_set(err, STATUS_INVALID, "limit is a number from 1 to %zu", asked->limit_max);
		return false;
	}
	asked->job->limit = limit;
	return true;
}

/* A bearer's, read elsewhere. */
static bool take_token(struct wire_history *asked, struct span value, struct err *err)
{
	(void)asked, (void)value, (void)err;
	return true;
}

/* -- all of them -- */

static const struct {
	const char *name;
	take_fn *take;
} parts[] = {
	{"after", take_after},
	{"before", take_before},
	{"since", take_since},
	{"until", take_until},
	{"table", take_table},
	{"type", take_type},
	{"transaction_id", take_transaction},
	{"limit", take_limit},
	{"token", take_token},
};

void wire_history_begin(struct wire_history *asked)
{
	asked->given = 0;
	asked->job->since = INT64_MIN;
	asked->job->until = INT64_MAX;
	asked->job->limit = asked->limit_max < LIMIT_DEFAULT ? asked->limit_max : LIMIT_DEFAULT;
}

enum status wire_history_part(struct wire_history *asked, struct span name, struct span value, const char **key, struct err *err)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (!span_is(name, parts[i].name))
			continue;
		*key = parts[i].name;
		if (asked->given & 1u << i)
			return err_set(err, STATUS_INVALID, "It is given twice");
		asked->given |= 1u << i;
		return parts[i].take(asked, value, err) ? STATUS_OK : STATUS_INVALID;
	}
	*key = "query";
	return err_set(err, STATUS_INVALID, "\"%.*s\" is no parameter; there are after, before, since, until, table, type, transaction_id, limit "
		"and token", (int)utf8_shown(name.p, name.len, NAME_SHOWN), name.p);
}
