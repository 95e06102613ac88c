// Prevents: a secret that leaves because its column has another name than FILTERS knows: renamed and its name given to a new
// column, swapped with another, in a table that was renamed too; seen by the drift check or by the next start.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, usePostgres } from './lib/harness.mjs';
import { Database } from './lib/postgres.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const postgres = usePostgres();
const secret = 'hunter2-renamed';

async function people(t, sql = '') {
  const db = await postgres.database(t, `CREATE TABLE people (id int PRIMARY KEY, owner int, name text, secret text); ${sql}`);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { tables: 'people', routing: { people: 'owner' }, filters: 'people.secret', env: { OLD_ROWS: '*' } });
  relay.secret(secret);
  await db.query(`INSERT INTO people VALUES (1, 1, 'Anna', '${secret}')`);
  const ws = await relay.ws(token);
  return { db, token, relay, ws };
}

const last = async (relay, ws) => {
  await relay.fence(ws);
  return ws.events.at(-1);
};

test('renamed, and its name given to a new column: both are withheld, /ready says so, also after a restart', async (t) => {
  const { db, token, relay, ws } = await people(t);
  await db.query('ALTER TABLE people RENAME secret TO old_secret; UPDATE people SET name = name');
  await relay.notReady();
  await db.query(`ALTER TABLE people ADD COLUMN secret text; UPDATE people SET secret = '${secret}-new'`);
  await until(async () => /"old_secret" of table people/.test((await relay.get('/ready')).json.message), 'the second change to be seen');
  await db.query("UPDATE people SET name = 'Ann'");
  const { data, incomplete } = await last(relay, ws);
  assert.deepEqual([data, incomplete], [{ id: 1, owner: 1, name: 'Ann' }, undefined]);
  await relay.stop();
  await relay.start({ ready: false });
  await until(async () => /"old_secret" of table people/.test((await relay.get('/ready')).json.message), 'the restarted relay to say so');
  const again = await relay.ws(token);
  await db.query("UPDATE people SET name = 'A'");
  assert.deepEqual((await last(relay, again)).data, { id: 1, owner: 1, name: 'A' });
  // Named in FILTERS, all is well.
  await relay.stop();
  await relay.start({ filters: 'people.secret,people.old_secret' });
  const third = await relay.ws(token);
  await db.query("UPDATE people SET name = 'B'");
  assert.deepEqual((await last(relay, third)).data, { id: 1, owner: 1, name: 'B' });
});

test('renamed and replaced at once, while no relay runs; --uninstall forgets', async (t) => {
  const { db, token, relay } = await people(t);
  await relay.kill();
  await db.query('ALTER TABLE people RENAME secret TO remark; ALTER TABLE people ADD COLUMN secret text');
  await relay.start({ ready: false });
  const ws = await relay.ws(token);
  await db.query("UPDATE people SET name = 'Ann'");
  assert.deepEqual((await last(relay, ws)).data, { id: 1, owner: 1, name: 'Ann' });
  assert.match((await relay.get('/ready')).json.message, /"remark".*people\.secret.*add people\.remark to FILTERS/);
  await relay.stop();
  await db.query("UPDATE people SET remark = 'may be told'");
  assert.equal((await runToEnd(t, { db, args: ['--uninstall'], env: { TABLE_NAMES: 'people' } })).code, 0);
  await relay.start();
  const free = await relay.ws(token);
  await db.query("UPDATE people SET name = 'A'");
  assert.deepEqual((await last(relay, free)).data, { id: 1, owner: 1, name: 'A', remark: 'may be told' });
});

test('two columns that swapped their names: neither leaves', async (t) => {
  const { db, relay, ws } = await people(t);
  await db.query('BEGIN; ALTER TABLE people RENAME secret TO tmp; ALTER TABLE people RENAME name TO secret; ALTER TABLE people RENAME tmp TO name; COMMIT');
  await relay.notReady();
  await db.query('UPDATE people SET owner = owner');
  assert.deepEqual((await last(relay, ws)).data, { id: 1, owner: 1 });
});

