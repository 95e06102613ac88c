// Prevents: a row that reaches somebody else's browser, or carries a column that was to stay in the database.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { shapes, wellFormed, ascending } from './lib/shapes.mjs';

const postgres = usePostgres();

test('insert, update and delete reach only their user, without the filtered column', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE users (id int PRIMARY KEY, name text, password text, role text);`);
  const anna = await db.user(1);
  const ben = await db.user(2);
  const relay = await startRelay(t, db, { tables: 'users', routing: { users: 'id' }, filters: 'users.password' });
  relay.secret('hunter2-first');
  relay.secret('hunter2-second');
  const clients = [await relay.ws(anna), await relay.sse(anna)];
  const others = [await relay.ws(ben), await relay.sse(ben)];
  await db.query("INSERT INTO users VALUES (1, 'Anna', 'hunter2-first', 'admin')");
  await db.query("UPDATE users SET name = 'Ann', password = 'hunter2-second' WHERE id = 1");
  await db.query('DELETE FROM users WHERE id = 1');
  await relay.fence(...clients, ...others);
  for (const client of clients) {
    assert.deepEqual(shapes(client), [
      { table: 'users', type: 'insert', data: { id: 1, name: 'Anna', role: 'admin' } },
      { table: 'users', type: 'update', data: { id: 1, name: 'Ann', role: 'admin' } },
      { table: 'users', type: 'delete', data: { id: 1, name: 'Ann', role: 'admin' } },
    ]);
    client.events.forEach(wellFormed);
    ascending(client.events);
    assert.ok(client.events.every((event) => !('old' in event) && !('actor' in event) && !('incomplete' in event)));
  }
  assert.deepEqual(clients[0].events, clients[1].events, 'the same events, ids and times on every transport');
  for (const client of others) assert.deepEqual(client.events, []);
});

test('the token column leaves the database in no event', async (t) => {
  const db = await postgres.database(t);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'auth', routing: { auth: 'id' } });
  const ws = await relay.ws(token);
  relay.secret('another-token');
  await db.query("UPDATE auth SET token = 'another-token' WHERE id = 1");
  await relay.fence(ws);
  assert.deepEqual(shapes(ws), [{ table: 'auth', type: 'update', data: { id: 1 } }]);
});

test('COLUMNS: of that table only these columns leave it', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE users (id int PRIMARY KEY, name text, password text); CREATE TABLE notes (id int, n int)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'users,notes', routing: { users: 'id', notes: 'id' }, env: { COLUMNS: 'users.name' } });
  const ws = await relay.ws(token);
  relay.secret('hunter2-third');
  await db.query("INSERT INTO users VALUES (1, 'Anna', 'hunter2-third')");
  await db.query('INSERT INTO notes VALUES (1, 2)');
  await relay.fence(ws);
  assert.deepEqual(shapes(ws), [
    { table: 'users', type: 'insert', data: { name: 'Anna' } },
    { table: 'notes', type: 'insert', data: { id: 1, n: 2 } },
  ]);
});

test('OLD_ROWS: an update carries the row before it, less the same columns', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE users (id int PRIMARY KEY, name text, password text); CREATE TABLE notes (id int, n int)');
  const token = await db.user(1);
  const relay = await startRelay(t, db, {
    tables: 'users,notes', routing: { users: 'id', notes: 'id' }, filters: 'users.password', env: { OLD_ROWS: 'users' },
  });
  relay.secret('hunter2-fourth');
  const ws = await relay.ws(token);
  await db.query("INSERT INTO users VALUES (1, 'Anna', 'hunter2-fourth'); INSERT INTO notes VALUES (1, 2)");
  await db.query("UPDATE users SET name = 'Ann'; UPDATE notes SET n = 3");
  await relay.fence(ws);
  assert.deepEqual(ws.events.map(({ table, type, old }) => [table, type, old]), [
    ['users', 'insert', undefined], ['notes', 'insert', undefined],
    ['users', 'update', { id: 1, name: 'Anna' }], ['notes', 'update', undefined],
  ]);
});

test('after connected nothing is missed, and nothing older is delivered', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE users (id int PRIMARY KEY, name text);');
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'users', routing: { users: 'id' } });
  await db.query("INSERT INTO users VALUES (1, 'before')");
  await relay.fence(await relay.ws(token));
  for (let round = 0; round < 10; round++) {
    const ws = await relay.ws(token);
    await db.query('UPDATE users SET name = $1 WHERE id = 1', [`round ${round}`]);
    await ws.count(1);
    assert.equal(ws.events[0].data.name, `round ${round}`);
    assert.ok(BigInt(ws.events[0].id) > BigInt(ws.welcome.id));
  }
});
