/* What a client asks for when it opens a session by URL, for both transports that do. */
#ifndef ESINK_BEGIN_H
#define ESINK_BEGIN_H

#include "esink/session.h"
#include "transport/request.h"

struct conn;

struct opening {
	struct session_request request;
	struct query query;
	char address[46];
};

/* While the request's headers are there. The operator's token is not taken from a query: it becomes an empty one, which
 * nobody has. */
/* The peer's, as text; "" when it has gone. */
void peer_address(const struct conn *conn, char address[46]);

void opening_read(struct opening *opening, struct conn *conn);
void opening_finish(struct opening *opening);

#endif
