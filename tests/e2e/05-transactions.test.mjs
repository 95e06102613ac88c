// Prevents: a transaction that commits after later ones being lost, or holding them up. What does not need two writers at the
// same time is in source/transactions.mjs.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { ascending } from './lib/shapes.mjs';

const postgres = usePostgres();
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text)';
const rules = { tables: 'notes', routing: { notes: 'user_id' } };

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
