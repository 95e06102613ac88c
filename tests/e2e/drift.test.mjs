// Prevents: rows of a table that has left a watched one being told all the same, one odd table stopping every other, a
// filtered column leaving under a new name, writers that wait or fail when a server or database was changed under us.
import assert from 'node:assert/strict';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { triggers } from './lib/catalogue.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();

const gone = (db, table) => until(async () => !(await triggers(db))[table], `the triggers of ${table} to go`);

test('a child that leaves its parent, a partition that is detached: not told any more; those that stay are', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE a (id int, user_id int); CREATE TABLE kid () INHERITS (a); CREATE TABLE other () INHERITS (a);
    CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)`);
  const relay = await startRelay(t, db, { tables: 'a,p', routing: { a: 'user_id', p: '*' } });
  const ws = await relay.ws(await db.user(1));
  await db.query('ALTER TABLE kid NO INHERIT a; ALTER TABLE p DETACH PARTITION p1');
  await gone(db, 'kid');
  await gone(db, 'p1');
  await db.query('INSERT INTO kid VALUES (1, 1); TRUNCATE kid; INSERT INTO p1 VALUES (1); TRUNCATE p1');
  await db.query('INSERT INTO other VALUES (2, 1); INSERT INTO p2 VALUES (2); INSERT INTO a VALUES (3, 1)');
  await relay.fence(ws);
  assert.deepEqual(ws.events.map(({ table, data }) => [table, data.id]), [['a', 2], ['p', 2], ['a', 3]]);
});

test('a table that becomes the child of two watched ones: /ready says so, everything else goes on', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE a (id int, user_id int); CREATE TABLE b (id int, user_id int)');
  const relay = await startRelay(t, db, { tables: 'a,b', routing: { a: 'user_id', b: 'user_id' } });
  const ws = await relay.ws(await db.user(1));
  await db.query('CREATE TABLE kid () INHERITS (a, b); INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (2, 1)');
  await relay.notReady();
  assert.match((await relay.get('/ready')).json.message, /public\.kid belongs to/);
  await db.query('INSERT INTO kid VALUES (3, 1); INSERT INTO a VALUES (4, 1)');
  await relay.fence(ws);
  assert.deepEqual(ws.events.map(({ data }) => data.id), [1, 2, 3, 4]);
  await db.query('DROP TABLE kid');
  await relay.ready();
  await db.query('ALTER TABLE b INHERIT a');
  await relay.notReady();
  await db.query('INSERT INTO b VALUES (5, 1)');
  await relay.fence(ws);
  assert.deepEqual(ws.events.slice(4).map(({ table, data }) => [table, data.id]), [['b', 5]]);
});

test('one of several routing columns is dropped: whom the others name is told, by key, at once and afterwards', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE bills (id int PRIMARY KEY, made_by int, seen_by int, viewers int[], total int)');
  const relay = await startRelay(t, db, { tables: 'bills', routing: { bills: ['made_by', 'seen_by', 'viewers'] } });
  const users = [await relay.ws(await db.user(1)), await relay.ws(await db.user(2)), await relay.ws(await db.user(3))];
  await db.query('INSERT INTO bills VALUES (1, 1, 2, ARRAY[3], 10), (2, 1, 2, ARRAY[3], 10)');
  await db.query(`BEGIN; ALTER TABLE bills DROP COLUMN seen_by; INSERT INTO bills VALUES (3, 1, '{3}', 10); UPDATE bills SET made_by = 2 WHERE id = 1;
    DELETE FROM bills WHERE id = 2; COMMIT`);
  await relay.notReady();
  await db.query("INSERT INTO bills VALUES (4, 1, '{3}', 10)");
  const told = async (ws) => {
    await relay.fence(ws);
    return ws.events.slice(2).map(({ type, data, incomplete }) => [type, data, incomplete]);
  };
  assert.deepEqual(await told(users[0]), [['insert', { id: 3 }, true], ['delete', { id: 1 }, true], ['delete', { id: 2 }, true], ['insert', { id: 4 }, true]]);
  assert.deepEqual(await told(users[1]), [['update', { id: 1 }, true]]);
  assert.deepEqual(await told(users[2]), [['insert', { id: 3 }, true], ['update', { id: 1 }, true], ['delete', { id: 2 }, true], ['insert', { id: 4 }, true]]);
});

test('a filtered column of the primary key is withheld under its new name too, the rest of the key is not', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE people (ssn text, n int, user_id int, PRIMARY KEY (ssn, n))');
  const relay = await startRelay(t, db, { tables: 'people', routing: { people: 'user_id' }, filters: 'people.ssn' });
  relay.secret('078-05-1120-moving');
  const ws = await relay.ws(await db.user(1));
  await db.query('ALTER TABLE people RENAME ssn TO number');
  await relay.notReady();
  await db.query("INSERT INTO people VALUES ('078-05-1120-moving', 7, 1)");
  await relay.fence(ws);
  assert.deepEqual([ws.events[0].data, ws.events[0].incomplete], [{ n: 7 }, true]);
});

test('a server restarted with two-phase commit while no relay runs: PREPARE does not fail', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int)');
  const relay = await startRelay(t, db, { tables: 'notes' });
  await until(async () => (await db.query('SELECT last_value FROM esink.sleep')).rows[0].last_value === '1', 'the relay to sleep');
  await relay.kill();
  postgres.configure({ max_prepared_transactions: 2 });
  await db.close();
  await postgres.restart();
  const name = new URL(db.url).pathname.slice(1);
  await postgres.once(name, "BEGIN; INSERT INTO notes VALUES (1); PREPARE TRANSACTION 'two'");
  await postgres.once(name, "COMMIT PREPARED 'two'");
});

test('a copied database: its writers do not wait for the new journal, and lose nothing to it', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE notes (id int, user_id int)');
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' } });
  const token = await db.user(1);
  await relay.kill();
  await db.query('INSERT INTO notes VALUES (1, 1)');
  await db.query("UPDATE esink.meta SET system_identifier = 1"); // what a copy looks like
  const long = await db.connect();
  await long.query('BEGIN; INSERT INTO notes VALUES (2, 1)');
  await relay.start({ ready: false });
  await until(async () => /another transaction writes/.test((await relay.get('/ready')).json.message), 'the relay to say what it waits for');
  const writer = await db.connect();
  await writer.query("SET statement_timeout = '3s'");
  for (let n = 3; n < 20; n++) await writer.query(`INSERT INTO notes VALUES (${n}, 1)`);
  await long.query('COMMIT');
  await relay.ready();
  const ws = await relay.ws(token, { after: '0' });
  await relay.fence(ws);
  assert.deepEqual(ws.events.map(({ data }) => data.id).sort((a, b) => a - b), Array.from({ length: 19 }, (_, n) => n + 1));
});
