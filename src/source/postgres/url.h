/* POSTGRES_DATABASE_URL, read without connecting. */
#ifndef ESINK_PG_URL_H
#define ESINK_PG_URL_H

#include "esink/source.h"

/* STATUS_INVALID: libpq cannot take it; the sentence shows nothing of it. */
enum status postgres_url_check(const struct source_config *config, struct err *err) MUST_CHECK;

struct pg_host {
	char name[256], address[64], port[16]; /* values for libpq; "": not given */
};

/* The nth of the hosts that url lists. False: it has no nth. */
bool postgres_url_host(const char *url, int n, struct pg_host *host);

#endif
