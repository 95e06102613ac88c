/* A reference to an event, on its way to an answer. Nothing of it is touched by two threads at once: it goes from the session's home to
 * the poll's connection with the errand. */
#include "transport/socketio/share.h"

#include <stdlib.h>

#include "base/mem.h"

struct share *share_create(struct event *event, const struct frame *frame)
{
	struct share *share = mem_zero(1, sizeof(*share));

	share->event = event_ref(event);
	share->frame = frame;
	return share;
}

void share_free(struct share *share)
{
	if (!share)
		return;
	answers_remove(&share->answer);
	event_unref(share->event);
	free(share);
}
