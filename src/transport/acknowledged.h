/* How much of what was sent the peer has taken, and how much more may be sent. */
#ifndef ESINK_ACKNOWLEDGED_H
#define ESINK_ACKNOWLEDGED_H

#include <stdbool.h>
#include <stddef.h>

/* TCP bytes acknowledged on that socket so far; 0 when the system cannot tell. closed: the peer has closed its side, or both. */
unsigned long acknowledged(int fd, bool *closed);
/* Bytes that the kernel holds because they are not acknowledged yet. */
unsigned long unacknowledged(int fd);
/* Bytes that may be sent before its send buffer is full, about; 0 when it is, or when the system cannot tell. */
size_t send_room(int fd);

#endif
