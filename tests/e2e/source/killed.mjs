// Prevents: an event lost, told twice, or out of order when the relay is killed at any moment while several sessions write and
// roll back. The long version of it, with kills of writers and servers, is each database's own (random, sqlite-random).
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from '../lib/harness.mjs';
import { Follower, generator } from '../lib/ledger.mjs';
import { startRelay } from '../lib/relay.mjs';
import { until } from '../lib/wait.mjs';
import { operator, series } from './suite.mjs';

const writers = 3;
const least = { kills: 4, changes: 150 };

export function apart(database) {
  // Every committed change is written down in `ops`, in its own transaction.
  async function write(db, w, stopped) {
    const session = await db.connect();
    const random = generator(w);
    for (let n = 0; !stopped(); n++) {
      const op = w * 1_000_000 + n;
      const cell = 1 + Math.floor(random() * 10);
      await session.query(database.begin);
      await session.query(`UPDATE cells SET version = version + 1, op = ${op} WHERE id = ${cell}`);
      await session.query(`INSERT INTO ops SELECT ${op}, id, version FROM cells WHERE id = ${cell}`);
      if (random() < 0.3) await pause(random() * 10);
      await session.query(random() < 0.25 ? 'ROLLBACK' : 'COMMIT');
      await pause(0);
    }
  }

  test('killed while it is written to: everything once, in order, under the same ids', async (t) => {
    const db = await database.database(t, `CREATE TABLE cells (id int PRIMARY KEY, version int, op int); CREATE TABLE ops (op int, cell int, version int);
      INSERT INTO cells (id, version) ${series(1, 10, 'i, 0')}`);
    const relay = await startRelay(t, db, { tables: 'cells', env: { SECURITY_TOKEN: operator } });
    const follower = new Follower(relay);
    await follower.connect();
    let over = false;
    const count = async () => Number((await db.query('SELECT count(*) AS n FROM ops')).rows[0].n);
    const writing = Array.from({ length: writers }, (_, w) => write(db, w + 1, () => over));
    const random = generator(7);
    for (let kills = 0; kills < least.kills || await count() < least.changes; kills++) {
      await pause(random() * 500);
      await relay.kill();
      await relay.start();
      await follower.connect();
      follower.take();
    }
    over = true;
    await Promise.all(writing);
    const n = await db.fence();
    await until(() => { follower.take(); return follower.events.some(({ table, data }) => table === 'fence' && data.n === n); }, () => `the last event; ${relay.log}`, 30_000);

    const told = follower.events.filter(({ table }) => table === 'cells').map(({ data }) => data);
    const committed = (await db.query('SELECT op FROM ops')).rows.map(({ op }) => Number(op));
    const sorted = (list) => [...list].sort((a, b) => a - b);
    assert.deepEqual(sorted(told.map(({ op }) => op)), sorted(committed), 'each committed change once, none that was rolled back');
    const versions = new Map();
    for (const { id, version } of told) {
      assert.equal(version, (versions.get(id) ?? 0) + 1, `the order of row ${id}`);
      versions.set(id, version);
    }
    const all = follower.events.map(({ id }) => BigInt(id));
    all.forEach((id, i) => assert.equal(id, all[0] + BigInt(i), 'no gap'));
    const again = await relay.operator({ after: `${follower.journal}:${all[0] - 1n}` });
    await until(() => again.named('changes').length >= all.length, () => `the whole journal again; ${again.state()}`, 30_000);
    assert.deepEqual(again.named('changes'), follower.events, 'read again it is the same');
  });
}
