/* Whether this relay delivers now, and if not, why: the answer of GET /ready. Written by the source thread and the main
 * thread, read by network threads. */
#ifndef ESINK_READINESS_H
#define ESINK_READINESS_H

#include <pthread.h>
#include <stdbool.h>

#include "esink/source.h"

struct readiness {
	pthread_mutex_t lock;
	bool live, stopping;
	struct err reason;            /* why it is not live */
	const struct source_ops *ops; /* asked for a complaint while it is live; NULL: none */
	void *source;
	void (*complaint)(void *context, struct err *err); /* asked after it; NULL: none */
	void *context;
};

void readiness_init(struct readiness *readiness);
void readiness_finish(struct readiness *readiness);
void readiness_watch(struct readiness *readiness, const struct source_ops *ops, void *source); /* before any thread */
void readiness_watch_also(struct readiness *readiness, void (*complaint)(void *context, struct err *err), void *context);
void readiness_live(struct readiness *readiness);
void readiness_away(struct readiness *readiness, const char *reason);
void readiness_stopping(struct readiness *readiness); /* for good */
/* For struct server_config: context is the readiness. reason is set when false is returned. */
bool readiness_ask(void *context, struct err *reason);

#endif
