// The application of the fault tests: sessions that write to a small shop without pause, and `ops`, where every change is noted
// by its writer in the change's own transaction. What stands in `ops` in the end was committed, whatever happened to whom, and says
// what each user should have received: oracle.mjs compares.
//
// `cells` move between users, are deleted and made anew; `news` is for everybody; `quiet` is for nobody. A cell's versions go
// up by one, under the row's lock: their order is the order of the commits.
import { setTimeout as pause } from 'node:timers/promises';
import { generator } from '../../e2e/lib/ledger.mjs';
import { series } from '../../e2e/source/suite.mjs';

export const secret = 'withheld-value-0815';
export const cells = 60;

export const schema = `CREATE TABLE cells (id int PRIMARY KEY, version int, op int, owner int, was int, body text, secret text);
  CREATE TABLE news (id int PRIMARY KEY); CREATE TABLE quiet (id int PRIMARY KEY);
  CREATE TABLE ops (op int PRIMARY KEY, kind varchar(8), cell int, version int, owner int, was int);
  INSERT INTO cells (id, version, op, owner, secret) ${series(1, cells, `i, 0, 0, 0, '${secret}'`)};`;

export const rules = { tables: 'cells,news,quiet', routing: { cells: 'owner', news: '*' }, filters: 'cells.secret' };

// Failures that are nobody's fault: two writers met.
const met = /deadlock|could not serialize|Record has changed since last read/i;

export class Application {
  // users: cells belong to 0 .. users, where 0 is nobody. held: ms that a long transaction stays open at most. pace: ms between two
  // transactions of a session, on average. forgiving: the database is being hurt, so writes may fail.
  constructor(database, db, { users, writers = 3, seed = 1, held = 300, pace = 4, forgiving = false }) {
    Object.assign(this, { database, db, users, writers, seed, held, pace, forgiving });
    this.sessions = new Set();
    this.committed = 0; // transactions, as far as anybody was told
    this.failures = new Map(); // how often, by what was said
    this.slowest = 0; // ms of a transaction that was not held open on purpose
    this.stopped = false;
  }

  start() {
    this.loops = Array.from({ length: this.writers }, (_, w) => this.#loop(w + 1, generator(this.seed * 100 + w)));
    return this;
  }

  async stop() {
    this.stopped = true;
    await Promise.all(this.loops);
    if (!this.forgiving && this.failures.size) throw new Error(`writes failed: ${JSON.stringify([...this.failures])}`);
  }

  // SQL of a random change, whose numbers begin at op. Only what was changed is noted: on PostgreSQL a row that another session deleted
  // and made anew is not there for an update that waited for it, and is there for the next statement.
  #change(random, op, cell) {
    const owner = Math.floor(random() * (this.users + 1));
    const update = `UPDATE cells SET was = owner, owner = ${owner}, version = version + 1, op = ${op}, body = '${'x'.repeat(random() * 200)}' WHERE id = ${cell};
      INSERT INTO ops SELECT ${op}, 'update', id, version, owner, was FROM cells WHERE id = ${cell} AND op = ${op};`;
    const kind = random();
    if (kind < 0.1) return `INSERT INTO news VALUES (${op}); INSERT INTO ops VALUES (${op}, 'news', ${op}, 0, 0, 0);`;
    if (kind < 0.15) return `INSERT INTO quiet VALUES (${op}); INSERT INTO ops VALUES (${op}, 'quiet', ${op}, 0, 0, 0);`;
    if (kind > 0.1 + 0.8) { // deleted and made anew
      return `${update} INSERT INTO ops SELECT ${op + 1}, 'delete', id, version + 1, NULL, owner FROM cells WHERE id = ${cell} AND op = ${op};
        DELETE FROM cells WHERE id = ${cell} AND op = ${op};
        INSERT INTO cells (id, version, op, owner, secret) SELECT cell, version + 1, ${op + 2}, ${owner}, '${secret}' FROM ops WHERE op = ${op + 1};
        INSERT INTO ops SELECT ${op + 2}, 'insert', id, version, owner, NULL FROM cells WHERE id = ${cell} AND op = ${op + 2};`;
    }
    return update;
  }

  // All of the cells, or a part of them, at one go.
  #sweep(random, op) {
    const from = 1 + Math.floor(random() * cells), to = from + Math.floor(random() * cells);
    const range = `id BETWEEN ${from} AND ${to}`;
    // Locked in their order first: PostgreSQL would find out about two writers in each other's way by its clock, which may stand still.
    const lock = this.database.name === 'sqlite' ? '' : `SELECT id FROM cells WHERE ${range} ORDER BY id FOR UPDATE;`;
    return `${lock} UPDATE cells SET was = owner, owner = (id + ${op}) % ${this.users + 1}, version = version + 1, op = ${op} + id WHERE ${range};
      INSERT INTO ops SELECT op, 'update', id, version, owner, was FROM cells WHERE ${range} AND op = ${op} + id;`;
  }

  async #transaction(session, random, next) {
    let sql = `${this.database.begin};`;
    if (random() < 0.03) {
      sql += this.#sweep(random, next(cells + 1));
    } else {
      // In ascending order, so that writers wait for each other and do not deadlock.
      const chosen = Array.from({ length: 1 + Math.floor(random() * 3) }, () => 1 + Math.floor(random() * cells)).sort((a, b) => a - b);
      for (const cell of chosen) sql += this.#change(random, next(3), cell);
    }
    const end = random() < 0.2 ? 'ROLLBACK' : 'COMMIT';
    const begun = performance.now();
    if (random() < 0.03) {
      await session.query(sql);
      await pause(random() * this.held);
      await session.query(end);
    } else {
      await session.query(sql + end);
      this.slowest = Math.max(this.slowest, performance.now() - begun);
    }
    if (end === 'COMMIT') this.committed++;
  }

  async #loop(w, random) {
    let session, op = w * 20_000_000;
    const next = (count) => (op += count) - count;
    while (!this.stopped) {
      try {
        if (!session) {
          this.sessions.add(session = await this.db.connect());
          await session.query('SELECT 1'); // of SQLite it is a process, which takes its time to start
        }
        await this.#transaction(session, random, next);
        await pause(random() * 2 * this.pace);
      } catch (error) {
        if (!met.test(error.message)) {
          const what = `${error.code ?? ''} ${error.message.slice(0, 120)}`;
          this.failures.set(what, (this.failures.get(what) ?? 0) + 1);
        }
        this.sessions.delete(session);
        Promise.resolve(session?.destroy ? session.destroy() : session?.end()).catch(() => {}); // not waited for: the network may be gone
        session = undefined;
        await pause(50);
      }
    }
    await Promise.resolve(session?.end()).catch(() => {});
  }
}
