/* What is kept of consumers: the functions of triggers/postgres/consumers.sql, called on a lane. Each is one round trip and one
 * transaction, READ COMMITTED, since they lock a row and go by what it says then.
 *
 * Where the tables or functions are gone, capture notices at its next look and makes them anew: to the asker the database is away
 * until then. A serialization failure, of whose cause nothing of ours is, passes as well. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "source/postgres/lane.h"
#include "source/postgres/statement.h"

struct number {
	char text[24];
};

struct name {
	char text[JOURNAL_LEN + 1];
};

static struct name name_of(struct span journal)
{
	struct name name;

	snprintf(name.text, sizeof(name.text), "%.*s", (int)journal.len, journal.p);
	return name;
}

static const char *number(struct number *room, uint64_t value)
{
	snprintf(room->text, sizeof(room->text), "%llu", (unsigned long long)(value < INT64_MAX ? value : INT64_MAX));
	return room->text;
}

static enum status call(
	struct lane *lane, const char *sql, int count, const char *const *params, PGresult **result, struct err *err)
{
	enum status status = pg_lane_ready(lane, pg_lane_timeout(lane), err);

	if (status == STATUS_OK)
		status = pg_call(&lane->pg, sql, count, params, pg_lane_timeout(lane), result, err);
	return status == STATUS_NOT_FOUND || status == STATUS_FAILED || status == STATUS_CONFLICT ? STATUS_UNAVAILABLE : status;
}

static enum status not_registered(const char *name, struct err *err)
{
	return err_set(err, STATUS_NOT_FOUND, "there is no consumer \"%s\"", name);
}

/* For functions that return whether there is such a consumer. */
static enum status call_on(
	struct lane *lane, const char *name, const char *sql, int count, const char *const *params, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	enum status status = call(lane, sql, count, params, &result, err);

	return status == STATUS_OK && !pg_bool(result, 0, 0) ? not_registered(name, err) : status;
}

enum status postgres_consumers(void *lane, const char *name, struct consumer_list *list, struct err *err)
{
	static const char sql[] =
		"SELECT c.name, c.topics, c.types, CASE WHEN c.journal = m.journal THEN c.cursor ELSE m.floor END, "
		"(pg_catalog.date_part('epoch'::text, c.updated_at) * 1000::float8)::bigint, c.dropped, c.generation "
		"FROM esink.consumer c, esink.meta m WHERE $1::text IS NULL OR c.name = $1::text ORDER BY c.name";
	AUTO_RESULT PGresult *result = NULL;
	enum status status = call(lane, sql, 1, &name, &result, err);

	if (status != STATUS_OK)
		return status;
	if (name && !PQntuples(result))
		return not_registered(name, err);
	for (int row = 0; row < PQntuples(result); row++) {
		struct consumer consumer = {.name = mem_text(PQgetvalue(result, row, 0)),
			.topics = mem_text(PQgetvalue(result, row, 1)),
			.types = mem_text(PQgetvalue(result, row, 2)),
			.cursor = (uint64_t)pg_int(result, row, 3),
			.updated_at = pg_int(result, row, 4),
			.dropped = pg_bool(result, row, 5),
			.generation = (uint64_t)pg_int(result, row, 6)};

		consumer_list_add(list, &consumer);
	}
	return STATUS_OK;
}

enum status postgres_consumer_put(void *opaque, const struct consumer *consumer, const struct consumer *lost, bool *created,
	struct err *err)
{
	static const char sql[] =
		"SELECT esink.put_consumer($1::text, $2::text, $3::text, $4::bigint, $5::bigint, $6::bigint, $7::bigint)";
	AUTO_RESULT PGresult *result = NULL;
	struct lane *lane = opaque;
	struct number cursor, generation, replaced, max;
	const char *params[] = {consumer->name, consumer->topics, consumer->types, number(&cursor, consumer->cursor),
		number(&generation, consumer->generation), lost ? number(&replaced, lost->generation) : NULL,
		number(&max, (uint64_t)lane->source->config->max_consumers)};
	enum status status = call(lane, sql, 7, params, &result, err);

