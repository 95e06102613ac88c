// Prevents: an SQLite source that breaks one of the promises that do not depend on the database: who sees a row, under which
// name and type it sees it, what is withheld, what a roll-back leaves, that a position can be resumed from, that published and
// emitted events stand in the same journal.
import assert from 'node:assert/strict';
import { test } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { ascending, shapes } from './lib/shapes.mjs';
import { sqliteDatabase } from './lib/sqlite.mjs';
import { until } from './lib/wait.mjs';

const operator = 'operators-own-token-4711';
const orders = 'CREATE TABLE orders (id INTEGER PRIMARY KEY, owner INT, note TEXT, secret TEXT)';
const rules = { tables: 'orders', routing: { orders: 'owner' }, filters: 'orders.secret', env: { SECURITY_TOKEN: operator } };

test('insert, update, delete: to whom they belong, less what is filtered', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const tokens = [await db.user(7), await db.user(8)];
  const relay = await startRelay(t, db, rules);
  const [seven, eight, boss] = [await relay.ws(tokens[0]), await relay.sse(tokens[1]), await relay.operator()];
  assert.strictEqual(seven.welcome.userId, 7);
  relay.secret('the-secret-of-the-row');
  await db.query("INSERT INTO orders VALUES (1, 7, 'new', 'the-secret-of-the-row')");
  await db.query("UPDATE orders SET note = 'paid'");
  await db.query('UPDATE orders SET owner = 8');
  await db.query('DELETE FROM orders');
  await relay.fence(seven, eight, boss);
  assert.deepEqual(shapes(seven), [
    { table: 'orders', type: 'insert', data: { id: 1, owner: 7, note: 'new' } },
    { table: 'orders', type: 'update', data: { id: 1, owner: 7, note: 'paid' } },
    { table: 'orders', type: 'delete', data: { id: 1 } },
  ]);
  assert.deepEqual(shapes(eight), [
    { table: 'orders', type: 'update', data: { id: 1, owner: 8, note: 'paid' } },
    { table: 'orders', type: 'delete', data: { id: 1, owner: 8, note: 'paid' } },
  ]);
  assert.deepEqual(boss.events.map((event) => event.type), ['insert', 'update', 'update', 'delete']);
  ascending(boss.events);
  const { id, timestamp, table, type, data, ...rest } = seven.events[0];
  assert.deepEqual(rest, { source: 'shop.db', source_type: 'database', version: 1 });
  assert.ok(Math.abs(timestamp - Date.now()) < 600_000);
});

test('OLD_ROWS: the row before the update, less the same columns', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const token = await db.user(7);
  const relay = await startRelay(t, db, { ...rules, env: { ...rules.env, OLD_ROWS: 'orders' } });
  const client = await relay.ws(token);
  await db.query("INSERT INTO orders VALUES (1, 7, 'new', 'x'); UPDATE orders SET note = 'paid', secret = 'y'");
  await relay.fence(client);
  assert.deepEqual(client.events[1].old, { id: 1, owner: 7, note: 'new' });
});

test('OLD_ROWS: the row before the update is told where nothing but a key may be, too', async (t) => {
  const db = await sqliteDatabase(t, `CREATE TABLE member (person INT, team INT, PRIMARY KEY (person, team)) WITHOUT ROWID;
    CREATE TABLE thin (id INTEGER PRIMARY KEY, secret TEXT); CREATE TABLE dark (id INTEGER PRIMARY KEY)`);
  const relay = await startRelay(t, db, { tables: 'member,thin,dark', filters: 'thin.secret,dark.id', env: { OLD_ROWS: '*', SECURITY_TOKEN: 'operators-own-token-4711' } });
  const boss = await relay.operator();
  await db.query(`INSERT INTO member VALUES (1, 2); UPDATE member SET team = 3; INSERT INTO thin VALUES (4, 'x'); UPDATE thin SET secret = 'y';
    INSERT INTO dark VALUES (5); UPDATE dark SET id = 6`);
  await relay.fence(boss);
  assert.deepEqual(boss.events.filter(({ type }) => type === 'update').map(({ table, data, old }) => ({ table, data, old })), [
    { table: 'member', data: { person: 1, team: 3 }, old: { person: 1, team: 2 } },
    { table: 'thin', data: { id: 4 }, old: { id: 4 } },
    { table: 'dark', data: {}, old: {} },
  ]);
});

test('a key that changes with the owner: who lost the row hears of the key that it had', async (t) => {
  const db = await sqliteDatabase(t, 'CREATE TABLE docs (a TEXT, b INT, owner TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID');
  const tokens = [await db.user(1), await db.user(2)];
  const relay = await startRelay(t, db, { tables: 'docs', routing: { docs: 'owner' } });
  const [one, two] = [await relay.ws(tokens[0]), await relay.ws(tokens[1])];
  await db.query("INSERT INTO docs VALUES ('x', 1, '1'); UPDATE docs SET a = 'y', owner = 2");
  await relay.fence(one, two);
  assert.deepEqual(shapes(one)[1], { table: 'docs', type: 'delete', data: { a: 'x', b: 1 } });
  assert.deepEqual(shapes(two), [{ table: 'docs', type: 'update', data: { a: 'y', b: 1, owner: '2' } }]);
});

