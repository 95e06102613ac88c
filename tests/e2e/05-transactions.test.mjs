// Prevents: a browser that hears of what was rolled back, an event swallowed because it looks like the one before it, and
// a write that fails, or arrives cut, because the row is large (PostgreSQL's NOTIFY ends at 8000 bytes).
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { shapes, ascending } from './lib/shapes.mjs';

const postgres = usePostgres();
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text)';
const rules = { tables: 'notes', routing: { notes: 'user_id' } };

test('a rolled-back transaction is never seen', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  const ws = await relay.ws(token);
  await db.query("BEGIN; INSERT INTO notes VALUES (1, 1, 'never'); ROLLBACK");
  await assert.rejects(db.query("INSERT INTO notes VALUES (2, 1, 'never'), (2, 1, 'twice')"), /duplicate key/);
  await db.query("INSERT INTO notes VALUES (3, 1, 'kept')");
  await relay.fence(ws);
  assert.deepEqual(ws.events.map((event) => event.data.body), ['kept']);
});

test('two identical updates in one transaction are two events', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  const ws = await relay.ws(token);
  await db.query("INSERT INTO notes VALUES (1, 1, 'a')");
  await db.query("BEGIN; UPDATE notes SET body = 'b'; UPDATE notes SET body = 'b'; COMMIT");
  await relay.fence(ws);
  const update = { table: 'notes', type: 'update', data: { id: 1, user_id: 1, body: 'b' } };
  assert.deepEqual(shapes(ws).slice(1), [update, update]);
  ascending(ws.events);
  assert.equal(ws.events[1].transaction_id, ws.events[2].transaction_id);
  assert.notEqual(ws.events[0].transaction_id, ws.events[1].transaction_id);
});

test('9 kB and 5 MB values: the write succeeds and the row arrives whole, on every transport', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  const ws = await relay.ws(token);
  const sse = await relay.sse(token);
  const sizes = [7_999, 8_000, 8_001, 9_000, 65_535, 65_536, 1_000_000, 5_000_000];
  for (const [i, size] of sizes.entries()) {
    const letter = String.fromCharCode(97 + i);
    await db.query("INSERT INTO notes VALUES ($1, 1, $2 || repeat($3, $4 - 4) || $2)", [i, '«»', letter, size]);
  }
  await relay.fence(ws, sse);
  for (const client of [ws, sse]) {
    assert.equal(client.events.length, sizes.length, client.state());
    for (const [i, { data, incomplete }] of client.events.entries()) {
      assert.equal(incomplete, undefined, `${sizes[i]} bytes`);
      assert.equal(data.body.length, sizes[i], `${sizes[i]} bytes`);
      assert.ok(data.body.startsWith('«»') && data.body.endsWith('«»'));
    }
  }
});

test('what one transaction changed comes in order, and together with its own number', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  const ws = await relay.ws(token);
  await db.query(`BEGIN; INSERT INTO notes SELECT n, 1, 'made' FROM generate_series(1, 500) n;
    UPDATE notes SET body = 'changed' WHERE id <= 250; DELETE FROM notes WHERE id > 250; COMMIT`);
  await relay.fence(ws);
  const steps = ws.events.map(({ type, data }) => `${type} ${data.id}`);
  const expected = [];
  for (let n = 1; n <= 500; n++) expected.push(`insert ${n}`);
  for (let n = 1; n <= 250; n++) expected.push(`update ${n}`);
  for (let n = 251; n <= 500; n++) expected.push(`delete ${n}`);
  assert.deepEqual(steps, expected);
  assert.equal(new Set(ws.events.map((event) => event.transaction_id)).size, 1);
  ascending(ws.events);
});

test('savepoints: what was rolled back to one is not seen, the rest is', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  const ws = await relay.ws(token);
  await db.query(`BEGIN; INSERT INTO notes VALUES (1, 1, 'a'); SAVEPOINT s; INSERT INTO notes VALUES (2, 1, 'lost');
    ROLLBACK TO s; INSERT INTO notes VALUES (3, 1, 'b'); SAVEPOINT u; INSERT INTO notes VALUES (4, 1, 'c'); RELEASE u; COMMIT`);
  await relay.fence(ws);
  assert.deepEqual(ws.events.map((event) => event.data.id), [1, 3, 4]);
  assert.equal(new Set(ws.events.map((event) => event.transaction_id)).size, 1, 'subtransactions count as their transaction');
});

test('a transaction that commits late is delivered, and holds nobody else up', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  const ws = await relay.ws(token);
  const late = await db.connect();
  await late.query("BEGIN; INSERT INTO notes VALUES (1, 1, 'late')");
  await db.query("INSERT INTO notes SELECT n, 1, 'early' FROM generate_series(2, 50) n");
  await relay.fence(ws);
  assert.equal(ws.events.length, 49);
  await late.query('COMMIT');
  await ws.count(50);
  assert.equal(ws.events.at(-1).data.body, 'late');
  ascending(ws.events);
});
