// Writers whose every committed change is written down, and the proof that each was seen once and in order.
//
// Each writer changes rows of a small shared table. Every change raises the row's version and is written down in `ops`, in
// the same transaction: what is in `ops` in the end was committed, and is what must have been seen.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { until } from './wait.mjs';

// mulberry32: the same seed gives the same plan (not the same interleaving).
export function generator(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

export const schema = `CREATE TABLE cells (id int PRIMARY KEY, version int NOT NULL, op bigint NOT NULL, body text);
  CREATE TABLE ops (op bigint PRIMARY KEY, cell int, kind text, version int);
  CREATE SEQUENCE op_ids;
  INSERT INTO cells SELECT n, 0, 0, '' FROM generate_series(1, 60) n;
  CREATE FUNCTION change(cell int, what text) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE v_op bigint := nextval('op_ids'); v_version int;
  BEGIN
    IF what = 'update' THEN
      UPDATE cells SET version = version + 1, op = v_op, body = repeat('x', (v_op % 300)::int) WHERE id = cell RETURNING version INTO v_version;
    ELSE
      INSERT INTO cells VALUES (cell, 0, v_op, NULL) RETURNING version INTO v_version;
    END IF;
    INSERT INTO ops VALUES (v_op, cell, what, v_version);
  END $$;`;

async function transaction(client, random, nextCell) {
  await client.query('BEGIN');
  // Cells in ascending order, so that writers wait for each other and do not deadlock.
  const cells = Array.from({ length: 1 + Math.floor(random() * 4) }, () => 1 + Math.floor(random() * 60)).sort((a, b) => a - b);
  for (const cell of cells) {
    const inSavepoint = random() < 0.25;
    if (inSavepoint) await client.query('SAVEPOINT s');
    await client.query("SELECT change($1, 'update')", [cell]);
    if (random() < 0.3) await client.query("SELECT change($1, 'insert')", [nextCell()]);
    if (inSavepoint) await client.query(random() < 0.5 ? 'ROLLBACK TO SAVEPOINT s' : 'RELEASE SAVEPOINT s');
  }
  // Most are short; some stay open for up to three seconds.
  const long = random();
  await pause(long < 0.04 ? random() * 3000 : long < 0.3 ? random() * 30 : 0);
  await client.query(random() < 0.25 ? 'ROLLBACK' : 'COMMIT');
}

// Transactions until stopped() says so, over every loss of the connection. What became of a COMMIT whose answer was lost is
// for `ops` to say.
export async function write(db, random, nextCell, stopped) {
  let client;
  while (!stopped()) {
    try {
      client ??= await db.connect();
      await transaction(client, random, nextCell);
    } catch (error) {
      // 40: deadlocks and the like; everything else but the server's own end would be our writers' fault.
      assert.ok(client === undefined || client.gone || /^(40|57|08|53)|^E[A-Z]+$/.test(error.code ?? '08'), error);
      client?.end().catch(() => {});
      client = undefined;
      await pause(50);
    }
  }
}

// The operator's view over all the relay's lives: after each death it resumes from its last position.
export class Follower {
  constructor(relay) {
    this.relay = relay;
    this.events = [];
    this.sessions = 0;
  }

  async connect() {
    // What the dead relay had sent is read to its end first.
    if (this.client) await until(() => !this.client.open, 'the end of the session before');
    this.take();
    const first = this.client === undefined;
    this.client = await this.relay.operator(first ? {} : { after: this.position });
    if (!first) assert.equal(this.client.welcome.recovered, true, `not recovered from ${this.position}: ${this.client.state()}`);
    this.journal ??= this.client.welcome.journal;
    assert.equal(this.client.welcome.journal, this.journal, 'the journal stays the same');
    if (first) this.position = `${this.journal}:${this.client.welcome.id}`;
    this.sessions++;
  }

  // What the present session received goes to the whole.
  take() {
    if (!this.client) return;
    const taken = this.client.named('changes');
    this.events.push(...taken);
    if (taken.length > 0) this.position = `${this.journal}:${taken.at(-1).id}`;
    this.client.messages.length = 0;
  }
}

// Once all is still: what was committed is what was seen, and what is in the journal. Tells how many changes.
export async function verify(db, relay, follower) {
  const n = await db.fence();
  await until(() => {
    follower.take();
    return follower.events.some((event) => event.table === 'fence' && event.data.n === n);
  }, () => `the last event; ${follower.client.state()}`, 30_000);
  const seen = follower.events.filter((event) => event.table === 'cells');
  const committed = (await db.query('SELECT op, cell, kind, version FROM ops ORDER BY op')).rows;
  const counts = new Map();
  for (const { data } of seen) counts.set(String(data.op), (counts.get(String(data.op)) ?? 0) + 1);
  const lost = committed.filter(({ op }) => !counts.has(String(op)));
  assert.deepEqual(lost, [], `lost ${lost.length}`);
  const twice = [...counts].filter(([, count]) => count > 1);
  assert.deepEqual(twice, [], `seen twice: ${twice.length}`);
  assert.equal(seen.length, committed.length, 'something that was rolled back was seen');

  const versions = new Map();
  for (const { data, type, id } of seen) {
    if (type === 'update') assert.equal(data.version, (versions.get(data.id) ?? 0) + 1, `event ${id}: order of row ${data.id}`);
    versions.set(data.id, data.version);
  }
  const ids = follower.events.map((event) => BigInt(event.id));
  for (let i = 1; i < ids.length; i++) assert.equal(ids[i], ids[i - 1] + 1n, `a gap or a step back in the ids: ${ids[i - 1]}, ${ids[i]}`);
  const late = seen.filter((event) => event.incomplete);
  assert.deepEqual(late, []);

  // Read again from the beginning, the journal says the same.
  const again = await relay.operator({ after: `${follower.journal}:${ids[0] - 1n}` });
  assert.equal(again.welcome.recovered, true);
  await until(() => again.named('changes').length >= ids.length, () => `the whole journal again; ${again.state()}`, 30_000);
  assert.deepEqual(again.named('changes').map(({ id, data }) => [id, data]), follower.events.map(({ id, data }) => [id, data]));
  return committed.length;
}