test('users are compared as text, byte for byte, whatever the column collates or is declared as', async (t) => {
  const db = await sqliteDatabase(t, `CREATE TABLE people (id, token TEXT);
    CREATE TABLE things (n INTEGER PRIMARY KEY, owner, loose TEXT COLLATE NOCASE)`);
  const ids = ['7', 7, 'Bob', 'bob', 9007199254740993n, '*', '1.5', '__proto__'];
  for (const [i, id] of ids.entries()) await db.query(`INSERT INTO people VALUES (${typeof id === 'string' ? `'${id}'` : id}, 'token-of-number-${i}')`);
  const relay = await startRelay(t, db, { tables: 'things', routing: { things: ['owner', 'loose'] }, env: { AUTH_TABLE: 'people' } });
  const clients = await Promise.all(ids.map((_, i) => relay.ws(`token-of-number-${i}`)));
  await db.query("INSERT INTO things VALUES (0, 7, NULL), (1, '7', NULL), (2, NULL, 'Bob'), (3, 9007199254740993, 'x'), (4, '*', NULL), (5, 1.5, NULL), (6, x'37', NULL), (7, '7' || char(0), NULL)");
  await db.query("UPDATE things SET loose = 'bob' WHERE n = 2");
  await relay.fence(...clients);
  const seen = clients.map((client) => client.events.map((event) => `${event.type[0]}${event.data.n}`).join(' '));
  assert.deepEqual(seen, ['i0 i1', 'i0 i1', 'i2 d2', 'u2', 'i3', 'i4', 'i5', '']);
  assert.equal(clients[1].welcome.userId, '7');
});

test('a roll-back, and a savepoint that was rolled back, leave nothing and no gap', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const relay = await startRelay(t, db, rules);
  const boss = await relay.operator();
  await db.query('BEGIN; INSERT INTO orders VALUES (1, 7, NULL, NULL); ROLLBACK');
  await db.query('BEGIN; INSERT INTO orders VALUES (2, 7, NULL, NULL); SAVEPOINT s; INSERT INTO orders VALUES (3, 7, NULL, NULL); ROLLBACK TO s; INSERT INTO orders VALUES (4, 7, NULL, NULL); COMMIT');
  await relay.fence(boss);
  assert.deepEqual(boss.events.map((event) => event.data.id), [2, 4]);
  assert.deepEqual(boss.events.map((event) => event.id), ['1', '2']);
});

test('foreign-key cascades and a DELETE of all rows are told row by row', async (t) => {
  const db = await sqliteDatabase(t, `CREATE TABLE parents (id INTEGER PRIMARY KEY);
    CREATE TABLE children (id INTEGER PRIMARY KEY, parent INT REFERENCES parents ON DELETE CASCADE)`);
  const relay = await startRelay(t, db, { tables: 'children', env: { SECURITY_TOKEN: operator } });
  const boss = await relay.operator();
  await db.query('PRAGMA foreign_keys = ON; INSERT INTO parents VALUES (1), (2); INSERT INTO children VALUES (10, 1), (11, 1), (12, 2); DELETE FROM parents WHERE id = 1; DELETE FROM children');
  await relay.fence(boss);
  assert.deepEqual(boss.events.slice(3).map((event) => [event.type, event.data.id]), [['delete', 10], ['delete', 11], ['delete', 12]]);
});

test('REPLACE: without recursive_triggers the row that it removes is not told, with it it is; an upsert is an update', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const relay = await startRelay(t, db, rules);
  const boss = await relay.operator();
  await db.query("INSERT INTO orders VALUES (1, 7, 'a', NULL); REPLACE INTO orders VALUES (1, 7, 'b', NULL)");
  await db.query("PRAGMA recursive_triggers = ON; REPLACE INTO orders VALUES (1, 7, 'c', NULL); PRAGMA recursive_triggers = OFF");
  await db.query("INSERT INTO orders VALUES (1, 7, 'd', NULL) ON CONFLICT (id) DO UPDATE SET note = excluded.note");
  await relay.fence(boss);
  assert.deepEqual(boss.events.map((event) => `${event.type} ${event.data.note}`),
    ['insert a', 'insert b', 'delete b', 'insert c', 'update d']);
});

test('the application keeps last_insert_rowid() and changes()', async (t) => {
  const db = await sqliteDatabase(t, orders);
  await startRelay(t, db, rules);
  const { rows } = await db.query("INSERT INTO orders VALUES (41, 7, NULL, NULL), (42, 7, NULL, NULL); SELECT last_insert_rowid() AS id, changes() AS n");
  assert.deepEqual(rows, [{ id: 42, n: 2 }]);
});

