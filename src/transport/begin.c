/* A token in an address ends up in histories and in the logs of proxies: good enough for a user's, not for the operator's. */
#include "transport/begin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "auth/auth.h"
#include "hub/hub.h"
#include "transport/conn.h"

/* An IPv4 client of a socket that speaks both is known by its IPv4 address. */
void peer_address(const struct conn *conn, char address[46])
{
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof(from);
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&from;

	address[0] = 0;
	if (getpeername(conn->fd, (struct sockaddr *)&from, &len) < 0)
		return;
	if (from.ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)&from)->sin_addr, address, 46);
	else if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], address, 46);
	else
		inet_ntop(AF_INET6, &six->sin6_addr, address, 46);
}

void opening_read(struct opening *opening, struct conn *conn)
{
	struct query *query = &opening->query;

	memset(opening, 0, sizeof(*opening));
	query_read(query, conn->wsi);
	peer_address(conn, opening->address);
	if (query->token_in_query && auth_is_operator(hub_config(conn_hub(conn))->auth, span_of(query->token)))
		query->token[0] = 0;
	opening->request = (struct session_request){
		.token = span_of(query->token),
		.after = span_of(query->after),
		.topics = query->topics,
		.types = query->types,
		.topic_count = query->topic_count,
		.type_count = query->type_count,
		.address = opening->address,
	};
}

void opening_finish(struct opening *opening)
{
	query_finish(&opening->query);
}
