/* The sealed journal entry: one allocation that holds the struct, then its receivers, then every
 * text it was made of, so that making, sharing and freeing an event costs one malloc, one counter
 * and one free.
 *
 * The two audiences of an update that changed a routing column are merged here, once, into one
 * class per user: in both the user sees the update, only in the new one the row entered their view,
 * only in the old one it left. Receivers are kept sorted by (hash, id): a reader finds one user by
 * binary search, whatever the size of the audience.
 */
#include "esink/event.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

/* While audiences are merged, `class` holds these bits instead. */
#define IN_NEW 1u
#define IN_OLD 2u

static int compare_ids(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t common = a_len < b_len ? a_len : b_len;
	int order = common ? memcmp(a, b, common) : 0;

	return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_receivers(const void *left, const void *right)
{
	const struct receiver *a = left, *b = right;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return compare_ids(a->id, a->len, b->id, b->len);
}

static struct receiver *gather(
	struct receiver *at, const struct span *users, size_t count, unsigned bits)
{
	for (size_t i = 0; i < count; i++)
		*at++ = (struct receiver){.hash = hash_bytes(users[i].p, users[i].len),
			.id = users[i].p,
			.len = (uint32_t)users[i].len,
			.class = (enum event_class)bits};
	return at;
}

static enum event_class class_of(unsigned bits)
{
	if (bits == (IN_NEW | IN_OLD))
		return CLASS_BOTH;
	return bits == IN_NEW ? CLASS_ENTERED : CLASS_LEFT;
}

/* Sorted receivers, each user once, `class` still bits; returns how many are left. */
static size_t merge(struct receiver *receivers, size_t count)
{
	size_t kept = 0;

	if (count > 1)
		qsort(receivers, count, sizeof(*receivers), compare_receivers);
	for (size_t i = 0; i < count; i++) {
		if (kept && compare_receivers(&receivers[kept - 1], &receivers[i]) == 0)
			receivers[kept - 1].class = (enum event_class)(
				(unsigned)receivers[kept - 1].class | (unsigned)receivers[i].class);
		else
			receivers[kept++] = receivers[i];
	}
	for (size_t i = 0; i < kept; i++)
		receivers[i].class = class_of((unsigned)receivers[i].class);
	return kept;
}

/* An update whose routing columns stayed is seen whole by its audience, and so is an insert or a
 * delete. */
static size_t merge_audiences(struct receiver *receivers, const struct event_parts *parts)
{
	struct receiver *end;

	if (!parts->rerouted) {
		end = gather(receivers, parts->users, parts->user_count, IN_NEW | IN_OLD);
	} else {
		end = gather(receivers, parts->users, parts->user_count, IN_NEW);
		end = gather(end, parts->old_users, parts->old_user_count, IN_OLD);
	}
	return merge(receivers, (size_t)(end - receivers));
}

static struct span store(char **at, struct span text)
{
	struct span kept = {NULL, 0};

	if (!text.p)
		return kept;
	if (text.len)
		memcpy(*at, text.p, text.len);
	kept = (struct span){*at, text.len};
	*at += text.len;
	return kept;
}

static size_t users_len(const struct span *users, size_t count)
{
	size_t len = 0;

	for (size_t i = 0; i < count; i++)
		len += users[i].len;
	return len;
}

static size_t texts_len(const struct event_parts *p)
{
	return p->topic.len + p->type.len + p->data.len + p->old.len + p->old_key.len +
	       p->source.len + p->source_type.len + p->transaction_id.len + p->actor.len +
	       p->ref.len + users_len(p->users, p->user_count) +
	       (p->rerouted ? users_len(p->old_users, p->old_user_count) : 0);
}

static void store_texts(struct event *event, const struct event_parts *parts, char *at)
{
	event->topic = store(&at, parts->topic);
	event->type = store(&at, parts->type);
	event->data = store(&at, parts->data);
	event->old = store(&at, parts->old);
	event->old_key = store(&at, parts->old_key);
	event->source = store(&at, parts->source);
	event->source_type = store(&at, parts->source_type);
	event->transaction_id = store(&at, parts->transaction_id);
	event->actor = store(&at, parts->actor);
	event->ref = store(&at, parts->ref);
	for (size_t i = 0; i < event->receiver_count; i++) {
		struct receiver *receiver = &event->receivers[i];

		receiver->id =
			store(&at, (struct span){receiver->id ? receiver->id : "", receiver->len})
				.p;
	}
}

struct event *event_create(const struct event_parts *parts)
{
	size_t most = parts->user_count + (parts->rerouted ? parts->old_user_count : 0);
	size_t size = sizeof(struct event) + most * sizeof(struct receiver) + texts_len(parts);
	struct event *event = mem_alloc(size);
	size_t journal_len = parts->journal.len < JOURNAL_LEN ? parts->journal.len : JOURNAL_LEN;

	*event = (struct event){.id = parts->id,
		.key = parts->key,
		.timestamp = parts->timestamp,
		.version = parts->version,
		.incomplete = parts->incomplete,
		.broadcast = parts->broadcast,
		.receivers = (struct receiver *)(event + 1),
		.size = size};
	atomic_init(&event->refs, 1);
	if (journal_len)
		memcpy(event->journal, parts->journal.p, journal_len);
	event->receiver_count = (uint32_t)merge_audiences(event->receivers, parts);
	store_texts(event, parts, (char *)(event->receivers + most));
	return event;
}

struct event *event_ref(struct event *event)
{
	atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
	return event;
}

void event_unref(struct event *event)
{
	if (!event || atomic_fetch_sub_explicit(&event->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (int encoding = 0; encoding < ENCODING_COUNT; encoding++)
		for (int class = 0; class < CLASS_COUNT; class ++)
			free(atomic_load_explicit(
				&event->frames[encoding][class], memory_order_relaxed));
	free(event);
}

bool event_visible(
	const struct event *event, uint64_t hash, struct span user, enum event_class *class)
{
	struct receiver wanted = {.hash = hash, .id = user.p, .len = (uint32_t)user.len};
	const struct receiver *found;

	if (event->broadcast) {
		*class = CLASS_BOTH;
		return true;
	}
	found = bsearch(&wanted, event->receivers, event->receiver_count, sizeof(wanted),
		compare_receivers);
	if (!found)
		return false;
	*class = found->class;
	return true;
}

struct span event_type_shown(const struct event *event, enum event_class class)
{
	return class == CLASS_LEFT ? span_of("delete") : event->type;
}
