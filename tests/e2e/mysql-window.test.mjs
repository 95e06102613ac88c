// Prevents: a withheld column's values told under another name by rows that were written between an ALTER TABLE that gives names
// to other columns and the relay's next look, or while no relay ran; whole rows lost over an ALTER TABLE that does no harm; and writes of the application that fail
// for longer than docs/OPERATIONS.md says because a column is gone.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { databaseOf } from './lib/databases.mjs';
import { test } from './lib/harness.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { ascending } from './lib/shapes.mjs';
import { until } from './lib/wait.mjs';
import { operator } from './source/suite.mjs';

const database = databaseOf('mysql');
after(() => database.stop());
const secret = 'hunter2-window';
const open = 'CREATE TABLE people (id int PRIMARY KEY, owner int, name text, note text, secret text)';
const keyed = 'CREATE TABLE people (secret varchar(40), owner int, name text, id varchar(40) PRIMARY KEY)';
const routed = 'CREATE TABLE people (id int PRIMARY KEY, owner varchar(40), name text, secret varchar(40))';
const swapped = 'ALTER TABLE people CHANGE name secret text, CHANGE secret name text';

async function watch(t, schema, { live = true, filters = 'people.secret' } = {}) {
  const db = await database.database(t, schema);
  const relay = await startRelay(t, db, { tables: 'people', routing: { people: 'owner' }, filters, env: { SECURITY_TOKEN: operator, OLD_ROWS: '*' } });
  relay.secret(secret);
  const clients = [await relay.ws(await db.user(1)), await relay.operator()];
  const { position } = clients[1];
  if (!live) await relay.stop();
  // Everything that anybody is told, live and read again; the end of the test looks for the secret in all of it.
  const all = async (changes = {}) => {
    if (!live) {
      await relay.start({ ready: false, ...changes }); // which complains of a column that may be the withheld one
      await until(() => /capture is live(?![^]*ended)/.test(relay.log), () => relay.log);
    }
    const again = [await relay.ws(db.tokens.get(1), { after: position }), await relay.operator({ after: position })];
    await relay.fence(...again, ...(live ? clients : []));
    if (live) assert.deepEqual(again[1].texts.filter((text) => text.includes('"people"')), clients[1].texts.filter((text) => text.includes('"people"')));
    const [user, boss] = again.map((client) => client.events.filter(({ table }) => table === 'people'));
    ascending(boss);
    for (const client of [...clients, ...again]) client.checkSecrets([secret]);
    return { user, boss, ids: boss.map(({ data }) => data.id) };
  };
  return { db, relay, all };
}

// By place: the secret goes where the secrets are, whatever that column is called now.
const rows = (from, to) => `INSERT INTO people VALUES ${Array.from({ length: to - from + 1 }, (_, i) => `(${from + i}, 1, 'n', 'note', '${secret}-${from + i}')`).join(', ')}`;
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

for (const live of [true, false]) {
  const when = live ? 'under a running relay' : 'while no relay runs';

  test(`two columns swap their names, and rows are written, ${when}: told by their keys`, async (t) => {
    const { db, all } = await watch(t, open, { live });
    await db.query(`${rows(1, 3)}; ${swapped}; ${rows(4, 6)}; UPDATE people SET owner = owner WHERE id = 1; UPDATE people SET owner = 2 WHERE id = 2; DELETE FROM people WHERE id = 3`);
    const { user, boss, ids } = await all();
    assert.deepEqual(ids, [...upTo(6), 1, 2, 3]);
    for (const event of boss.slice(3)) assert.deepEqual([Object.keys(event.data), event.incomplete, event.old], [['id'], true, undefined]);
    assert.deepEqual(user.map(({ type, data }) => `${type} ${data.id}`).slice(3), ['insert 4', 'insert 5', 'insert 6', 'update 1', 'delete 2', 'delete 3'], 'for whom they are is sure');
  });

  test(`a column is dropped and the withheld one takes its name, ${when}: told by their keys`, async (t) => {
    const { db, all } = await watch(t, open, { live });
    await db.query(`ALTER TABLE people DROP COLUMN note, CHANGE secret note text; INSERT INTO people VALUES (1, 1, 'n', '${secret}'); UPDATE people SET name = 'm'`);
    const { boss, user } = await all({ filters: undefined }); // with which no relay starts any more
    for (const list of [boss, user]) assert.deepEqual(list.map(({ data, incomplete }) => [data, incomplete]), [[{ id: 1 }, true], [{ id: 1 }, true]]);
  });

  test(`the routing column and the withheld one swap their names, ${when}: told to nobody, without a value`, async (t) => {
    const { db, all } = await watch(t, routed, { live });
    await db.query(`ALTER TABLE people CHANGE owner secret varchar(40), CHANGE secret owner varchar(40); INSERT INTO people VALUES (1, '${secret}', 'n', '1')`);
    const { boss, user } = await all();
    assert.deepEqual([boss.map(({ type, data, incomplete }) => [type, data, incomplete]), user], [[['insert', {}, true]], []]);
  });

  test(`the key and the withheld column swap their names, ${when}: told to nobody, without a value`, async (t) => {
    const { db, all } = await watch(t, keyed, { live });
    await db.query(`ALTER TABLE people CHANGE id secret varchar(40), CHANGE secret id varchar(40), DROP PRIMARY KEY, ADD PRIMARY KEY (id); INSERT INTO people VALUES ('${secret}', 1, 'n', 'k')`);
    const { boss, user } = await all();
    assert.deepEqual([boss.map(({ data, incomplete }) => [data, incomplete]), user], [[[{}, true]], []]);
  });

  test(`columns are added and dropped, ${when}: no row is told less than whole`, async (t) => {
    const { db, all } = await watch(t, open, { live });
    await db.query(`${rows(1, 3)}; ALTER TABLE people ADD COLUMN city text AFTER owner, ADD COLUMN zip text FIRST;
      INSERT INTO people (id, owner, name, note, secret) VALUES (4, 1, 'n', 'note', '${secret}'), (5, 1, 'n', 'note', '${secret}')`);
    const { boss, user } = await all();
    for (const list of [boss, user]) assert.deepEqual(list.map(({ data: { id, name, note }, incomplete }) => [id, name, note, incomplete]), upTo(5).map((id) => [id, 'n', 'note', undefined]));
  });
}

