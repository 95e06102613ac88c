/* POSTGRES_DATABASE_URL, read without connecting. */
#ifndef ESINK_PG_URL_H
#define ESINK_PG_URL_H

#include "esink/source.h"

/* STATUS_INVALID: libpq cannot take it; the sentence shows nothing of it. */
enum status postgres_url_check(const struct source_config *config, struct err *err) MUST_CHECK;

#endif
