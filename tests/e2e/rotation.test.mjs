// Prevents: the outbox growing without end, a row lost or told twice while its tables change places and are emptied, a
// writer that waits for that, and a resume point from before the journal's beginning that is taken as if nothing were missing.
import assert from 'node:assert/strict';
import { Postgres } from './lib/postgres.mjs';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();
const operator = 'operators-own-token-4711';

const rotations = async (db) => Number((await db.query("SELECT pg_sequence_last_value('esink.rotation') AS n")).rows[0].n);

test('tables change places and are emptied under load: every row once, in order; old resume points are not recovered', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE orders (id serial PRIMARY KEY, customer int, body text)');
  const relay = await startRelay(t, db, { tables: 'orders', env: { SECURITY_TOKEN: operator, RETENTION: '1s', TAIL_BYTES: '1MB' } });
  const client = await relay.operator();
  const begin = `${client.welcome.journal}:${client.welcome.id}`;
  let stop = false;
  const times = [];
  const writers = Array.from({ length: 4 }, async (_, w) => {
    const session = await db.connect();
    while (!stop) {
      // One writer keeps a transaction open now and then, so that rows of the old pair arrive late.
      const start = Date.now();
      await session.query(`BEGIN; INSERT INTO orders (customer, body) VALUES (${w}, repeat('x', 500)); ${w === 0 ? 'SELECT pg_sleep(0.7);' : ''} COMMIT`);
      if (w > 0) times.push(Date.now() - start);
    }
  });
  await until(async () => (await rotations(db)) >= 4, 'four rotations', 40_000);
  stop = true;
  await Promise.all(writers);
  const n = await db.fence();
  await until(() => client.named('changes').some(({ table, data }) => table === 'fence' && data.n === n), 'the last row', 30_000);

  const events = client.named('changes');
  const ids = events.map(({ id }) => BigInt(id));
  ids.forEach((id, i) => assert.equal(id, BigInt(client.welcome.id) + BigInt(i) + 1n));
  const seen = events.filter(({ table }) => table === 'orders').map(({ data }) => data.id);
  const rows = (await db.query('SELECT id FROM orders')).rows.map(({ id }) => id);
  assert.equal(new Set(seen).size, seen.length, 'a row was told twice');
  assert.deepEqual(seen.toSorted?.((a, b) => a - b) ?? [...seen].sort((a, b) => a - b), rows.sort((a, b) => a - b));
  // At one moment the machine may have been busy with something else, for each of the three; a rotation that holds writers up does so four times.
  const slowest = times.sort((a, b) => b - a).slice(0, 4);
  assert.ok(slowest.at(-1) < 2000, `writes took ${slowest} ms`);

  const { kept, floor } = (await db.query(`SELECT (SELECT count(*) FROM esink.event_0) + (SELECT count(*) FROM esink.event_1) AS kept,
    (SELECT floor FROM esink.meta) AS floor`)).rows[0];
  assert.ok(Number(floor) > 0 && Number(kept) < rows.length, `nothing was discarded: ${kept} of ${rows.length} kept`);
  // Restarted, so that the tail in memory does not reach back either.
  await relay.stop();
  await relay.start();
  const late = await relay.operator({ after: begin });
  assert.equal(late.welcome.recovered, false);
});

// A sequence may go on by up to 32 after a crash; the pair in use must not be another one then, or ids would be given twice.
test('the server crashes after tables have changed places twice since its last checkpoint: ids go on where they were', async (t) => {
  const server = await new Postgres({ settings: { checkpoint_timeout: '1h' } }).start();
  t.defer(() => server.remove());
  const db = await server.database(t, 'CREATE TABLE orders (id serial PRIMARY KEY, customer int)');
  const relay = await startRelay(t, db, { tables: 'orders', env: { SECURITY_TOKEN: operator } });
  const client = await relay.operator();
  const write = async () => {
    await db.query('INSERT INTO orders (customer) VALUES (1)');
    await relay.fence(client);
  };
  await write();
  await db.query('CHECKPOINT');
  const done = [];
  // switched, discarded, switched: by hand, since RETENTION empties what the relay rotates.
  while (done.filter((what) => what === 'switched').length < 2) {
    done.push((await db.query("SELECT esink.rotate('0') AS what")).rows[0].what);
    await write();
  }
  const before = await rotations(db);
  assert.equal((await db.query('SELECT (EXISTS (SELECT FROM esink.tick_0) AND EXISTS (SELECT FROM esink.tick_1)) AS both')).rows[0].both, true, done.join());
  const { journal } = client.welcome, head = async () => BigInt((await db.query('SELECT next - 1 AS head FROM esink.newest_tick()')).rows[0].head);
  const id = await head();
  await relay.stop();
  await server.restart('immediate');
  assert.equal((await rotations(db)) % 2, before % 2);
  await relay.start();
  const back = await relay.operator({ after: `${journal}:${id}` });
  assert.equal(back.welcome.recovered, true);
  await db.query('INSERT INTO orders (customer) VALUES (2)');
  await relay.fence(back);
  assert.deepEqual(back.events.map((event) => BigInt(event.id)), [id + 1n]);
});
