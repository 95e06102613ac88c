// Prevents: an event lost, told twice, or out of order on MySQL when anything is killed at any moment: the relay, its
// connections, the server itself, while sessions write in long and short transactions and roll back, and two relays tell.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { after } from 'node:test';
import { databaseOf } from './lib/databases.mjs';
import { test } from './lib/harness.mjs';
import { Follower, generator } from './lib/ledger.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';
import { operator, series } from './source/suite.mjs';

const database = databaseOf('mysql');
after(() => database.stop());

const seed = Number(process.env.ESINK_TEST_SEED ?? 1);
const writers = 6;
const least = { blows: Number(process.env.ESINK_TEST_BLOWS ?? 12), changes: 800 };
const env = { SECURITY_TOKEN: operator };

async function transaction(session, random, next) {
  await session.query('BEGIN');
  // Cells in ascending order, so that writers wait for each other and do not deadlock.
  const cells = Array.from({ length: 1 + Math.floor(random() * 4) }, () => 1 + Math.floor(random() * 30)).sort((a, b) => a - b);
  for (const cell of cells) {
    const op = next();
    const inSavepoint = random() < 0.25;
    if (inSavepoint) await session.query('SAVEPOINT s');
    await session.query(`UPDATE cells SET version = version + 1, op = ${op}, body = REPEAT('x', ${op % 300}) WHERE id = ${cell}`);
    await session.query(`INSERT INTO ops SELECT ${op}, id, version FROM cells WHERE id = ${cell}`);
    if (inSavepoint) await session.query(random() < 0.5 ? 'ROLLBACK TO SAVEPOINT s' : 'RELEASE SAVEPOINT s');
  }
  const long = random();
  await pause(long < 0.04 ? random() * 3000 : long < 0.3 ? random() * 30 : 0);
  await session.query(random() < 0.25 ? 'ROLLBACK' : 'COMMIT');
}

// Over every loss of the connection. What became of a COMMIT whose answer was lost is for `ops` to say.
async function write(db, w, stopped) {
  const random = generator(seed * 100 + w);
  let op = w * 10_000_000;
  let session;
  while (!stopped()) {
    try {
      session ??= await db.connect();
      if (random() < 0.3) await session.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${random() < 0.5 ? 'REPEATABLE READ' : 'READ COMMITTED'}`);
      await transaction(session, random, () => ++op);
    } catch (error) {
      const expected = session === undefined || session.gone || ['ER_LOCK_DEADLOCK', 'ER_LOCK_WAIT_TIMEOUT', 'ER_SERVER_SHUTDOWN'].includes(error.code);
      assert.ok(expected, error);
      session?.destroy();
      session = undefined;
      await pause(50);
    }
  }
  session?.destroy();
}

test('killed all over: everything committed is told once, in order, under the same ids, by both relays', { timeout: 240_000 }, async (t) => {
  const db = await database.database(t, `CREATE TABLE cells (id int PRIMARY KEY, version int, op int, body text);
    CREATE TABLE ops (op int PRIMARY KEY, cell int, version int); INSERT INTO cells (id, version) ${series(1, 30, 'i, 0')}`);
  const rules = { tables: 'cells', env };
  const relays = [await startRelay(t, db, rules), await startRelay(t, db, rules)];
  const followers = relays.map((relay) => new Follower(relay));
  for (const follower of followers) await follower.connect();
  let over = false;
  const writing = Array.from({ length: writers }, (_, w) => write(db, w + 1, () => over));
  const random = generator(seed);
  const count = async () => Number((await db.query('SELECT COUNT(*) AS n FROM ops')).rows[0].n);
  const blows = {
    async relay() {
      const victim = random() < 0.5 ? 0 : 1;
      await relays[victim].kill();
      if (random() < 0.3) await pause(random() * 1000);
      await relays[victim].start();
      await followers[victim].connect();
    },
    async connections() {
      const { rows } = await db.query("SELECT ID AS id FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID() AND COMMAND <> 'Killed'");
      for (const { id } of rows) if (random() < 0.5) await db.query(`KILL ${id}`).catch(() => {});
    },
    async server() {
      await db.close();
      await db.server.halt('SIGKILL');
      await db.server.resume();
      for (const relay of relays) await relay.ready();
    },
  };
  for (let n = 0; n < least.blows || await count() < least.changes; n++) {
    await pause(random() * 800);
    const blow = n % 6 === 5 ? 'server' : n % 3 === 2 ? 'connections' : 'relay';
    await blows[blow]();
    for (const follower of followers) follower.take();
  }
  over = true;
  await Promise.all(writing);
  for (const relay of relays) await relay.ready();
  const n = await db.fence();
  for (const follower of followers) {
    await until(() => {
      follower.take();
      return follower.events.some(({ table, data }) => table === 'fence' && data.n === n);
    }, () => `the last event; ${follower.client.state()}; ${follower.relay.log}`, 30_000);
  }
  const [{ events }, second] = followers;
  const told = events.filter(({ table }) => table === 'cells').map(({ data }) => data);
  const committed = (await db.query('SELECT op FROM ops')).rows.map(({ op }) => Number(op));
  const sorted = (list) => [...list].sort((a, b) => a - b);
  assert.deepEqual(sorted(told.map(({ op }) => op)), sorted(committed), 'each committed change once, none that was rolled back');
  const versions = new Map();
  for (const { id, version } of told) {
    assert.equal(version, (versions.get(id) ?? 0) + 1, `the order of row ${id}`);
    versions.set(id, version);
  }
  const all = events.map(({ id }) => BigInt(id));
  all.forEach((id, i) => assert.equal(id, all[0] + BigInt(i), 'no gap'));
  assert.deepEqual(second.events, events, 'both relays tell the same');
  const again = await relays[1].operator({ after: `${followers[0].journal}:${all[0] - 1n}` });
  await until(() => again.named('changes').length >= all.length, () => `the whole journal again; ${again.state()}`, 30_000);
  assert.deepEqual(again.named('changes'), events, 'read again it is the same');
  console.log(`# seed ${seed}: ${committed.length} changes`);
});
