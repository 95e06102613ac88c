/* Topic patterns and types of one subscription.
 *
 * A pattern comes from a browser and is hostile until it has shown otherwise. Compiling is bounded
 * by the pattern's length, its nesting and the size of what comes out; matching by PCRE2's match,
 * depth and heap limits: a pattern that reaches one does not match. So that nobody burns the limit
 * once per topic, a new pattern is first tried on made-up topics that are the worst case of nested
 * repeats, of the first letters that the pattern holds, and refused when it reaches a limit there.
 *
 * That bounds one pattern; a hundred that are just good enough would still stop a thread. So a
 * subscription has a budget for all of them: bytes as written, bytes compiled, and time of the
 * processor, when they are tried as when a topic is matched. A step of PCRE2's is no measure of time,
 * for one may run over all of a topic: the steps are granted in growing portions (match()), and the
 * clock is looked at between them. The system may have the processor do other work on our time, so what the clock cut short is
 * tried once more before it counts against a pattern.
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

#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"

#define COMPILE_OPTIONS                                                                            \
	(PCRE2_ANCHORED | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |          \
		PCRE2_DOLLAR_ENDONLY)
#define NEST_LIMIT 50
#define COMPILED_MAX 32768 /* bytes: x{60000} and the like */
#define MATCH_LIMIT 10000  /* steps; of most patterns less than half a millisecond */
#define PROBE_LIMIT 5000
#define STEPS_FIRST 32 /* granted before the clock is looked at; then four times as many, and so on */
#define DEPTH_LIMIT 2000
#define HEAP_LIMIT_KB 1024
#define PROBE_LENGTH 24 /* two to this power is far over the limit, its cube is not */
#define PROBE_LETTERS 4
#define MEMO_MAX 256       /* topics remembered */
#define MEMO_TOPIC_MAX 256 /* bytes of one */
#define TOPIC_SEEN 1024    /* bytes that patterns look at: a table's name is far shorter, a client's event need not be */

/* Of one subscription, for each PATTERNS_A_SHARE patterns that it may have. A hundred plain patterns take about a fifth of it. */
#define PATTERNS_A_SHARE 100
#define SHARE_BYTES 8192     /* of its patterns as written, and likewise of its types */
#define SHARE_COMPILED 65536 /* bytes */
#define SHARE_TRIAL_US 5000
#define SHARE_MATCH_US 2000 /* one topic */

struct verdict {
	bool wanted;
	bool cut; /* the time was up before all was tried: the topic's next event tries again, once */
	char topic[];
};

struct list {
	struct span *items;
	size_t count;
};

struct subscription {
	struct list topics, types;
	size_t shares;      /* of the budget; 0: the operator's own, which has none */
	pcre2_code **codes; /* one per topic; NULL: not compiled yet */
	pcre2_match_context *limits;
	int64_t matched_us; /* subscription_matched_us() */
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

/* What all patterns of a subscription share while they are compiled. */
struct trial {
	pcre2_compile_context *context;
	pcre2_match_context *limits;
	pcre2_match_data *data;
	size_t shares, compiled; /* bytes */
	int64_t until;
	bool cut; /* the time was up */
};

/* -- the budget -- */

static int64_t spent_at(size_t shares, int64_t share_us)
{
	return shares ? clock_thread_us() + (int64_t)shares * share_us : INT64_MAX;
}

static bool spent(int64_t until)
{
	return until != INT64_MAX && clock_thread_us() >= until;
}

static enum status too_long(struct trial *trial, struct span pattern, struct err *err)
{
	trial->cut = true;
	return err_set(err, STATUS_INVALID,
		"topic pattern \"%.*s\" is too costly: to try the patterns up to here took longer than the %zu ms allowed; "
		"fewer repeats or fewer patterns cost less",
		pattern_shown(pattern), pattern.p, trial->shares * SHARE_TRIAL_US / 1000);
}

/* -- compiling -- */

static enum status check_size(struct trial *trial, struct span pattern, size_t size, struct err *err)
{
	size_t max = trial->shares * SHARE_COMPILED;

