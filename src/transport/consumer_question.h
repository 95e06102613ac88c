/* From a request of a consumer to a job for the lane. */
#ifndef ESINK_TRANSPORT_CONSUMER_QUESTION_H
#define ESINK_TRANSPORT_CONSUMER_QUESTION_H

#include <stdbool.h>
#include <stdint.h>

#include "esink/consumer.h"
#include "esink/span.h"
#include "esink/status.h"

struct head;
struct hub_config;

struct question {
	struct consumer_job *job; /* NULL once it was taken */
	int64_t wait_ms;
	/* When it is refused. */
	int code;
	const char *type, *key; /* NULL: none */
};

/* False: refused, and err says why. body: "" is {}. The job is the caller's in any case. */
bool question_read(struct question *question, const struct head *head, struct span body, const struct hub_config *config,
	struct err *err);

#endif