	if (status == STATUS_OK && PQgetisnull(result, 0, 0))
		return consumer_too_many(lane->source->config->max_consumers, err);
	if (status == STATUS_OK)
		*created = pg_bool(result, 0, 0);
	return status;
}

enum status postgres_consumer_delete(void *lane, const char *name, struct err *err)
{
	return call_on(lane, name, "SELECT esink.delete_consumer($1::text)", 1, &name, err);
}

enum status postgres_consumer_advance(
	void *lane, const struct consumer *consumer, struct span journal, uint64_t cursor, struct err *err)
{
	struct number generation, to;
	struct name of = name_of(journal);
	const char *params[] = {consumer->name, number(&generation, consumer->generation), of.text, number(&to, cursor)};

	return call_on(lane, consumer->name, "SELECT esink.advance_consumer($1::text, $2::bigint, $3::text, $4::bigint)", 4, params, err);
}

static enum status check_room(struct lane *lane, const char *name, uint64_t id, struct err *err)
{
	static const char sql[] =
		"SELECT pg_catalog.count(*), coalesce(pg_catalog.min(a.id), 0::bigint) FROM (SELECT k.id FROM esink.mark k WHERE "
		"k.consumer = $1::text AND k.id > (SELECT c.cursor FROM esink.consumer c WHERE c.name = $1::text) ORDER BY k.id "
		"LIMIT $2::bigint) a";
	AUTO_RESULT PGresult *result = NULL;
	struct number most;
	const char *params[] = {name, number(&most, MARKS_MAX)};
	enum status status;

	if (mark_budget_take(&lane->marks, name))
		return STATUS_OK;
	status = call(lane, sql, 2, params, &result, err);
	if (status != STATUS_OK)
		return status;
	return mark_budget_counted(&lane->marks, name, pg_int(result, 0, 0), (uint64_t)pg_int(result, 0, 1), id, err);
}

enum status postgres_consumer_mark(void *lane, const struct consumer *consumer, struct span journal, uint64_t id,
	enum consumer_outcome outcome, struct err *err)
{
	static const char sql[] = "SELECT esink.mark_event($1::text, $2::bigint, $3::text, $4::bigint, $5::boolean)";
	struct number generation, event;
	struct name of = name_of(journal);
	const char *params[] = {consumer->name, number(&generation, consumer->generation), of.text, number(&event, id),
		outcome == OUTCOME_SKIPPED ? "true" : "false"};
	enum status status = check_room(lane, consumer->name, id, err);

	if (status != STATUS_OK)
		return status;
	return call_on(lane, consumer->name, sql, 5, params, err);
}

enum status postgres_consumer_marks(void *lane, const char *name, uint64_t first, uint64_t last, size_t max,
	struct consumer_mark_list *list, struct err *err)
{
	static const char of_one[] = "SELECT k.consumer, k.id, k.skipped FROM esink.mark k WHERE k.consumer = $4::text AND k.id >= "
				     "$1::bigint AND k.id <= $2::bigint ORDER BY k.id LIMIT $3::bigint";
	static const char of_all[] = "SELECT k.consumer, k.id, k.skipped FROM esink.mark k WHERE k.id >= $1::bigint AND k.id <= "
				     "$2::bigint ORDER BY k.id, k.consumer LIMIT $3::bigint";
	AUTO_RESULT PGresult *result = NULL;
	struct number from, to, most;
	const char *params[] = {number(&from, first), number(&to, last), number(&most, max), name};
	enum status status = call(lane, name ? of_one : of_all, name ? 4 : 3, params, &result, err);

	for (int row = 0; status == STATUS_OK && row < PQntuples(result); row++) {
		struct consumer_mark mark = {.id = (uint64_t)pg_int(result, row, 1),
			.outcome = pg_bool(result, row, 2) ? OUTCOME_SKIPPED : OUTCOME_COMPLETED};

		snprintf(mark.consumer, sizeof(mark.consumer), "%s", PQgetvalue(result, row, 0));
		consumer_mark_list_add(list, &mark);
	}
	return status;
}
