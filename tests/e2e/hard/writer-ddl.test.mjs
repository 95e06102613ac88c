// Prevents: an application's write that fails or loses its event while its table is altered, renamed, moved, emptied or
// dropped: the trigger function was made for the table as it was, and is made anew only within a second.
import assert from 'node:assert/strict';
import { test, usePostgres } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { ascending } from '../lib/shapes.mjs';
import { until } from '../lib/wait.mjs';
import { Writers } from '../lib/writers.mjs';

const postgres = usePostgres();
const operator = 'operators-own-token-4711';

// Writers that never name a column that comes and goes, so that a failure is ours.
async function watch(t, options = {}) {
  const db = await postgres.database(t, `CREATE TABLE notes (id bigserial PRIMARY KEY, user_id int DEFAULT 1, body text DEFAULT 'b', secret text DEFAULT 'hunter2-hidden', n int DEFAULT 5)`);
  const relay = await startRelay(t, db, { tables: 'notes', routing: { notes: 'user_id' }, filters: 'notes.secret', ...options,
    env: { SECURITY_TOKEN: operator, OLD_ROWS: 'notes', ...options.env } });
  relay.secret('hunter2-hidden');
  const [ws, boss] = [await relay.ws(await db.user(1)), await relay.operator()];
  const writers = await new Writers().start(t, db, 3, (n) => ['INSERT INTO notes DEFAULT VALUES', 'UPDATE notes SET id = id WHERE id = (SELECT max(id) FROM notes)',
    `WITH gone AS (SELECT min(id) AS id FROM notes) DELETE FROM notes USING gone WHERE notes.id = gone.id AND ${n} % 5 = 0`][n % 3]);
  return { db, relay, ws, boss, writers };
}

// Once the drift check has made the function anew: a row written from now on is whole, and looks like this.
async function settled(boss, fits, what) {
  const from = boss.events.length;
  await until(() => boss.events.slice(from).some((event) => event.type === 'insert' && fits(event)), what);
}

const whole = (...columns) => ({ incomplete, data }) => !incomplete && columns.join() === Object.keys(data).join();
const keyOnly = ({ incomplete, data }) => incomplete === true && Object.keys(data).join() === 'id';

// Every row was told once as inserted, every row that is gone as deleted, whatever of it could be shown.
async function counted({ db, relay, boss, writers }) {
  assert.deepEqual(await writers.stop(), []);
  await relay.fence(boss);
  ascending(boss.events);
  const { drawn, left } = (await db.query("SELECT (SELECT last_value FROM notes_id_seq)::int AS drawn, count(*)::int AS left FROM notes")).rows[0];
  assert.deepEqual(['insert', 'delete'].map((type) => boss.events.filter((event) => event.type === type).length), [drawn, drawn - left]);
}

// And every row that the table holds was told under its key.
async function complete(all) {
  await counted(all);
  const { db, boss } = all;
  const told = new Set();
  for (const { type, data } of boss.events) {
    if (type === 'insert') told.add(data.id);
    if (type === 'delete') told.delete(data.id);
  }
  const rows = (await db.query('SELECT id::int FROM notes ORDER BY id')).rows.map(({ id }) => id);
  assert.deepEqual([...told].sort((a, b) => a - b), rows);
}

test('columns added, renamed, retyped and dropped, plain ones: no write fails, every row is told, then whole again', async (t) => {
  const all = await watch(t);
  const { db, ws, boss } = all;
  await settled(boss, whole('id', 'user_id', 'body', 'n'), 'whole rows');
  await db.query('ALTER TABLE notes RENAME body TO words');
  await settled(boss, whole('id', 'user_id', 'words', 'n'), 'the new name');
  await db.query("ALTER TABLE notes ADD body jsonb DEFAULT '{\"k\": 1}', ALTER n TYPE text USING 'five', ALTER n SET DEFAULT 'five'");
  await settled(boss, ({ data }) => data.body?.k === 1 && data.n === 'five', 'the new types');
  await settled(ws, ({ data }) => data.body?.k === 1 && data.n === 'five', 'the new types');
  await db.query('ALTER TABLE notes ALTER user_id TYPE bigint, ALTER id TYPE int');
  await settled(boss, ({ incomplete, data }) => !incomplete && data.user_id === 1, 'after the key and the routing column were retyped');
  await db.query('ALTER TABLE notes DROP words, DROP n');
  await settled(boss, whole('id', 'user_id', 'body'), 'without the dropped ones');
  await db.query('ALTER TABLE notes DROP CONSTRAINT notes_pkey, ADD PRIMARY KEY (id, user_id)');
  await settled(boss, whole('id', 'user_id', 'body'), 'another key');
  await counted(all);
  await all.relay.fence(ws);
  assert.deepEqual(ws.events.filter(({ type }) => type === 'insert').length, boss.events.filter(({ type }) => type === 'insert').length,
    'the user got every row although it was incomplete');
});

