/* The list of all sessions, and walks over it that survive any session's end: closing one may,
 * within the transport's callback, disconnect it or another. Every walk under way is registered,
 * and unlinking moves it on.
 */
#include "hub/internal.h"

void walk_begin(struct hub *hub, struct walk *walk)
{
	*walk = (struct walk){hub->sessions, hub->walks};
	hub->walks = walk;
}

struct session *walk_next(struct walk *walk)
{
	struct session *session = walk->at;

	if (session)
		walk->at = session->next;
	return session;
}

void walk_end(struct hub *hub, struct walk *walk)
{
	hub->walks = walk->below;
}

void sessions_link(struct session *session)
{
	struct hub *hub = session->hub;

	session->prev = NULL;
	session->next = hub->sessions;
	if (session->next)
		session->next->prev = session;
	hub->sessions = session;
	hub->count++;
}

/* Only a session that ends, moves away or falls behind between the routing of an event and the flush
 * is on the dirty list: rare, so it is searched. */
void leave_dirty(struct session *session)
{
	struct session **at = &session->hub->dirty;

	if (!session->dirty)
		return;
	while (*at != session)
		at = &(*at)->dirty_next;
	*at = session->dirty_next;
	session->dirty = 0;
}

void sessions_unlink(struct session *session)
{
	struct hub *hub = session->hub;

	for (struct walk *walk = hub->walks; walk; walk = walk->below)
		if (walk->at == session)
			walk->at = session->next;
	leave_dirty(session);
	if (session->prev)
		session->prev->next = session->next;
	else
		hub->sessions = session->next;
	if (session->next)
		session->next->prev = session->prev;
	hub->count--;
}