	if (size > COMPILED_MAX)
		return err_set(err, STATUS_INVALID,
			"topic pattern \"%.*s\" is too costly: it takes %zu bytes once its repeats are written out, at most %d are allowed",
			pattern_shown(pattern), pattern.p, size, COMPILED_MAX);
	trial->compiled += size;
	if (trial->shares && trial->compiled > max)
		return err_set(err, STATUS_INVALID,
			"topic pattern \"%.*s\" is too costly: the patterns up to here take %zu bytes once their repeats are written out, "
			"at most %zu are allowed",
			pattern_shown(pattern), pattern.p, trial->compiled, max);
	return STATUS_OK;
}

static enum status compile(struct trial *trial, struct span pattern, pcre2_code **ret, struct err *err)
{
	int error;
	size_t offset, size = 0;
	enum status status;
	PCRE2_UCHAR text[160] = "";
	pcre2_code *code = pcre2_compile(
		(PCRE2_SPTR)pattern.p, pattern.len, COMPILE_OPTIONS, &error, &offset, trial->context);

	if (!code) {
		pcre2_get_error_message(error, text, sizeof(text));
		return err_set(err, STATUS_INVALID,
			"topic pattern \"%.*s\" is not valid at character %zu: %s",
			pattern_shown(pattern), pattern.p, offset + 1, (const char *)text);
	}
	pcre2_pattern_info(code, PCRE2_INFO_SIZE, &size);
	status = check_size(trial, pattern, size, err);
	if (status == STATUS_OK)
		*ret = code;
	else
		pcre2_code_free(code);
	return status;
}

/* -- matching -- */

/* Its result, or a limit that it reaches: after max_steps, or fewer when the time is up. What was done so far is done again with
 * each portion: in all a third more. */
static int match(const pcre2_code *code, struct span topic, uint32_t options, pcre2_match_context *limits,
	pcre2_match_data *data, uint32_t max_steps, int64_t until)
{
	PCRE2_SPTR text = (PCRE2_SPTR)(topic.p ? topic.p : "");

	for (uint32_t steps = STEPS_FIRST;; steps *= 4) {
		bool all = steps >= max_steps;
		int result;

		pcre2_set_match_limit(limits, all ? max_steps : steps);
		result = pcre2_match(code, text, topic.len, 0, options, data, limits);
		if (result != PCRE2_ERROR_MATCHLIMIT || all || spent(until))
			return result;
	}
}

static bool hits_limit(int result)
{
	return result == PCRE2_ERROR_MATCHLIMIT || result == PCRE2_ERROR_DEPTHLIMIT ||
	       result == PCRE2_ERROR_HEAPLIMIT || result == PCRE2_ERROR_NOMEMORY ||
	       result == PCRE2_ERROR_RECURSELOOP;
}

/* -- trying -- */

static bool probe(const struct trial *trial, const pcre2_code *code, char letter)
{
	char topic[PROBE_LENGTH];

	memset(topic, letter, sizeof(topic));
	topic[PROBE_LENGTH - 2] = '\n'; /* a dot stops here, a dollar does not match before it */
	topic[PROBE_LENGTH - 1] = '\x01';
	return !hits_limit(match(code, (struct span){topic, sizeof(topic)}, 0, trial->limits, trial->data, PROBE_LIMIT,
		trial->until));
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '_';
}

static bool probe_all(const struct trial *trial, const pcre2_code *code, struct span pattern)
{
	bool seen[256] = {false};
	size_t letters = 0;

	if (!probe(trial, code, 'a') || !probe(trial, code, '0') || !probe(trial, code, '-'))
		return false;
	for (size_t i = 0; i < pattern.len && letters < PROBE_LETTERS; i++) {
		unsigned char c = (unsigned char)pattern.p[i];

		if (!is_word(pattern.p[i]) || seen[c])
			continue;
		seen[c] = true;
		letters++;
		if (!probe(trial, code, pattern.p[i]))
			return false;
	}
	return true;
}

/* Compiled once more without the optimisations that see at once that a made-up topic lacks a
 * letter: a real one has it. */
static bool affordable(const struct trial *trial, struct span pattern)
{
	int error;
	size_t offset;
	pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.len,
		COMPILE_OPTIONS | PCRE2_NO_START_OPTIMIZE, &error, &offset, trial->context);
	bool good = code && probe_all(trial, code, pattern);