for (const [what, ddl, name] of [['renamed', 'RENAME secret TO open', 'notes.secret'], ['dropped', 'DROP secret', 'notes.secret']]) {
  test(`the filtered column is ${what}: no write fails, keys alone are told, /ready names it, until the configuration is mended`, async (t) => {
    const all = await watch(t);
    const { db, relay, boss } = all;
    await settled(boss, whole('id', 'user_id', 'body', 'n'), 'whole rows');
    await db.query(`ALTER TABLE notes ${ddl}`);
    await relay.notReady();
    assert.match((await relay.get('/ready')).json.message, new RegExp(`^FILTERS: ${name}: .* its events carry keys alone until`));
    await settled(boss, keyOnly, 'keys alone');
    await db.query(what === 'renamed' ? 'ALTER TABLE notes RENAME open TO secret' : "ALTER TABLE notes ADD secret text DEFAULT 'hunter2-hidden'");
    await relay.ready();
    await settled(boss, whole('id', 'user_id', 'body', 'n'), 'whole rows again');
    await complete(all);
  });
}

for (const [what, ddl, undo] of [['renamed', 'RENAME user_id TO owner', 'RENAME owner TO user_id'], ['dropped', 'DROP user_id', 'ADD user_id int DEFAULT 1']]) {
  test(`the routing column is ${what}: no write fails, nobody is told but the operator, and keys alone, until it is back`, async (t) => {
    const all = await watch(t);
    const { db, relay, ws, boss } = all;
    await settled(boss, whole('id', 'user_id', 'body', 'n'), 'whole rows');
    await db.query(`ALTER TABLE notes ${ddl}`);
    await relay.notReady();
    assert.match((await relay.get('/ready')).json.message, /^TABLE_AUTH_COLUMN_ROUTING: notes\.user_id: .* reach no user, and the operator and consumers with keys alone, until/);
    await settled(boss, keyOnly, 'keys alone');
    await relay.fence(ws, boss);
    const [mine, theirs] = [ws.events.length, boss.events.length];
    await until(() => boss.events.length > theirs + 20, 'writes to go on');
    assert.equal(ws.events.length, mine, 'nobody can be who sees a row without its routing column');
    await db.query(`ALTER TABLE notes ${undo}`);
    await relay.ready();
    await settled(ws, ({ incomplete, data }) => !incomplete && data.body === 'b', 'whole rows for the user');
    await complete(all);
  });
}

