/* The fake source. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

struct event *fake_event(uint64_t id, const char *ref)
{
	struct event_parts parts = {.id = id,
		.key = id,
		.version = 1,
		.journal = span_of(FAKE_JOURNAL),
		.topic = span_of("t"),
		.type = span_of("insert"),
		.data = span_of("{}"),
		.source = span_of("fake"),
		.source_type = span_of("database"),
		.broadcast = true,
		.ref = span_of(ref)};

	return event_create(&parts);
}

static const char *journal_of(const struct fake *fake)
{
	return fake->journal ? fake->journal : FAKE_JOURNAL;
}

/* Under the lock. */
static struct event *event_at(const struct fake *fake, uint64_t id)
{
	size_t slot = id % FAKE_REFS;

	return fake_event(id, fake->published[slot].id == id ? fake->published[slot].ref : NULL);
}

static enum status open_fake(void *opaque, struct source_position *head, struct err *err)
{
	struct fake *fake = opaque;
	enum status status = STATUS_OK;

	pthread_mutex_lock(&fake->lock);
	atomic_fetch_add(&fake->opens, 1);
	if (fake->open_status != STATUS_OK)
		status = err_set(err, fake->open_status, "the fake does not open");
	else if (fake->fail_opens > 0 && fake->fail_opens--)
		status = err_set(err, STATUS_UNAVAILABLE, "the fake is away");
	if (status == STATUS_OK) {
		snprintf(head->journal, sizeof(head->journal), "%s", journal_of(fake));
		head->id = fake->position;
		head->holes = fake->holes;
	}
	pthread_mutex_unlock(&fake->lock);
	return status;
}

static enum status fetch_fake(
	void *opaque, int timeout_ms, struct event_batch *batch, struct err *err)
{
	struct fake *fake = opaque;
	enum status status;

	pthread_mutex_lock(&fake->lock);
	status = fake->fetch_status;
	batch->holes = fake->holes;
	fake->fetch_status = STATUS_OK;
	while (status == STATUS_OK && fake->position < fake->head && batch->count < 100)
		event_batch_add(batch, event_at(fake, ++fake->position));
	pthread_mutex_unlock(&fake->lock);
	if (status != STATUS_OK)
		return err_set(err, status, "the fake failed");
	if (batch->count == 0)
		nanosleep(&(struct timespec){0, timeout_ms > 1 ? 1000000 : 0}, NULL);
	return STATUS_OK;
}

static void close_fake(void *opaque)
{
	atomic_fetch_add(&((struct fake *)opaque)->closes, 1);
}

static void *lane_fake(void *source)
{
	return source;
}

static void lane_destroy_fake(void *lane)
{
	(void)lane;
}

static void hang(const struct fake *fake)
{
	if (fake->pass)
		fake->pass(fake->hang_ms);
	else
		nanosleep(&(struct timespec){fake->hang_ms / 1000, fake->hang_ms % 1000 * 1000000L}, NULL);
}

static enum status lookup_fake(
	void *lane, struct span token, struct source_user *user, struct err *err)
{
	struct fake *fake = lane;

	enum status status;

	hang(fake);
	pthread_mutex_lock(&fake->lock);
	status = fake->lookup_status;
	pthread_mutex_unlock(&fake->lock);
	atomic_fetch_add(&fake->lookups, 1);
	if (status != STATUS_OK)
		return err_set(err, status, "the fake does not look");
	if (!span_is(token, "good"))
		return err_set(err, STATUS_UNAUTHORIZED, "no such token");
	user->id = mem_text("7");
	user->numeric = true;
	return STATUS_OK;
}

static enum status publish_fake(
	void *lane, struct publication *const *items, size_t count, int timeout_ms, struct err *err)
{
	struct fake *fake = lane;

	(void)timeout_ms;
	hang(fake);
	atomic_fetch_add(&fake->publishes, 1);
	if (count > fake->largest_group)
		fake->largest_group = count;
	for (size_t i = 0; i < count; i++)
		if (span_is(span_of(items[i]->topic), "poison"))
			return err_set(err, STATUS_INVALID, "the fake refuses poison");
	if (fake->publish_status != STATUS_OK)
		return err_set(err, fake->publish_status, "the fake does not write");
	pthread_mutex_lock(&fake->lock);
	for (size_t i = 0; i < count; i++) {
		uint64_t id = ++fake->head;

		fake->published[id % FAKE_REFS].id = id;
		memcpy(fake->published[id % FAKE_REFS].ref, items[i]->ref, sizeof(items[i]->ref));
	}
	pthread_mutex_unlock(&fake->lock);
	return STATUS_OK;
}

static enum status read_fake(void *lane, struct span journal, uint64_t after, uint64_t key,
	size_t max, struct event_batch *batch, struct err *err)
{
	struct fake *fake = lane;
	enum status status = STATUS_OK;

	(void)key;
	atomic_fetch_add(&fake->reads, 1);
	hang(fake);
	pthread_mutex_lock(&fake->lock);
	if (fake->forget)
		fake->floor = fake->forget(after);
	if (fake->read_status != STATUS_OK)
		status = err_set(err, fake->read_status, "%s", fake->read_status == STATUS_STOPPED ? "stopped" : "the fake does not read");
	else if (!span_is(journal, journal_of(fake)) || after < fake->floor)
		status = err_set(err, STATUS_GONE, "the fake has no event after %llu",
			(unsigned long long)after);
	for (uint64_t id = after + 1; status == STATUS_OK && id <= fake->head && id <= after + max; id++)
		event_batch_add(batch, fake->make ? fake->make(id) : event_at(fake, id));
	pthread_mutex_unlock(&fake->lock);
	return status;
}

static enum status range_fake(void *lane, int64_t since, struct source_range *range, struct err *err)
{
	struct fake *fake = lane;
	enum status status;

	pthread_mutex_lock(&fake->lock);
	status = fake->read_status;
	fake->since = since;
	if (status == STATUS_OK) {
		snprintf(range->journal, sizeof(range->journal), "%s", journal_of(fake));
		range->floor = fake->floor;
		range->head = fake->head > fake->floor ? fake->head : fake->floor;
		range->start = since == INT64_MIN || fake->start < fake->floor ? fake->floor : fake->start;
	}
	pthread_mutex_unlock(&fake->lock);
	return status == STATUS_OK ? status : err_set(err, status, "%s", status == STATUS_STOPPED ? "stopped" : "the fake does not read");
}

/* There are none. */
static enum status consumers_fake(void *lane, const char *name, struct consumer_list *list, struct err *err)
{
	struct fake *fake = lane;
	enum status status;

	(void)name;
	(void)list;
	pthread_mutex_lock(&fake->lock);
	status = fake->read_status;
	pthread_mutex_unlock(&fake->lock);
	return status == STATUS_OK ? status : err_set(err, status, "%s", status == STATUS_STOPPED ? "stopped" : "the fake does not read");
}

const struct source_ops fake_source = {.name = "fake",
	.open = open_fake,
	.fetch = fetch_fake,
	.close = close_fake,
	.lane_create = lane_fake,
	.lane_destroy = lane_destroy_fake,
	.lookup = lookup_fake,
	.publish = publish_fake,
	.read = read_fake,
	.range = range_fake,
	.consumers = consumers_fake};
