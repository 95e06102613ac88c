// Prevents: rows of a table, a column or a token that are not the ones that were meant any more: swapped, recreated, added,
// withdrawn while the relay runs.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { triggers } from './lib/catalogue.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();
const operator = 'operators-own-token-4711';
const steps = (client) => client.events.map(({ table, type, data }) => [table, type, data]);

test('another table under the watched name, and the old one written to: only the one that has the name is told', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE notes (id int PRIMARY KEY, owner int, body text, secret text); CREATE TABLE fresh (id int PRIMARY KEY, body int, secret text, owner int);
    CREATE TABLE things (id int PRIMARY KEY, owner int, body text)`);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'notes,things', routing: { notes: 'owner', things: 'owner' }, filters: 'notes.secret' });
  for (const value of ['hunter2-table', 'row-of-the-old-one']) relay.secret(value);
  let ws = await relay.ws(token);
  const watched = (table) => until(async () => (await triggers(db))[table], `triggers of ${table}`);
  const unwatched = (table) => until(async () => !(await triggers(db))[table], `no triggers of ${table}`);
  await db.query('BEGIN; ALTER TABLE notes RENAME TO notes_old; ALTER TABLE fresh RENAME TO notes; COMMIT');
  await watched('notes');
  await unwatched('notes_old');
  await relay.sentAway(ws);
  ws = await relay.ws(token);
  await db.query("INSERT INTO notes_old VALUES (1, 1, 'row-of-the-old-one', 'hunter2-table'); TRUNCATE notes_old; INSERT INTO notes VALUES (2, 22, 'hunter2-table', 1)");
  await relay.fence(ws);
  assert.deepEqual(steps(ws), [['notes', 'insert', { id: 2, body: 22, owner: 1 }]]);
  // Recreated: the same columns with another meaning and in another order.
  await db.query('DROP TABLE things; CREATE TABLE things (owner text, body int, id int PRIMARY KEY)');
  await watched('things');
  await relay.sentAway(ws);
  ws = await relay.ws(token);
  await db.query("INSERT INTO things VALUES ('1', 5, 1), ('2', 6, 2)");
  await db.query('CREATE SCHEMA attic; ALTER TABLE things SET SCHEMA attic');
  await unwatched('attic.things');
  await db.query("INSERT INTO attic.things VALUES ('1', 7, 3)");
  await relay.fence(ws);
  assert.deepEqual(steps(ws), [['things', 'insert', { owner: '1', body: 5, id: 1 }]]);
});

test('a column that was added is not sent before it was seen, then it is; one that COLUMNS or FILTERS withhold never', async (t) => {
  const columns = 'id int PRIMARY KEY, owner int';
  const db = await postgres.database(t, `CREATE TABLE plain (${columns}); CREATE TABLE few (${columns}); CREATE TABLE shy (${columns}, pin text)`);
  const relay = await startRelay(t, db, { tables: 'plain,few,shy', routing: { plain: 'owner', few: 'owner', shy: 'owner' }, filters: 'shy.pin', env: { COLUMNS: 'few.id' } });
  relay.secret('hunter2-added');
  const ws = await relay.ws(await db.user(1));
  for (const table of ['plain', 'few', 'shy']) await db.query(`BEGIN; ALTER TABLE ${table} ADD COLUMN extra text DEFAULT 'extra'; INSERT INTO ${table} VALUES (1, 1); COMMIT`);
  await db.query("ALTER TABLE shy DROP COLUMN pin; ALTER TABLE shy ADD COLUMN pin text DEFAULT 'hunter2-added'; UPDATE shy SET owner = owner; ALTER TABLE shy ADD COLUMN \"PIN\" text DEFAULT 'other'");
  await relay.fence(ws);
  const seen = Object.fromEntries(ws.events.map(({ table, data }) => [table, data]));
  assert.equal(seen.plain.extra, undefined);
  assert.deepEqual(seen.few, { id: 1 });
  await until(async () => {
    await db.query('UPDATE plain SET owner = owner; UPDATE few SET owner = owner; UPDATE shy SET owner = owner');
    await relay.fence(ws);
    return ws.events.at(-1).data.extra && ws.events.at(-3).data.extra;
  }, 'the new columns to be seen');
  const last = Object.fromEntries(ws.events.map(({ table, data }) => [table, data]));
  assert.deepEqual([last.plain, last.few], [{ id: 1, owner: 1, extra: 'extra' }, { id: 1 }]);
  assert.equal(last.shy.extra, 'extra');
  assert.equal(last.shy.pin, undefined);
});

test('a token that goes, or becomes somebody else\'s, while its session reads the journal: it is told no more', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, owner int, body text)');
  const tokens = [await db.user(1), await db.user(2)];
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: ['owner'] },
    env: { AUTH_RECHECK: '1s', SECURITY_TOKEN: operator, SEND_BUFFER_BYTES: '65536', SLOW_TIMEOUT: '60s' } });
  const first = await relay.ws(tokens[0]);
  const after = first.position;
  await first.close();
  await db.query("INSERT INTO notes SELECT n, 1 + n % 2, repeat('x', 4000) FROM generate_series(1, 12000) n");
  const clients = tokens.map((token) => relay.openWs(token, { after }));
  for (const client of clients) {
    await client.connected();
    client.socket.pause();
  }
  await db.query('DELETE FROM auth WHERE id = 1; UPDATE auth SET id = 3 WHERE id = 2');
  await until(() => (relay.log.match(/revoked/g) ?? []).length >= 2, () => `both sessions to end as revoked; the log:\n${relay.log}`);
  await db.query("INSERT INTO notes VALUES (20001, 1, 'after-the-end'), (20002, 2, 'after-the-end')");
  for (const client of clients) {
    client.socket.resume();
    await client.closing();
    assert.ok(!client.received.includes('after-the-end'), 'a row that was written after the token had gone');
    assert.ok(client.events.length < 6000, 'the replay went on to its end');
  }
});