test("an application's own trigger that writes again comes after ours, also when it was made later", async (t) => {
  const db = await sqliteDatabase(t, `${orders}; CREATE TRIGGER touch AFTER INSERT ON orders BEGIN UPDATE orders SET note = 'touched' WHERE id = NEW.id; END`);
  const relay = await startRelay(t, db, rules);
  const boss = await relay.operator();
  const told = async (id) => {
    await db.query(`INSERT INTO orders VALUES (${id}, 7, 'new', NULL)`);
    await relay.fence(boss);
    return boss.events.filter((event) => event.data.id === id).map((event) => `${event.type} ${event.data.note}`);
  };
  assert.deepEqual(await told(1), ['insert new', 'update touched']);
  await db.query("DROP TRIGGER touch; CREATE TRIGGER touch AFTER INSERT ON orders BEGIN UPDATE orders SET note = 'again' WHERE id = NEW.id; END");
  let id = 1;
  await until(async () => (await told(++id))[0] === 'insert new', 'our trigger to be the first again');
  assert.deepEqual(await told(++id), ['insert new', 'update again']);
});

test('esink_emit: part of the transaction, filtered, for whom it names', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const tokens = [await db.user(7), await db.user(8)];
  const relay = await startRelay(t, db, rules);
  const [seven, eight, boss] = [await relay.ws(tokens[0]), await relay.ws(tokens[1]), await relay.operator()];
  const emit = (...values) => db.query('INSERT INTO esink_emit (topic, type, data, audience) VALUES ($1, $2, $3, $4)', values);
  relay.secret('emitted-and-withheld');
  await emit('orders', 'shipped', '{"id": 1, "secret": "emitted-and-withheld", "n": 1.50}', '["7"]');
  await emit('news', 'x', '{}', '[7, 8]');
  await emit('news', 'y', '{}', 'true');
  await emit('news', 'z', '{}', null);
  await db.query("INSERT INTO esink_emit (topic, type, data, audience) VALUES ('news', 'all', '{}', true)");
  await db.query("BEGIN; INSERT INTO esink_emit VALUES ('news', 'never', '{}', true); ROLLBACK");
  for (const bad of [['', 'x', '{}', null], ['t', null, '{}', null], ['t', 'x', '[]', null], ['t', 'x', 'no', null], ['t', 'x', null, null], ['t', 'x', '{}', '{}'], ['t', 'x', '{}', 'x'], ['t'.repeat(65), 'x', '{}', null]]) {
    await assert.rejects(emit(...bad), /esink_emit: (topic|type|data|audience) must/);
  }
  await relay.fence(seven, eight, boss);
  assert.deepEqual(shapes(seven), [
    { table: 'orders', type: 'shipped', data: { id: 1, n: 1.5 } }, { table: 'news', type: 'x', data: {} },
    { table: 'news', type: 'y', data: {} }, { table: 'news', type: 'all', data: {} },
  ]);
  assert.deepEqual(eight.events.map((event) => event.type), ['x', 'y', 'all']);
  assert.deepEqual(boss.events.map((event) => event.type), ['shipped', 'x', 'y', 'z', 'all']);
  assert.equal(boss.events[0].source_type, 'sql');
  assert.equal(boss.events[0].source, 'shop.db');
});

test('/publish goes into the same journal, and waits for a writer', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const token = await db.user(7);
  const relay = await startRelay(t, db, rules);
  const client = await relay.ws(token);
  const session = db.connect();
  await session.query('BEGIN IMMEDIATE; INSERT INTO orders VALUES (1, 7, NULL, NULL)');
  const answer = relay.post('/publish', { data: { a: 1, secret: 2 }, type: 'x', table: 'orders', userId: 7, securityToken: operator });
  assert.equal((await relay.get('/ready')).status, 200);
  await session.query('COMMIT');
  const { status, json } = await answer;
  assert.equal(status, 200);
  assert.deepEqual([json.id, json.sentTo.length], ['2', 1]);
  await relay.fence(client);
  assert.deepEqual(shapes(client).map(({ type, data }) => [type, data]), [['insert', { id: 1, owner: 7, note: null }], ['x', { a: 1 }]]);
});

test('resume: over a kill, over writes while no relay runs, with the same ids', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const token = await db.user(7);
  const relay = await startRelay(t, db, rules);
  const client = await relay.ws(token);
  await db.query('INSERT INTO orders VALUES (1, 7, NULL, NULL)');
  await relay.fence(client);
  const { journal } = client.welcome;
  const after = `${journal}:${client.events.at(-1).id}`;
  await relay.kill();
  await db.query('INSERT INTO orders VALUES (2, 7, NULL, NULL), (3, 8, NULL, NULL), (4, 7, NULL, NULL)');
  await relay.start();
  const again = await relay.ws(token, { after });
  assert.equal(again.welcome.recovered, true);
  assert.equal(again.welcome.journal, journal);
  await relay.fence(again);
  assert.deepEqual(again.events.map((event) => event.data.id), [2, 4]);
});
