/* One file per byte format, chosen by encoding in wire.c; private to src/wire. */
#ifndef ESINK_WIRE_FORMATS_H
#define ESINK_WIRE_FORMATS_H

#include "wire/wire.h"

/* The `changes` message of event as that class sees it, appended ready to send. */
bool json_changes(struct buf *buf, const struct event *event, enum event_class class);
bool sse_changes(struct buf *buf, const struct event *event, enum event_class class);

bool json_message(struct buf *buf, const char *name, struct span json);
bool sse_message(struct buf *buf, const char *name, struct span json, struct span id);

#endif
