/* Topic patterns and types of one subscription.
 *
 * A pattern comes from a browser and is hostile until it has shown otherwise. Compiling is bounded
 * by the pattern's length, its nesting and the size of what comes out; matching by PCRE2's match,
 * depth and heap limits: a pattern that reaches one does not match. So that nobody burns the limit
 * once per topic, a new pattern is first tried on made-up topics that are the worst case of nested
 * repeats, of the first letters that the pattern holds, and refused when it reaches a limit there.
 *
 * Matching happens once per topic: verdicts are kept in a map, which is emptied when it is full.
 * That bounds it whatever topics are published, and a database has fewer tables than that.
 *
 * A topic need not be UTF-8; PCRE2_MATCH_INVALID_UTF lets no pattern match across the bad bytes.
 * \C, which could stop inside a character, is off.
 */
#include "rules/topics.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"

#define COMPILE_OPTIONS                                                                            \
	(PCRE2_ANCHORED | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |          \
		PCRE2_DOLLAR_ENDONLY)
#define NEST_LIMIT 50
#define COMPILED_MAX 32768 /* bytes: x{60000} and the like */
#define MATCH_LIMIT 10000  /* steps; less than half a millisecond */
#define PROBE_LIMIT 5000
#define DEPTH_LIMIT 2000
#define HEAP_LIMIT_KB 1024
#define PROBE_LENGTH 24 /* two to this power is far over the limit, its cube is not */
#define PROBE_LETTERS 4
#define MEMO_MAX 256       /* topics remembered */
#define MEMO_TOPIC_MAX 256 /* bytes of one */

struct verdict {
	bool wanted;
	char topic[];
};

struct list {
	struct span *items;
	size_t count;
};

struct subscription {
	struct list topics, types;
	pcre2_code **codes; /* one per topic */
	pcre2_match_context *limits;
	struct map memo;
};

static int pattern_shown(struct span pattern)
{
	return (int)utf8_shown(pattern.p, pattern.len, 100);
}

static enum status refuse(struct span pattern, const char *why, struct err *err)
{
	return err_set(err, STATUS_INVALID, "topic pattern \"%.*s\" %s", pattern_shown(pattern),
		pattern.p, why);
}

static enum status compile(
	struct span pattern, pcre2_compile_context *context, pcre2_code **ret, struct err *err)
{
	int error;
	size_t offset, size = 0;
	PCRE2_UCHAR text[160] = "";
	pcre2_code *code = pcre2_compile(
		(PCRE2_SPTR)pattern.p, pattern.len, COMPILE_OPTIONS, &error, &offset, context);

	if (!code) {
		pcre2_get_error_message(error, text, sizeof(text));
		return err_set(err, STATUS_INVALID,
			"topic pattern \"%.*s\" is not valid at character %zu: %s",
			pattern_shown(pattern), pattern.p, offset + 1, (const char *)text);
	}
	pcre2_pattern_info(code, PCRE2_INFO_SIZE, &size);
	if (size > COMPILED_MAX) {
		pcre2_code_free(code);
		return refuse(pattern,
			"is too costly: it is too large once its repeats are written out", err);
	}
	*ret = code;
	return STATUS_OK;
}

/* The match data is made anew each time: it keeps 20 kB of PCRE2's frames, too much for every
 * session to hold. */
static int match(const pcre2_code *code, struct span topic, pcre2_match_context *limits)
{
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	PCRE2_SPTR text = (PCRE2_SPTR)(topic.p ? topic.p : "");
	int result = data ? pcre2_match(code, text, topic.len, 0, 0, data, limits)
			  : PCRE2_ERROR_NOMEMORY;

	pcre2_match_data_free(data);
	return result;
}

static bool hits_limit(int result)
{
	return result == PCRE2_ERROR_MATCHLIMIT || result == PCRE2_ERROR_DEPTHLIMIT ||
	       result == PCRE2_ERROR_HEAPLIMIT || result == PCRE2_ERROR_NOMEMORY ||
	       result == PCRE2_ERROR_RECURSELOOP;
}

static bool probe(const pcre2_code *code, char letter, pcre2_match_context *limits)
{
	char topic[PROBE_LENGTH];

	memset(topic, letter, sizeof(topic));
	topic[PROBE_LENGTH - 2] = '\n'; /* a dot stops here, a dollar does not match before it */
	topic[PROBE_LENGTH - 1] = '\x01';
	return !hits_limit(match(code, (struct span){topic, sizeof(topic)}, limits));
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '_';
}

static bool probe_all(const pcre2_code *code, struct span pattern, pcre2_match_context *limits)
{
	bool seen[256] = {false};
	size_t letters = 0;

	if (!probe(code, 'a', limits) || !probe(code, '0', limits) || !probe(code, '-', limits))
		return false;
	for (size_t i = 0; i < pattern.len && letters < PROBE_LETTERS; i++) {
		unsigned char c = (unsigned char)pattern.p[i];

		if (!is_word(pattern.p[i]) || seen[c])
			continue;
		seen[c] = true;
		letters++;
		if (!probe(code, pattern.p[i], limits))
			return false;
	}
	return true;
}

/* Compiled once more without the optimisations that see at once that a made-up topic lacks a
 * letter: a real one has it. */
static bool affordable(
	struct span pattern, pcre2_compile_context *context, pcre2_match_context *limits)
{
	int error;
	size_t offset;
	pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.len,
		COMPILE_OPTIONS | PCRE2_NO_START_OPTIMIZE, &error, &offset, context);
	bool good = code && probe_all(code, pattern, limits);

	pcre2_code_free(code);
	return good;
}

