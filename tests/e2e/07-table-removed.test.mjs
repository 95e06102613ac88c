// Prevents: a table that goes on paying for, and leaking through, a trigger that no configuration names any more.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { triggers } from './lib/catalogue.mjs';

const postgres = usePostgres();

test('a table taken out of TABLE_NAMES loses its triggers at the next start', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE one (id int PRIMARY KEY, user_id int); CREATE TABLE two (id int PRIMARY KEY, user_id int)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'one,two', routing: { one: 'user_id', two: 'user_id' } });
  assert.deepEqual(Object.keys(await triggers(db)).sort(), ['fence', 'one', 'two']);
  await relay.stop();
  await relay.start({ tables: 'two' });
  assert.deepEqual(Object.keys(await triggers(db)).sort(), ['fence', 'two']);
  const ws = await relay.ws(token);
  await db.query('INSERT INTO one VALUES (1, 1); INSERT INTO two VALUES (2, 1)');
  await relay.fence(ws);
  assert.deepEqual(ws.events.map((event) => event.table), ['two']);
});

test('and gets them back when it is named again', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE one (id int PRIMARY KEY, user_id int)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'one', routing: { one: 'user_id' } });
  await relay.stop();
  await relay.start({ tables: '' });
  await db.query('INSERT INTO one VALUES (1, 1)');
  await relay.stop();
  await relay.start({ tables: 'one' });
  const ws = await relay.ws(token);
  await db.query('INSERT INTO one VALUES (2, 1)');
  await relay.fence(ws);
  assert.deepEqual(ws.events.map((event) => event.data.id), [2]);
});