test('TRUNCATE, also with RESTART IDENTITY CASCADE and of several tables, under load', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE notes (id serial PRIMARY KEY, body text);
    CREATE TABLE lines (id serial PRIMARY KEY, note int REFERENCES notes ON DELETE CASCADE, body text)`);
  const relay = await startRelay(t, db, { tables: 'notes,lines', env: { SECURITY_TOKEN: operator, RETENTION: '1s' } });
  const boss = await relay.operator();
  const writers = await new Writers().start(t, db, 3, (n) => [
    "INSERT INTO notes (body) VALUES ('x')", "UPDATE notes SET body = 'z' WHERE id = (SELECT max(id) FROM notes)",
    // In TRUNCATE's order: the foreign key's own check would take them the other way round, and deadlock without us as well.
    'LOCK TABLE notes IN ROW SHARE MODE; INSERT INTO lines (body) VALUES (1)'][n % 3]);
  for (const sql of ['TRUNCATE notes CASCADE', 'TRUNCATE notes RESTART IDENTITY CASCADE', 'TRUNCATE notes, lines RESTART IDENTITY', 'TRUNCATE lines', 'BEGIN; TRUNCATE notes CASCADE; ROLLBACK']) {
    const from = boss.events.length;
    await db.query(sql);
    await until(() => boss.events.slice(from).filter(({ type }) => type === 'insert').length > 10, 'writes to go on');
  }
  assert.deepEqual(await writers.stop(), []);
  await relay.fence(boss);
  ascending(boss.events);
  assert.deepEqual(['notes', 'lines'].map((table) => boss.events.filter((e) => e.table === table && e.type === 'truncate').length), [3, 4]);
  // What the tables hold is what was told: replayed, the events give the rows.
  const held = { notes: new Map(), lines: new Map() };
  for (const { table, type, data } of boss.events) {
    if (type === 'truncate') held[table].clear();
    else if (type === 'delete') held[table].delete(data.id);
    else held[table].set(data.id, data.body);
  }
  for (const table of ['notes', 'lines']) {
    assert.deepEqual([...held[table]].sort(([a], [b]) => a - b), (await db.query(`SELECT id, body FROM ${table} ORDER BY id`)).rows.map(({ id, body }) => [id, body]), table);
  }
});

test('RENAME, SET SCHEMA and DROP TABLE under load: no write fails that would not without us, and a table that comes back is watched', async (t) => {
  const db = await postgres.database(t, 'CREATE SCHEMA attic; CREATE TABLE notes (id bigserial PRIMARY KEY, body text); CREATE TABLE other (id bigserial PRIMARY KEY)');
  const relay = await startRelay(t, db, { tables: 'notes,other', env: { SECURITY_TOKEN: operator } });
  let boss = await relay.operator();
  const again = async () => {
    await relay.sentAway(boss);
    boss = await relay.operator();
  };
  // An updatable view follows its table wherever that goes.
  await db.query('CREATE VIEW always AS SELECT * FROM notes');
  const writers = await new Writers().start(t, db, 3, (n) => (n % 2 ? "INSERT INTO always (body) VALUES ('x')" : 'INSERT INTO other DEFAULT VALUES'));
  for (const [away, back] of [['ALTER TABLE notes RENAME TO gone', 'ALTER TABLE gone RENAME TO notes'], ['ALTER TABLE notes SET SCHEMA attic', 'ALTER TABLE attic.notes SET SCHEMA public']]) {
    await db.query(away);
    await relay.notReady();
    assert.match((await relay.get('/ready')).json.message, /TABLE_NAMES: there is no table "notes"/);
    const others = boss.events.filter(({ table }) => table === 'other').length;
    await until(() => boss.events.filter(({ table }) => table === 'other').length > others + 10, 'the other table to be told meanwhile');
    await db.query(back);
    await relay.ready();
    await again();
    const from = boss.events.length;
    await until(() => boss.events.slice(from).some(({ table }) => table === 'notes'), 'the table to be told again');
  }
  await db.query('DROP VIEW always; DROP TABLE notes');
  await relay.notReady();
  assert.deepEqual((await writers.stop()).filter((text) => !/relation "always" does not exist/.test(text)), []);
  await db.query('CREATE TABLE notes (id int PRIMARY KEY, body text)');
  await relay.ready();
  await again();
  await db.query("INSERT INTO notes VALUES (1, 'new')");
  await relay.fence(boss);
  assert.deepEqual(boss.events.at(-1).data, { id: 1, body: 'new' });
  // Nothing of the other table was lost meanwhile.
  const told = [];
  for (let after = 0; after !== null;) {
    const { json } = await relay.get(`/events?table=other&after=${after}`, { headers: { authorization: `Bearer ${operator}` } });
    told.push(...json.events.map(({ data }) => data.id));
    after = json.next;
  }
  assert.deepEqual(told.sort((a, b) => a - b), (await db.query('SELECT id::int FROM other ORDER BY 1')).rows.map(({ id }) => id));
});
