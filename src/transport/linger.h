/* Sockets whose connection has ended with an answer while the client was still sending. */
#ifndef ESINK_LINGER_H
#define ESINK_LINGER_H

struct conn;
struct thread;

/* This connection, whose last answer was sent, is about to be closed: keeps its socket until the client has read and closed. */
void linger_begin(struct conn *conn);
void linger_tick(struct thread *thread); /* closes those whose time is over */
void linger_end(struct thread *thread);  /* closes all of them */

#endif
