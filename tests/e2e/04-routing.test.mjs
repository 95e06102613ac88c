// Prevents: a user who hears of one row twice on several threads, a user id that PostgreSQL's types spell in another way, and a
// subscription that shows more than the rules. What every source promises of routing is in source/routing.mjs.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { shapes } from './lib/shapes.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();

test('two sessions of one user each get the event once', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE games (id int PRIMARY KEY, home int, guest int)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'games', routing: { games: ['home', 'guest'] }, env: { NETWORK_THREADS: '4' } });
  const clients = await Promise.all(Array.from({ length: 8 }, (_, i) => (i % 2 ? relay.ws(token) : relay.sse(token))));
  await db.query('INSERT INTO games VALUES (10, 1, 1)');
  await relay.fence(...clients);
  for (const client of clients) assert.deepEqual(shapes(client), [{ table: 'games', type: 'insert', data: { id: 10, home: 1, guest: 1 } }]);
});

test('an array column holds several users', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE docs (id int PRIMARY KEY, readers int[], names text[])');
  const tokens = [await db.user(1), await db.user(2), await db.user(3)];
  const relay = await startRelay(t, db, { tables: 'docs', routing: { docs: ['readers', 'names'] } });
  const [one, two, three] = await Promise.all(tokens.map((token) => relay.ws(token)));
  await db.query("INSERT INTO docs VALUES (1, '{1,2,1,NULL}', '{1,3}'), (2, '{}', NULL), (3, NULL, '{2}'), (4, '{{1},{3}}', NULL)");
  await relay.fence(one, two, three);
  const ids = (client) => client.events.map((event) => event.data.id);
  assert.deepEqual(ids(one), [1, 4]);
  assert.deepEqual(ids(two), [1, 3]);
  assert.deepEqual(ids(three), [1, 4]);
});

test('user ids are compared as text: of any type, in any spelling of the database', async (t) => {
  const db = await postgres.database(t, `
    CREATE TABLE people (id text, token text);
    CREATE TABLE things (n int PRIMARY KEY, owner_big bigint, owner_uuid uuid, owner_char char(8), owner_numeric numeric);`);
  const ids = ['9007199254740993', '8a7c1e0e-3f64-4e52-9d3c-3f8f6f2b1a00', 'constructor', '__proto__', 'häß lich', '1.50', '*', 'O\'Brien"\\'];
  for (const [i, id] of ids.entries()) await db.query('INSERT INTO people VALUES ($1, $2)', [id, `token-of-number-${i}`]);
  const relay = await startRelay(t, db, {
    tables: 'things', routing: { things: ['owner_big', 'owner_uuid', 'owner_char', 'owner_numeric'] },
    env: { AUTH_TABLE: 'people' },
  });
  const clients = await Promise.all(ids.map((_, i) => relay.ws(`token-of-number-${i}`)));
  await db.query(`INSERT INTO things VALUES (0, 9007199254740993, NULL, NULL, NULL),
    (1, NULL, '8A7C1E0E-3F64-4E52-9D3C-3F8F6F2B1A00', NULL, NULL), (5, NULL, NULL, NULL, 1.50), (6, NULL, NULL, '*', NULL)`);
  await relay.fence(...clients);
  assert.deepEqual(clients.map((client) => client.events.map((event) => event.data.n)).slice(0, 6), [[0], [1], [], [], [], [5]]);
});

test('a subscription narrows what a session receives, and never widens it', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE orders (id int PRIMARY KEY, user_id int); CREATE TABLE order_lines (id int PRIMARY KEY, user_id int); CREATE TABLE secret_orders (id int)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'orders,order_lines,secret_orders', routing: { orders: 'user_id', order_lines: 'user_id' } });
  const all = await relay.ws(token);
  const byQuery = await relay.ws(token, { query: { topics: ['orders$', 'fence'] } });
  const stream = await relay.sse(token, { query: { topics: ['order', 'fence'], types: ['insert'] } });
  const byMessage = await relay.ws(token);
  byMessage.say('subscribe', { topics: ['.*_lines', 'fence'], types: ['insert', 'delete'] });
  await until(() => byMessage.named('subscribed').length, 'subscribed');
  assert.deepEqual(byMessage.named('subscribed')[0], { topics: ['.*_lines', 'fence'], types: ['insert', 'delete'] });
  byMessage.say('subscribe', { topics: ['(unclosed'] });
  await until(() => byMessage.errors.length, 'the error of a bad pattern');
  assert.equal(byMessage.errors[0].code, 400);
  await db.query('INSERT INTO orders VALUES (1, 1); INSERT INTO order_lines VALUES (2, 1); INSERT INTO secret_orders VALUES (3)');
  await db.query('UPDATE order_lines SET id = 4; DELETE FROM order_lines');
  await relay.fence(all, byQuery, stream, byMessage);
  const short = (client) => client.events.map(({ table, type }) => `${type} ${table}`);
  assert.deepEqual(short(all), ['insert orders', 'insert order_lines', 'update order_lines', 'delete order_lines']);
  assert.deepEqual(short(byQuery), ['insert orders']);
  assert.deepEqual(short(stream), ['insert orders', 'insert order_lines']);
  assert.deepEqual(short(byMessage), ['insert order_lines', 'delete order_lines']);
  byMessage.say('unsubscribe', {});
  await until(async () => {
    await db.query('INSERT INTO orders SELECT max(id) + 1, 1 FROM orders');
    await relay.fence(byMessage);
    return byMessage.events.at(-1).table === 'orders';
  }, 'everything again after unsubscribe');
});
