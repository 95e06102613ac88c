/* The index from a user to the sessions of that user, and the list of operators. An entry exists as
 * long as somebody of that id is here. TEST sessions are in neither: nothing that is routed can
 * find them.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "hub/internal.h"

static struct user *user_entry(struct hub *hub, struct span id)
{
	uint64_t hash = hash_bytes(id.p, id.len);
	struct user *user = map_get(&hub->users, hash, id);

	if (user)
		return user;
	user = mem_alloc(sizeof(*user) + id.len + 1);
	memcpy(user->text, id.p, id.len);
	user->text[id.len] = 0;
	user->hash = hash;
	user->sessions = NULL;
	user->id = (struct span){user->text, id.len};
	map_put(&hub->users, hash, user->id, user);
	return user;
}

static struct session **list_of(struct session *session)
{
	return session->user ? &session->user->sessions : &session->hub->operators;
}

void user_join(struct session *session, struct span id)
{
	struct session **list;

	session->user = id.p ? user_entry(session->hub, id) : NULL;
	list = list_of(session);
	session->user_prev = NULL;
	session->user_next = *list;
	if (*list)
		(*list)->user_prev = session;
	*list = session;
}

void user_leave(struct session *session)
{
	struct hub *hub = session->hub;
	struct user *user = session->user;

	if (!user && !session->user_prev && hub->operators != session)
		return;
	if (session->user_prev)
		session->user_prev->user_next = session->user_next;
	else
		*list_of(session) = session->user_next;
	if (session->user_next)
		session->user_next->user_prev = session->user_prev;
	session->user_next = session->user_prev = NULL;
	session->user = NULL;
	if (user && !user->sessions) {
		map_remove(&hub->users, user->hash, user->id);
		free(user);
	}
}
