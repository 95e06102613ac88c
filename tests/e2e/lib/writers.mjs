// An application that writes without pause from several sessions, each write timed by the server's own clock: what a write
// waits for is PostgreSQL's business, how busy the test's process is is not. A control session writes to a table of its own
// that nobody watches: how long that takes is the machine's mood, and is told apart.
const timed = `CREATE TABLE IF NOT EXISTS control (n int);
  CREATE OR REPLACE FUNCTION timed(sql text) RETURNS float8 LANGUAGE plpgsql AS $$
  DECLARE start timestamptz := clock_timestamp();
  BEGIN EXECUTE sql; RETURN extract(epoch FROM clock_timestamp() - start) * 1000; END $$`;

export class Writers {
  constructor() {
    this.writes = 0;
    this.failures = [];
    this.slowest = { ms: 0, sql: '' };
    this.control = 0;
    this.stopped = false;
  }

  // count sessions; sql(n, w): the n-th write of all, by session w.
  async start(t, db, count, sql, { user } = {}) {
    await db.query(timed);
    t.defer(() => { this.stopped = true; });
    this.loops = [];
    for (let w = 0; w < count; w++) this.loops.push(this.#loop(await db.connect(user), w, sql));
    this.loops.push(this.#controlLoop(await db.connect()));
    return this;
  }

  async #loop(session, w, sql) {
    while (!this.stopped) {
      const text = sql(++this.writes, w);
      try {
        const { rows } = await session.query('SELECT timed($1) AS ms', [text]);
        if (rows[0].ms > this.slowest.ms) this.slowest = { ms: rows[0].ms, sql: text };
      } catch (error) {
        if (this.stopped) return; // the test is over, and its server goes
        this.failures.push(`${text}: ${error.message}`);
        if (this.failures.length > 20) return;
      }
    }
  }

  async #controlLoop(session) {
    while (!this.stopped) {
      const { rows } = await session.query("SELECT timed('INSERT INTO control VALUES (1)') AS ms").catch(() => ({ rows: [{ ms: 0 }] }));
      if (session.gone) return;
      this.control = Math.max(this.control, rows[0].ms);
    }
  }

  // Ends the loops and tells what went wrong, if anything did.
  async stop() {
    this.stopped = true;
    await Promise.all(this.loops);
    return this.failures;
  }
}
