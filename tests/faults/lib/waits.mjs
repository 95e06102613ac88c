// Who waits for whom in a PostgreSQL: a look every 50 ms at the application's sessions that wait for a lock which one of the
// relay's holds. How long a write takes in all is the machine's mood, and other writers'; this is not.
const query = `SELECT extract(epoch FROM clock_timestamp() - a.state_change) * 1000 AS ms, b.query AS held, b.state,
  (SELECT string_agg(l.mode || ' ' || coalesce(l.relation::regclass::text, l.locktype), ', ') FROM pg_locks l WHERE l.pid = b.pid AND l.granted) AS locks
  FROM pg_stat_activity a, pg_stat_activity b WHERE a.datname = current_database() AND a.wait_event_type = 'Lock' AND a.application_name <> 'esink'
  AND b.application_name = 'esink' AND b.pid = ANY (pg_blocking_pids(a.pid))`;

export class Waits {
  constructor(t, db) {
    this.longest = 0; // ms
    this.said = 'nothing';
    let session;
    const look = async () => {
      try {
        if (session?.gone) session = undefined;
        session ??= await db.connect();
        const { rows } = await session.query(query);
        for (const row of rows) this.#note(row);
      } catch {
        // the server is away
      }
      if (!this.over) this.timer = setTimeout(look, 50);
    };
    t.defer(() => {
      this.over = true;
      clearTimeout(this.timer);
    });
    look();
  }

  #note({ ms, held, state, locks }) {
    if (Number(ms) <= this.longest) return;
    this.longest = Math.round(ms);
    this.said = `«${held.slice(0, 200)}» (${state}; ${locks})`;
  }
}