	pcre2_code_free(code);
	return good;
}

static void free_codes(struct subscription *s)
{
	for (size_t i = 0; s->codes && i < s->topics.count; i++) {
		pcre2_code_free(s->codes[i]);
		s->codes[i] = NULL;
	}
}

static enum status compile_all(struct subscription *s, struct trial *trial, struct err *err)
{
	trial->compiled = 0;
	trial->until = spent_at(s->shares, SHARE_TRIAL_US);
	trial->cut = false;
	for (size_t i = 0; i < s->topics.count; i++) {
		struct span pattern = s->topics.items[i];
		enum status status = compile(trial, pattern, &s->codes[i], err);
		bool good;

		if (status != STATUS_OK)
			return status;
		good = affordable(trial, pattern);
		if (spent(trial->until))
			return too_long(trial, pattern, err);
		if (!good)
			return refuse(pattern, "is too costly: its repeats match the same text in too many ways", err);
	}
	return STATUS_OK;
}

enum status subscription_compile(struct subscription *s, struct err *err)
{
	struct trial trial = {.shares = s->shares};
	enum status status = STATUS_OK;

	if (!s->topics.count || s->codes)
		return STATUS_OK;
	s->codes = mem_zero(s->topics.count, sizeof(*s->codes));
	trial.limits = s->limits = pcre2_match_context_create(NULL);
	trial.context = pcre2_compile_context_create(NULL);
	trial.data = pcre2_match_data_create(1, NULL);
	if (!trial.limits || !trial.context || !trial.data) {
		status = err_set(err, STATUS_FAILED, "out of memory");
	} else {
		pcre2_set_parens_nest_limit(trial.context, NEST_LIMIT);
		pcre2_set_depth_limit(trial.limits, DEPTH_LIMIT);
		pcre2_set_heap_limit(trial.limits, HEAP_LIMIT_KB);
		status = compile_all(s, &trial, err);
		if (trial.cut) {
			free_codes(s);
			status = compile_all(s, &trial, err);
		}
	}
	pcre2_compile_context_free(trial.context);
	pcre2_match_data_free(trial.data);
	return status;
}

/* -- what is asked for -- */

static enum status check_list(const char *what, const struct span *items, size_t count,
	size_t max_count, size_t max_bytes, size_t max_together, struct err *err)
{
	size_t together = 0;

	if (count > max_count)
		return err_set(err, STATUS_TOO_MANY, "%zu %ss given, at most %zu are allowed",
			count, what, max_count);
	for (size_t i = 0; i < count; i++) {
		if (items[i].len > max_bytes)
			return err_set(err, STATUS_INVALID,
				"%s \"%.*s..\" has %zu bytes, at most %zu are allowed", what,
				pattern_shown(items[i]), items[i].p, items[i].len, max_bytes);
		together += items[i].len;
	}
	if (together > max_together)
		return err_set(err, STATUS_TOO_MANY, "the %zu %ss have %zu bytes together, at most %zu are allowed", count, what,
			together, max_together);
	return STATUS_OK;
}

static size_t shares_of(size_t max_patterns)
{
	if (max_patterns == SIZE_MAX)
		return 0;
	return max_patterns > PATTERNS_A_SHARE ? max_patterns / PATTERNS_A_SHARE : 1;
}

