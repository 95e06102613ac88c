/* Signals arrive on a descriptor that the main thread polls; no other thread ever sees one. */
#ifndef ESINK_SIGNALS_H
#define ESINK_SIGNALS_H

/* Before the first thread. Blocks what we wait for, ignores SIGPIPE. The descriptor, or -1. */
int signals_open(void);

/* SIGTERM, SIGINT or SIGHUP; 0 when wake_fd became readable instead. */
int signals_wait(int signal_fd, int wake_fd);

/* From now on SIGTERM or SIGINT ends the process at once, unless it came together with the first, and so does the clock after limit_ms, with exit_status. */
void signals_shutdown(int limit_ms, int exit_status);

#endif
