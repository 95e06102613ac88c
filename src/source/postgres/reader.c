/* One row of the journal to one event: the database's JSON text goes in as it is.
 *
 * The server sends UTF-8. Where the database has another encoding it converts, and fails on bytes that are no character there: so each text
 * is tried first, and a row that cannot be told is an event without data.
 */
#include "source/postgres/reader.h"

#include <string.h>

#include "source/postgres/statement.h"

enum column {
	ID,
	SEQ,
	XID,
	AT_MS,
	TOPIC,
	TYPE,
	DATA,
	OLD,
	OLD_KEY,
	USERS,
	OLD_USERS,
	BROADCAST,
	INCOMPLETE,
	ACTOR,
	SOURCE,
	SOURCE_TYPE,
	VERSION,
	REF,
	DEFAULT_SCHEMA
};

#define READ "esink.read($1::bigint, $2::bigint, $3::bigint)"
#define READ_TICK "esink.read_tick($1::bigint, $2::bigint, $3::xid8[], $4::xid8[], $5::integer)"
#define PLAIN                                                                                      \
	"SELECT id, seq, xid, at_ms, topic, type, data, old, old_key, users, old_users, "          \
	"broadcast, incomplete, "                                                                  \
	"actor, source, source_type, version, ref, "                                               \
	"(SELECT " PG_DEFAULT_SCHEMA ") FROM "
#define SOUND(text, otherwise) "CASE WHEN " text " IS NULL THEN NULL ELSE esink.sound(" text ", " otherwise ") END, "
#define SOUND_USERS(users)                                                                         \
	"CASE WHEN " users " IS NULL THEN NULL ELSE ARRAY(SELECT u FROM pg_catalog.unnest(" users ") u WHERE " \
	"esink.sound(u, NULL) IS NOT NULL) END, "
#define TRIED                                                                                      \
	"SELECT id, seq, xid, at_ms, " SOUND("topic", "'?'") SOUND("type", "'?'") SOUND("data", "'{}'") \
	SOUND("old", "NULL") SOUND("old_key", "'{}'") SOUND_USERS("users") SOUND_USERS("old_users") \
	"broadcast, incomplete OR esink.sound(data, NULL) IS NULL, " SOUND("actor", "NULL")        \
	SOUND("source", "'?'") "source_type, version, ref, (SELECT " PG_DEFAULT_SCHEMA ") FROM "

static bool is_converted(const struct pg *pg)
{
	const char *encoding = pg->conn ? PQparameterStatus(pg->conn, "server_encoding") : NULL;

	return encoding && strcmp(encoding, "UTF8") != 0;
}

const char *pg_reader_sql(const struct pg *pg)
{
	static const char plain[] = PLAIN READ, tried[] = TRIED READ;

	return is_converted(pg) ? tried : plain;
}

const char *pg_reader_tick_sql(const struct pg *pg)
{
	static const char plain[] = PLAIN READ_TICK, tried[] = TRIED READ_TICK;

	return is_converted(pg) ? tried : plain;
}

static struct span cell(const PGresult *row, enum column column)
{
	if (PQgetisnull(row, 0, column))
		return (struct span){NULL, 0};
	return (struct span){PQgetvalue(row, 0, column), (size_t)PQgetlength(row, 0, column)};
}

/* An unset actor is NULL, or empty once a transaction of the same connection has set one. */
static struct span unless_empty(struct span span)
{
	return span.len ? span : (struct span){NULL, 0};
}

struct event *pg_reader_event(struct pg_reader *reader, const PGresult *row, const char *journal)
{
	bool from_table = PQgetisnull(row, 0, SOURCE);
	struct event_parts parts = {.id = (uint64_t)pg_int(row, 0, ID),
		.key = (uint64_t)pg_int(row, 0, SEQ),
		.timestamp = pg_int(row, 0, AT_MS),
		.version = PQgetisnull(row, 0, VERSION) ? 1 : (int32_t)pg_int(row, 0, VERSION),
		.incomplete = pg_bool(row, 0, INCOMPLETE),
		.broadcast = pg_bool(row, 0, BROADCAST),
		.journal = span_of(journal),
		.topic = cell(row, TOPIC),
		.type = cell(row, TYPE),
		.data = cell(row, DATA),
		.old = cell(row, OLD),
		.old_key = cell(row, OLD_KEY),
		.source = from_table ? span_of("postgres") : cell(row, SOURCE),
		.source_type = from_table ? span_of("database") : cell(row, SOURCE_TYPE),
		.transaction_id = from_table || span_is(cell(row, SOURCE_TYPE), "sql")
					  ? cell(row, XID)
					  : (struct span){NULL, 0},
		.actor = unless_empty(cell(row, ACTOR)),
		.ref = cell(row, REF)};

	if (!PQgetisnull(row, 0, USERS) && pg_array_parse(&reader->users, cell(row, USERS))) {
		parts.users = reader->users.items;
		parts.user_count = reader->users.count;
	}
	if (!PQgetisnull(row, 0, OLD_USERS) &&
		pg_array_parse(&reader->old_users, cell(row, OLD_USERS))) {
		parts.rerouted = true;
		parts.old_users = reader->old_users.items;
		parts.old_user_count = reader->old_users.count;
	}
	if (from_table)
		today_row(&reader->today, &parts, PQgetvalue(row, 0, DEFAULT_SCHEMA));
	else
		today_published(&reader->today, &parts);
	return event_create(&parts);
}

void pg_reader_finish(struct pg_reader *reader)
{
	pg_array_finish(&reader->users);
	pg_array_finish(&reader->old_users);
	today_finish(&reader->today);
}

enum status pg_reader_map(
	struct pg *pg, uint64_t after, int timeout_ms, bool *mapped, struct err *err)
{
	AUTO_RESULT PGresult *result = NULL;
	char after_text[24];
	const char *params[] = {after_text};
	enum status status;

	snprintf(after_text, sizeof(after_text), "%llu", (unsigned long long)after);
	status = pg_call(
		pg, "SELECT esink.map_rest($1::bigint)", 1, params, timeout_ms, &result, err);
	if (status == STATUS_OK)
		*mapped = pg_bool(result, 0, 0);
	return status;
}