/* One that is as long as it may be always fits. */
static size_t room_of(size_t shares, size_t max_bytes)
{
	if (!shares)
		return SIZE_MAX;
	return max_bytes > shares * SHARE_BYTES ? max_bytes : shares * SHARE_BYTES;
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

enum status subscription_draft(const struct span *topics, size_t topic_count,
	const struct span *types, size_t type_count, size_t max_patterns, size_t max_bytes,
	struct subscription **ret, struct err *err)
{
	size_t shares = shares_of(max_patterns), room = room_of(shares, max_bytes);
	struct subscription *s;
	enum status status =
		check_list("topic pattern", topics, topic_count, max_patterns, max_bytes, room, err);

	if (status == STATUS_OK)
		status = check_list("type", types, type_count, max_patterns, max_bytes, room, err);
	if (status != STATUS_OK)
		return status;
	s = mem_zero(1, sizeof(*s));
	s->shares = shares;
	s->topics = copy_list(topics, topic_count);
	s->types = copy_list(types, type_count);
	*ret = s;
	return STATUS_OK;
}

enum status subscription_create(const struct span *topics, size_t topic_count,
	const struct span *types, size_t type_count, size_t max_patterns, size_t max_bytes,
	struct subscription **ret, struct err *err)
{
	struct subscription *s = NULL;
	enum status status = subscription_draft(
		topics, topic_count, types, type_count, max_patterns, max_bytes, &s, err);

	if (status == STATUS_OK)
		status = subscription_compile(s, err);
	if (status == STATUS_OK)
		*ret = s;
	else
		subscription_destroy(s);
	return status;
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
	free_codes(subscription);
	free(subscription->codes);
	pcre2_match_context_free(subscription->limits);
	list_finish(&subscription->topics);
	list_finish(&subscription->types);
	forget(subscription);
	free(subscription);
}

/* The match data is made anew each time: it keeps 20 kB of PCRE2's frames, too much for every
 * session to hold. An end that is not the topic's is none. */
static bool match_any(struct subscription *s, struct span topic, bool *cut)
{
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	int64_t began = clock_thread_us(), until = spent_at(s->shares, SHARE_MATCH_US);
	uint32_t options = 0;
	bool found = false;

	if (s->shares && topic.len > TOPIC_SEEN) {
		topic.len = TOPIC_SEEN;
		options = PCRE2_NOTEOL;
	}
	for (size_t i = 0; data && i < s->topics.count && !found && (!i || !spent(until)); i++)
		found = match(s->codes[i], topic, options, s->limits, data, MATCH_LIMIT, until) >= 0;
	pcre2_match_data_free(data);
	*cut = !found && spent(until);
	s->matched_us += clock_thread_us() - began;
	return found;
}

static bool first_verdict(struct subscription *s, uint64_t hash, struct span topic)
{
	struct verdict *verdict;

	if (s->memo.count >= MEMO_MAX)
		forget(s);
	verdict = mem_alloc(sizeof(*verdict) + topic.len + 1);
	verdict->wanted = match_any(s, topic, &verdict->cut);
	if (topic.len)
		memcpy(verdict->topic, topic.p, topic.len);
	map_put(&s->memo, hash, (struct span){verdict->topic, topic.len}, verdict);
	return verdict->wanted;
}

static bool wants_topic(struct subscription *s, struct span topic)
{
	struct verdict *known;
	uint64_t hash;
	bool cut;

	if (!s->topics.count)
		return true;
	if (topic.len > MEMO_TOPIC_MAX)
		return match_any(s, topic, &cut);
	hash = hash_bytes(topic.p, topic.len);
	known = map_get(&s->memo, hash, topic);
	if (!known)
		return first_verdict(s, hash, topic);
	if (known->cut) {
		known->cut = false;
		known->wanted = match_any(s, topic, &cut);
	}
	return known->wanted;
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

int64_t subscription_matched_us(struct subscription *subscription)
{
	int64_t us = subscription->matched_us;

	subscription->matched_us = 0;
	return us;
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