static enum status compile_all(
	struct subscription *s, pcre2_compile_context *context, struct err *err)
{
	for (size_t i = 0; i < s->topics.count; i++) {
		enum status status = compile(s->topics.items[i], context, &s->codes[i], err);

		if (status != STATUS_OK)
			return status;
		if (!affordable(s->topics.items[i], context, s->limits))
			return refuse(s->topics.items[i],
				"is too costly: its repeats match the same text in too many ways",
				err);
	}
	return STATUS_OK;
}

static enum status compile_topics(struct subscription *s, struct err *err)
{
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	enum status status;

	s->codes = mem_zero(s->topics.count, sizeof(*s->codes));
	s->limits = pcre2_match_context_create(NULL);
	if (!context || !s->limits) {
		pcre2_compile_context_free(context);
		return err_set(err, STATUS_FAILED, "out of memory");
	}
	pcre2_set_parens_nest_limit(context, NEST_LIMIT);
	pcre2_set_match_limit(s->limits, PROBE_LIMIT);
	pcre2_set_depth_limit(s->limits, DEPTH_LIMIT);
	pcre2_set_heap_limit(s->limits, HEAP_LIMIT_KB);
	status = compile_all(s, context, err);
	pcre2_set_match_limit(s->limits, MATCH_LIMIT);
	pcre2_compile_context_free(context);
	return status;
}

static enum status check_list(const char *what, const struct span *items, size_t count,
	size_t max_count, size_t max_bytes, struct err *err)
{
	if (count > max_count)
		return err_set(err, STATUS_TOO_MANY, "%zu %ss given, at most %zu are allowed",
			count, what, max_count);
	for (size_t i = 0; i < count; i++)
		if (items[i].len > max_bytes)
			return err_set(err, STATUS_INVALID,
				"%s \"%.*s..\" has %zu bytes, at most %zu are allowed", what,
				pattern_shown(items[i]), items[i].p, items[i].len, max_bytes);
	return STATUS_OK;
}

static struct list copy_list(const struct span *items, size_t count)
{
	struct list list = {mem_zero(count, sizeof(*list.items)), count};

	for (size_t i = 0; i < count; i++)
		list.items[i] = (struct span){mem_text_n(items[i].p, items[i].len), items[i].len};
	return list;
}

static void list_finish(struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free((char *)(uintptr_t)list->items[i].p);
	free(list->items);
}

enum status subscription_create(const struct span *topics, size_t topic_count,
	const struct span *types, size_t type_count, size_t max_patterns, size_t max_bytes,
	struct subscription **ret, struct err *err)
{
	struct subscription *s;
	enum status status =
		check_list("topic pattern", topics, topic_count, max_patterns, max_bytes, err);

	if (status == STATUS_OK)
		status = check_list("type", types, type_count, max_patterns, max_bytes, err);
	if (status != STATUS_OK)
		return status;
	s = mem_zero(1, sizeof(*s));
	s->topics = copy_list(topics, topic_count);
	s->types = copy_list(types, type_count);
	if (topic_count)
		status = compile_topics(s, err);
	if (status != STATUS_OK) {
		subscription_destroy(s);
		return status;
	}
	*ret = s;
	return STATUS_OK;
}

static void forget(struct subscription *s)
{
	size_t at = 0;

	for (void *verdict; (verdict = map_next(&s->memo, &at));)
		free(verdict);
	map_finish(&s->memo);
}

void subscription_destroy(struct subscription *subscription)
{
	if (!subscription)
		return;
	for (size_t i = 0; subscription->codes && i < subscription->topics.count; i++)
		pcre2_code_free(subscription->codes[i]);
	free(subscription->codes);
	pcre2_match_context_free(subscription->limits);
	list_finish(&subscription->topics);
	list_finish(&subscription->types);
	forget(subscription);
	free(subscription);
}

static bool match_any(const struct subscription *s, struct span topic)
{
	for (size_t i = 0; i < s->topics.count; i++)
		if (match(s->codes[i], topic, s->limits) >= 0)
			return true;
	return false;
}

static bool remember(struct subscription *s, uint64_t hash, struct span topic, bool wanted)
{
	struct verdict *verdict;

	if (s->memo.count >= MEMO_MAX)
		forget(s);
	verdict = mem_alloc(sizeof(*verdict) + topic.len + 1);
	verdict->wanted = wanted;
	if (topic.len)
		memcpy(verdict->topic, topic.p, topic.len);
	map_put(&s->memo, hash, (struct span){verdict->topic, topic.len}, verdict);
	return wanted;
}

static bool wants_topic(struct subscription *s, struct span topic)
{
	const struct verdict *known;
	uint64_t hash;

	if (!s->topics.count)
		return true;
	if (topic.len > MEMO_TOPIC_MAX)
		return match_any(s, topic);
	hash = hash_bytes(topic.p, topic.len);
	known = map_get(&s->memo, hash, topic);
	return known ? known->wanted : remember(s, hash, topic, match_any(s, topic));
}

static bool wants_type(const struct subscription *s, struct span type)
{
	for (size_t i = 0; i < s->types.count; i++)
		if (span_equal(s->types.items[i], type))
			return true;
	return !s->types.count;
}

bool subscription_wants(struct subscription *subscription, struct span topic, struct span type)
{
	return wants_type(subscription, type) && wants_topic(subscription, topic);
}

size_t subscription_topics(const struct subscription *subscription, const struct span **topics)
{
	*topics = subscription->topics.items;
	return subscription->topics.count;
}

size_t subscription_types(const struct subscription *subscription, const struct span **types)
{
	*types = subscription->types.items;
	return subscription->types.count;
}
