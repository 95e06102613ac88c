/* The heartbeat is the server's: a ping pingInterval after the last pong, and pingTimeout for the answer. On a websocket the
 * wait begins anew as long as what stands before the ping is still being taken.
 */
#include "transport/socketio/heartbeat.h"

#include "base/clock.h"
#include "transport/socketio/host.h"

/* The peer's time begins when the ping was due, however late this thread comes to send it. */
void engine_ping(struct engineio *engine)
{
	int64_t due = engine->beat.due;

	engine->ping_seen = engine_progress(engine);
	engine->ping_at = engine->ping_seen + engine_in_flight(engine);
	engine_timer_set(&engine_host_of(engine)->pongs, &engine->beat);
	engine->beat.due = due + engine_host_of(engine)->pongs.after_ms;
	engine_send_packet(engine, ENGINEIO_PING, false, (struct span){"", 0});
}

void engine_no_pong(struct engineio *engine)
{
	unsigned long taken = engine_progress(engine), before = engine->ping_seen;

	engine->ping_seen = taken;
	if (engine->conn && (before < engine->ping_at || engine->out.len) && taken != before)
		engine_timer_set(&engine_host_of(engine)->pongs, &engine->beat);
	else
		engine_close(engine, CLOSE_GONE_QUIET);
}

bool engine_overdue(struct engineio *engine)
{
	if (engine->beat.list != &engine_host_of(engine)->pongs || clock_ms() < engine->beat.due)
		return false;
	engine_timer_stop(&engine->beat);
	engine_no_pong(engine);
	return engine->over;
}
