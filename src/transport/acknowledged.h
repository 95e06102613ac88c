/* How much of what was sent the peer has taken. */
#ifndef ESINK_ACKNOWLEDGED_H
#define ESINK_ACKNOWLEDGED_H

/* TCP bytes acknowledged on that socket so far; 0 when the system cannot tell. */
unsigned long acknowledged(int fd);

#endif