test('a table of COLUMNS: a column that was not sent is not sent under the name of one that was', async (t) => {
  const db = await postgres.database(t, 'CREATE TABLE people (id int PRIMARY KEY, owner int, name text, secret text)');
  const relay = await startRelay(t, db, { tables: 'people', routing: { people: 'owner' }, env: { COLUMNS: 'people.id,people.name' } });
  relay.secret(secret);
  const ws = await relay.ws(await db.user(1));
  await db.query(`INSERT INTO people VALUES (1, 1, 'Anna', '${secret}')`);
  await relay.fence(ws);
  await db.query('ALTER TABLE people DROP COLUMN name');
  await relay.notReady();
  await db.query('ALTER TABLE people RENAME secret TO name');
  await until(async () => /"name" of table people/.test((await relay.get('/ready')).json.message), 'the rename to be seen');
  await db.query('UPDATE people SET owner = owner');
  assert.deepEqual((await last(relay, ws)).data, { id: 1 });
});

test('the table renamed with its column, both watched names taken by another: it stays inside', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE people (id int PRIMARY KEY, owner int, secret text); CREATE TABLE others (id int PRIMARY KEY, owner int, open text)`);
  const relay = await startRelay(t, db, { tables: 'people,others', routing: { people: 'owner', others: 'owner' }, filters: 'people.secret' });
  relay.secret(secret);
  const ws = await relay.ws(await db.user(1));
  await db.query('BEGIN; ALTER TABLE people RENAME TO tmp; ALTER TABLE others RENAME TO people; ALTER TABLE tmp RENAME TO others; COMMIT');
  await relay.notReady();
  await db.query('ALTER TABLE people RENAME open TO secret');
  await until(async () => /"secret" of table others/.test((await relay.get('/ready')).json.message), 'the rename to be seen');
  await db.query(`INSERT INTO others VALUES (1, 1, '${secret}'); INSERT INTO people VALUES (2, 1, '${secret}')`);
  await relay.fence(ws);
  assert.deepEqual(ws.events.slice(-2).map(({ table, data }) => [table, data]), [['others', { id: 1, owner: 1 }], ['people', { id: 2, owner: 1 }]]);
});

// What was restored has other numbers: of the tables, which stand in the names of trigger functions, and of columns behind one that was dropped.
for (const numbers of ['other numbers', 'the number of another watched table in its function']) {
  test(`renamed, and its name given to a new column, then dumped and restored with ${numbers}`, async (t) => {
    const { db, relay } = await people(t, 'ALTER TABLE people DROP COLUMN name, DROP COLUMN secret; ALTER TABLE people ADD COLUMN name text, ADD COLUMN secret text; CREATE TABLE others (id int PRIMARY KEY, a int, b int, c int)');
    await relay.stop();
    await relay.start({ tables: 'people,others', routing: { people: 'owner', others: '*' } });
    await db.query('ALTER TABLE people RENAME secret TO old_secret; ALTER TABLE people ADD COLUMN secret text');
    await until(async () => /"old_secret" of table people/.test((await relay.get('/ready')).json.message), 'the rename to be seen');
    await relay.stop();
    const name = `restored_${numbers.length}`, file = join(postgres.scratch, `${name}.sql`);
    await postgres.command('pg_dump', ['-d', db.url, '-f', file]);
    await postgres.once('postgres', `CREATE DATABASE ${name}`);
    await postgres.command('psql', ['-q', '-v', 'ON_ERROR_STOP=1', '-d', postgres.url(name), '-f', file]);
    const restored = new Database(postgres, name);
    t.defer(() => restored.close());
    if (numbers.startsWith('the')) {
      const { rows: [{ before }] } = await db.query("SELECT 'people'::regclass::oid AS before");
      const { rows: [{ now }] } = await restored.query("SELECT 'others'::regclass::oid AS now");
      await restored.query(`ALTER FUNCTION esink.capture_${before}() RENAME TO capture_${now}`);
    }
    const again = await startRelay(t, restored, { ...relay.options, ready: false });
    again.secret(secret);
    const ws = await again.ws(await restored.user(1));
    await restored.query("UPDATE people SET name = 'Ann'; INSERT INTO others VALUES (1, 2, 3, 4)");
    await again.fence(ws);
    assert.deepEqual(ws.events.slice(-2).map(({ data }) => data), [{ id: 1, owner: 1, name: 'Ann' }, { id: 1, a: 2, b: 3, c: 4 }]);
    assert.match((await again.get('/ready')).json.message, /"old_secret" of table people was withheld as public.people.secret/);
  });
}
