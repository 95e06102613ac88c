/* Whether the schema esink is ours to use. */
#ifndef ESINK_PG_OWNER_H
#define ESINK_PG_OWNER_H

#include "source/postgres/connection.h"

/* *there: the schema exists. STATUS_DENIED, STATUS_INVALID: it does, and code of others could run as us. */
enum status owner_check(struct pg *pg, bool *there, struct err *err) MUST_CHECK;
/* *marked: an esink made it, whoever it belongs to. */
enum status owner_marked(struct pg *pg, bool *there, bool *marked, struct err *err) MUST_CHECK;

#endif
