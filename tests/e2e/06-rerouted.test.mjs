// Prevents: a row handed to another user that goes on showing its new content to the old one, or stays in the old one's
// browser for ever.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';

const postgres = usePostgres();
const operator = 'operators-own-token-4711';
const view = ({ id, type, data, old }) => ({ id, type, data, ...(old ? { old } : {}) });

async function three(t, sql, options) {
  const db = await postgres.database(t, sql);
  const tokens = [await db.user(1), await db.user(2), await db.user(3)];
  const relay = await startRelay(t, db, { env: { SECURITY_TOKEN: operator, OLD_ROWS: 'games' }, ...options });
  const clients = await Promise.all([...tokens.map((token) => relay.ws(token)), relay.operator()]);
  const streams = await Promise.all(tokens.map((token) => relay.sse(token)));
  return { db, relay, clients, streams };
}

test('a changed routing column: one id; update for the new user, delete with the key for the old, both for nobody', async (t) => {
  const { db, relay, clients, streams } = await three(t, 'CREATE TABLE games (id int PRIMARY KEY, owner int, note text)',
    { tables: 'games', routing: { games: 'owner' } });
  const [before, after, neither, boss] = clients;
  await db.query("INSERT INTO games VALUES (5, 1, 'first')");
  await db.query("UPDATE games SET owner = 2, note = 'second'");
  await relay.fence(...clients, ...streams);
  const id = boss.events[1].id;
  const row = { id: 5, owner: 2, note: 'second' };
  assert.deepEqual(before.events.slice(1).map(view), [{ id, type: 'delete', data: { id: 5 } }]);
  assert.deepEqual(after.events.map(view), [{ id, type: 'update', data: row }], 'without the previous row, which was not its own');
  assert.deepEqual(neither.events, []);
  assert.deepEqual(boss.events.slice(1).map(view), [{ id, type: 'update', data: row, old: { id: 5, owner: 1, note: 'first' } }]);
  for (let i = 0; i < 3; i++) assert.deepEqual(streams[i].events, clients[i].events, 'streams show the same');
});

test('who sees the row before and after sees the update, with the old row', async (t) => {
  const { db, relay, clients } = await three(t, 'CREATE TABLE games (id int PRIMARY KEY, home int, guest int)',
    { tables: 'games', routing: { games: ['home', 'guest'] } });
  const [one, two, other] = clients;
  await db.query('INSERT INTO games VALUES (5, 1, 2)');
  await db.query('UPDATE games SET guest = 3');
  await relay.fence(...clients);
  const row = { id: 5, home: 1, guest: 3 };
  assert.deepEqual(one.events.slice(1).map(({ type, data, old }) => ({ type, data, old })), [{ type: 'update', data: row, old: { id: 5, home: 1, guest: 2 } }]);
  assert.deepEqual(two.events.slice(1).map(({ type, data }) => ({ type, data })), [{ type: 'delete', data: { id: 5 } }]);
  assert.deepEqual(other.events.map(({ type, data, old }) => ({ type, data, old })), [{ type: 'update', data: row, old: undefined }]);
});

test('a swap of two routing columns is an update for both', async (t) => {
  const { db, relay, clients } = await three(t, 'CREATE TABLE games (id int PRIMARY KEY, home int, guest int)',
    { tables: 'games', routing: { games: ['home', 'guest'] } });
  await db.query('INSERT INTO games VALUES (5, 1, 2)');
  await db.query('UPDATE games SET home = 2, guest = 1');
  await relay.fence(...clients);
  for (const client of clients.slice(0, 2)) assert.deepEqual(client.events.map((event) => event.type), ['insert', 'update']);
  assert.deepEqual(clients[2].events, []);
});

test('the old key is the key of before, less FILTERS, and {} where there is none', async (t) => {
  const { db, relay, clients } = await three(t, `CREATE TABLE games (id int PRIMARY KEY, owner int);
    CREATE TABLE pairs (a int, b int, owner int, PRIMARY KEY (b, a)); CREATE TABLE keyless (n int, owner int);`,
  { tables: 'games,pairs,keyless', routing: { games: 'owner', pairs: 'owner', keyless: 'owner' }, filters: 'pairs.b' });
  const [before, after] = clients;
  await db.query('INSERT INTO games VALUES (5, 1); INSERT INTO pairs VALUES (7, 8, 1); INSERT INTO keyless VALUES (9, 1)');
  await db.query('UPDATE games SET id = 6, owner = 2; UPDATE pairs SET a = 70, owner = 2; UPDATE keyless SET owner = 2');
  await relay.fence(...clients);
  assert.deepEqual(before.events.slice(3).map(({ table, type, data }) => [table, type, data]),
    [['games', 'delete', { id: 5 }], ['pairs', 'delete', { a: 7 }], ['keyless', 'delete', {}]]);
  assert.deepEqual(after.events.map(({ table, type, data }) => [table, type, data]),
    [['games', 'update', { id: 6, owner: 2 }], ['pairs', 'update', { a: 70, owner: 2 }], ['keyless', 'update', { n: 9, owner: 2 }]]);
});

test('to and from nobody', async (t) => {
  const { db, relay, clients } = await three(t, 'CREATE TABLE games (id int PRIMARY KEY, owner int)', { tables: 'games', routing: { games: 'owner' } });
  await db.query('INSERT INTO games VALUES (5, NULL)');
  await db.query('UPDATE games SET owner = 1');
  await db.query('UPDATE games SET owner = NULL');
  await relay.fence(...clients);
  assert.deepEqual(clients[0].events.map(({ type, data }) => [type, data]), [['update', { id: 5, owner: 1 }], ['delete', { id: 5 }]]);
  assert.equal(clients[3].events.length, 3);
});

test('types of a subscription are those that the session sees', async (t) => {
  const { db, relay } = await three(t, 'CREATE TABLE games (id int PRIMARY KEY, owner int)', { tables: 'games', routing: { games: 'owner' } });
  const deletes = await relay.ws(db.tokens.get(1), { query: { types: 'delete' } });
  const updates = await relay.ws(db.tokens.get(1), { query: { types: 'update' } });
  await db.query('INSERT INTO games VALUES (5, 1)');
  await db.query('UPDATE games SET owner = 2');
  await deletes.count(1);
  assert.deepEqual(deletes.events.map(({ type, data }) => [type, data]), [['delete', { id: 5 }]]);
  await db.query('INSERT INTO games VALUES (6, 1); UPDATE games SET id = 7 WHERE id = 6');
  await updates.count(1);
  assert.deepEqual(updates.events.map(({ type, data }) => [type, data]), [['update', { id: 7, owner: 1 }]]);
});
