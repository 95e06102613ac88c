/* What consumers ask over HTTP: /consumers and below, and GET /events/ID/watch. */
#ifndef ESINK_TRANSPORT_CONSUMERS_H
#define ESINK_TRANSPORT_CONSUMERS_H

#include <stdbool.h>

struct conn;
struct consumer_call;
struct head;

bool consumers_asked(const struct head *head);      /* such a route, by a method that it has */
bool consumers_take_body(const struct head *head);  /* one that may have a body */

/* The body has come, where there is one. Answers by exchange_reply_later(). */
void consumers_begin(struct conn *conn);
/* The exchange ends: it was answered, or the requester has gone. NULL is fine. */
void consumers_detach(struct consumer_call *call);

#endif
