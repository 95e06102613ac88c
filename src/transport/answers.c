/* An answer stays whole in memory until its last byte was taken, so what many readers cost that do not read is bounded here, for
 * history, consumers and Socket.IO's polls for large events together: beyond ANSWERS_BYTES no other one is made. Then the oldest, if
 * its reader has had OLD_MS, is cut off to make room; whoever is cut off asks again, with nothing lost.
 *
 * A frame that is shared is counted with one of those that share it, and with another when that one goes: the next, as a rule, since
 * they came together. Who shares the newest one costs nothing more, and is let in however full it is.
 */
#include "transport/answers.h"

#include "base/clock.h"
#include "transport/exchange.h"

#define ANSWERS_BYTES ((size_t)64 << 20)
#define OLD_MS 5000

static void add(struct answers *answers, struct answer *answer, struct conn *conn, size_t bytes)
{
	answers_remove(answer);
	*answer = (struct answer){.in = answers, .prev = answers->last, .conn = conn, .bytes = bytes, .began = clock_ms()};
	*(answers->last ? &answers->last->next : &answers->first) = answer;
	answers->last = answer;
	atomic_fetch_add(&answers->bytes, bytes);
}

void answers_add(struct answers *answers, struct answer *answer, struct conn *conn)
{
	add(answers, answer, conn, conn->exchange->answer.len);
}

void answers_add_event(struct answers *answers, struct answer *answer, struct conn *conn, const struct event *event, size_t bytes)
{
	const struct answer *other = answers->last;

	while (other && other->event != event)
		other = other->prev;
	add(answers, answer, conn, other ? 0 : bytes);
	answer->event = event;
	atomic_store(&answers->newest, event);
}

/* Its bytes go with it, or to another one that shares them. */
static void discount(struct answers *answers, struct answer *answer)
{
	struct answer *heir = answer->next;

	if (!answer->bytes)
		return;
	if (!answer->event)
		heir = NULL;
	else if (!heir || heir->event != answer->event)
		heir = answers->first;
	while (heir && (heir == answer || heir->event != answer->event))
		heir = heir->next;
	if (heir)
		heir->bytes = answer->bytes;
	else
		atomic_fetch_sub(&answers->bytes, answer->bytes);
}

void answers_remove(struct answer *answer)
{
	struct answers *answers = answer->in;

	if (!answers)
		return;
	discount(answers, answer);
	*(answer->prev ? &answer->prev->next : &answers->first) = answer->next;
	*(answer->next ? &answer->next->prev : &answers->last) = answer->prev;
	answer->in = NULL;
}

bool answers_full(const struct answers *answers)
{
	return atomic_load(&answers->bytes) >= ANSWERS_BYTES;
}

void answers_press(struct answers *answers)
{
	const struct answer *oldest = answers->first;
	int64_t late = clock_ms() - OLD_MS;

	if (!answers_full(answers))
		return;
	for (const struct answer *one = oldest; one && one->began <= late; one = one->next)
		if (one == oldest || (one->event && one->event == oldest->event))
			conn_kill(one->conn);
}

bool answers_admit(struct answers *answers, const struct event *event)
{
	if (!answers_full(answers) || atomic_load(&answers->newest) == event)
		return true;
	atomic_store(&answers->wanted, true);
	return false;
}

void answers_tick(struct answers *answers)
{
	if (atomic_exchange(&answers->wanted, false))
		answers_press(answers);
}
