/* There and back. What happens at either end is in polling.c and upgrade.c. */
#include "transport/socketio/errand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "transport/conn.h"
#include "transport/socketio/long_poll.h"
#include "transport/socketio/polling.h"
#include "transport/socketio/registry.h"
#include "transport/socketio/share.h"
#include "transport/socketio/upgrade.h"
#include "transport/thread.h"

struct errand *errand_create(struct conn *conn, enum errand_kind kind, const char *sid)
{
	struct errand *errand = mem_zero(1, sizeof(*errand));

	errand->kind = kind;
	errand->from = conn->thread;
	errand->conn = conn;
	errand->body = buf_init(conn->thread->shared->config.engineio.max_payload);
	snprintf(errand->sid, sizeof(errand->sid), "%s", sid);
	return errand;
}

void errand_free(struct errand *errand)
{
	if (!errand)
		return;
	if (errand->body.bytes)
		memset(errand->body.bytes, 0, errand->body.len); /* it may hold a token */
	buf_finish(&errand->body);
	share_free(errand->share);
	free(errand);
}

static struct engineio_registry *registry_of(const struct errand *errand)
{
	return errand->from->shared->engines;
}

static void aborted(struct errand *errand, struct engineio *engine)
{
	if (engine && !engine->conn && !engine->over)
		engine_end(engine, errand->reason);
	errand_free(errand);
}

/* On the session's home thread, unless it has moved or gone meanwhile. */
static void at_home(struct task *task)
{
	struct errand *errand = (struct errand *)task;
	struct engineio *engine = registry_at_home(registry_of(errand), span_of(errand->sid), errand->to);

	thread_touch(errand->to);
	switch (errand->kind) {
	case ERRAND_POLL:
		polling_asked(errand, engine);
		break;
	case ERRAND_POST:
		polling_posted(errand, engine);
		break;
	case ERRAND_PROBE:
		if (engine && !engine->conn)
			engine_ask_to_upgrade(engine);
		errand_return(errand);
		break;
	case ERRAND_STAY:
		if (engine && !engine->conn)
			engine_stay(engine);
		errand_return(errand);
		break;
	case ERRAND_UPGRADE:
		upgrade_asked(errand, engine);
		break;
	case ERRAND_ABORT:
		aborted(errand, engine);
		break;
	}
}

bool errand_send(struct errand *errand)
{
	errand->to = registry_home(registry_of(errand), span_of(errand->sid));
	if (!errand->to)
		return false;
	errand->task.run = at_home;
	errand->sent = true;
	if (errand->to == errand->from)
		at_home(&errand->task);
	else
		inbox_post(hub_inbox(errand->to->hub), &errand->task);
	return true;
}

void errand_abort(struct thread *thread, const char *sid, enum close_reason reason)
{
	struct errand *news = mem_zero(1, sizeof(*news));

	news->kind = ERRAND_ABORT;
	news->from = thread;
	news->reason = reason;
	news->body = buf_init(0);
	memcpy(news->sid, sid, sizeof(news->sid));
	if (!errand_send(news))
		errand_free(news);
}

static void back(struct task *task)
{
	struct errand *errand = (struct errand *)task;

	thread_touch(errand->from);
	if (errand->kind == ERRAND_UPGRADE) {
		upgrade_arrived(errand);
		return;
	}
	if (errand->kind == ERRAND_POLL && !errand->conn && errand->status == 200)
		errand_abort(errand->from, errand->sid, CLOSE_CLIENT);
	if (errand->conn && (errand->kind == ERRAND_POLL || errand->kind == ERRAND_POST))
		polling_answered(errand); /* the exchange has it until the answer is sent */
	else
		errand_free(errand);
}

void errand_return(struct errand *errand)
{
	errand->task.run = back;
	if (errand->to == errand->from)
		back(&errand->task);
	else
		inbox_post(hub_inbox(errand->from->hub), &errand->task);
}

void errand_refuse(struct errand *errand, int code)
{
	errand->status = 400;
	errand->code = code;
	errand_return(errand);
}

void errand_later(struct errand *errand)
{
	inbox_post(hub_inbox(errand->from->hub), &errand->task);
}

/* A poll that waits at home is called off there: the session ends with the request, as its client's connection did. */
void errand_forget(struct errand *errand)
{
	if (!errand)
		return;
	errand->conn = NULL;
	if (errand->kind == ERRAND_POLL && errand->sent && (!errand->answered || errand->status == 200))
		errand_abort(errand->from, errand->sid, CLOSE_CLIENT);
	if (!errand->sent || errand->answered)
		errand_free(errand);
}
