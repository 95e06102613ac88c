/* How much of what was sent the peer has taken. */
#ifndef ESINK_ACKNOWLEDGED_H
#define ESINK_ACKNOWLEDGED_H

#include <stdbool.h>

/* TCP bytes acknowledged on that socket so far; 0 when the system cannot tell. closed: the peer has closed its side, or both. */
unsigned long acknowledged(int fd, bool *closed);
/* Bytes that the kernel holds because they are not acknowledged yet. */
unsigned long unacknowledged(int fd);

#endif
