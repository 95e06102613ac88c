/* POST /publish: from a body to a row in the journal, and back to the answer. */
#ifndef ESINK_PUBLISH_H
#define ESINK_PUBLISH_H

#include <stdbool.h>

struct conn;
struct publish_call;

bool publish_enabled(const struct conn *conn); /* a SECURITY_TOKEN is configured */

/* The body has come. Answers now or when the event is in the journal, by exchange_answer_later(). */
void publish_begin(struct conn *conn);

/* The requester has gone: the event is published all the same, nobody is told. NULL is fine. */
void publish_detach(struct publish_call *call);

#endif