test('names are swapped again and again while sessions write without a pause: nothing leaks, nothing is lost or told twice', async (t) => {
  const { db, relay, all } = await watch(t, open);
  let written = 0, done = false;
  const writer = async () => {
    const session = await db.connect();
    while (!done) {
      const n = ++written;
      await session.query(rows(n, n));
      await session.query(`UPDATE people SET owner = owner WHERE id = ${n}`);
    }
  };
  const writers = [writer(), writer(), writer()];
  for (let round = 0; round < 4; round++) {
    const from = written;
    await until(() => written > from + 100, 'writers to write');
    await db.query(swapped);
    // Whole again: the triggers were made anew. What stood where a withheld column stood is withheld, too.
    await until(async () => Number((await db.query('SELECT COUNT(*) AS n FROM esink_shape')).rows[0].n) >= 3 + round, () => relay.log);
  }
  done = true;
  await Promise.all(writers);
  const { boss } = await all();
  assert.deepEqual(boss.filter(({ type }) => type === 'insert').map(({ data }) => data.id).sort((a, b) => a - b), upTo(written));
  assert.equal(boss.filter(({ type }) => type === 'update').length, written);
  assert.ok(boss.some(({ incomplete }) => incomplete), 'rows were written in the window');
  const eye = await relay.operator();
  await until(async () => {
    await db.query(rows(++written, written));
    await relay.fence(eye);
    return eye.events.some(({ data, incomplete }) => data.note && !incomplete);
  }, 'whole rows again');
});

test('a relay that is killed after it made the triggers anew, and names that are swapped back: what was in doubt stays so', async (t) => {
  const { db, relay, all } = await watch(t, open, { live: false });
  await db.query(`${swapped}; ${rows(1, 3)}`);
  const holder = await db.connect();
  await holder.query('BEGIN; SELECT id FROM esink_pubsub FOR UPDATE'); // so that nothing is moved
  await relay.start({ ready: false });
  await until(async () => Number((await db.query("SELECT COUNT(*) AS n FROM esink_shape WHERE topic = 'people' AND retired IS NOT NULL")).rows[0].n) === 1, () => relay.log);
  await relay.kill();
  await holder.query('COMMIT');
  await db.query(swapped);
  const { boss } = await all();
  assert.deepEqual(boss.map(({ data, incomplete }) => [data, incomplete]), upTo(3).map((id) => [{ id }, true]));
});

test('an ALTER TABLE that waits for a long transaction holds up the events of no other table', async (t) => {
  const { db, relay, all } = await watch(t, `${open}; CREATE TABLE free (id int PRIMARY KEY)`);
  const [long, ddl] = [await db.connect(), await db.connect()];
  await db.query(rows(1, 1));
  await long.query('BEGIN; SELECT * FROM people');
  const altered = ddl.query('ALTER TABLE people ADD COLUMN city text');
  await until(async () => (await db.query("SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata lock%'")).rows.length, 'the ALTER TABLE to wait');
  const boss = await relay.operator();
  await relay.fence(boss);
  await long.query('COMMIT');
  await altered;
  const { ids } = await all();
  assert.deepEqual(ids, [1]);
});

test('a column is dropped or renamed while no relay runs: of an ordinary one no write fails; of the key or the users all do, until one has looked', async (t) => {
  const { db, relay } = await watch(t, 'CREATE TABLE people (id int PRIMARY KEY, owner int, name text, note text, secret text)');
  const boss = await relay.operator(), { position } = boss;
  await relay.stop();
  await db.query("ALTER TABLE people DROP COLUMN note; INSERT INTO people VALUES (1, 1, 'n', NULL); ALTER TABLE people RENAME COLUMN name TO called; INSERT INTO people VALUES (2, 1, 'n', NULL)");
  await db.query('ALTER TABLE people RENAME COLUMN owner TO held_by');
  const write = (id) => db.query(`INSERT INTO people VALUES (${id}, 1, 'n', NULL)`);
  await assert.rejects(write(3), /Unknown column 'owner' in 'NEW'/);
  const refused = await runToEnd(t, { db, env: { TABLE_NAMES: 'people', TABLE_AUTH_COLUMN_ROUTING: '{"people": "owner"}', FILTERS: 'people.secret' } });
  assert.equal(refused.code, 3, refused.log);
  await assert.rejects(write(3), /Unknown column 'owner' in 'NEW'/, 'a relay that does not start mends nothing');
  await relay.start({ routing: { people: 'held_by' } });
  await write(3);
  await db.query('ALTER TABLE people RENAME COLUMN id TO nr');
  await assert.rejects(write(4), /Unknown column 'id' in 'NEW'/);
  await until(() => write(4), 'a running relay to have looked');
  const again = await relay.operator({ after: position });
  await relay.fence(again);
  assert.deepEqual(again.events.filter(({ table }) => table === 'people').map(({ data, incomplete }) => [data, !!incomplete]),
    [[{ id: 1 }, true], [{ id: 2 }, true], [{ id: 3, held_by: 1, called: 'n' }, false], [{ nr: 4, held_by: 1, called: 'n' }, false]]);
});
