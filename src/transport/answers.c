/* An answer is some megabytes at most, and stays whole in memory until its last byte was taken, so what many readers cost that do
 * not read is bounded here, for history and consumers together: beyond ANSWERS_BYTES no other one is made. Then the oldest, if its
 * reader has had OLD_MS, is cut off to make room; whoever is cut off asks again, with nothing lost.
 */
#include "transport/answers.h"

#include "base/clock.h"
#include "transport/http.h"

#define ANSWERS_BYTES ((size_t)64 << 20)
#define OLD_MS 5000

void answers_add(struct answers *answers, struct answer *answer, struct conn *conn)
{
	answers_remove(answer);
	*answer = (struct answer){.in = answers, .prev = answers->last, .conn = conn, .bytes = conn->exchange->answer.len,
		.began = clock_ms()};
	*(answers->last ? &answers->last->next : &answers->first) = answer;
	answers->last = answer;
	answers->bytes += answer->bytes;
}

void answers_remove(struct answer *answer)
{
	struct answers *answers = answer->in;

	if (!answers)
		return;
	*(answer->prev ? &answer->prev->next : &answers->first) = answer->next;
	*(answer->next ? &answer->next->prev : &answers->last) = answer->prev;
	answers->bytes -= answer->bytes;
	answer->in = NULL;
}

bool answers_full(const struct answers *answers)
{
	return answers->bytes >= ANSWERS_BYTES;
}

void answers_press(struct answers *answers)
{
	if (answers_full(answers) && answers->first->began + OLD_MS <= clock_ms())
		conn_kill(answers->first->conn);
}
