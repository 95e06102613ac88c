// Prevents: a leak, or a writer that fails, when an application changes its tables under a running relay: a column that was
// renamed, swapped, added or dropped, a table that was renamed, made anew, rebuilt as migration tools do, triggers that were
// dropped, tables of esink that were dropped.
import assert from 'node:assert/strict';
import { storeOf } from './lib/consumers.mjs';
import { test } from './lib/harness.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { sqliteDatabase } from './lib/sqlite.mjs';
import { until } from './lib/wait.mjs';

const operator = 'operators-own-token-4711';
const users = 'CREATE TABLE users (id INTEGER PRIMARY KEY, owner INT, name TEXT, secret TEXT)';
const rules = { tables: 'users', routing: { users: 'owner' }, filters: 'users.secret', env: { SECURITY_TOKEN: operator } };
const last = (client) => client.events.filter((event) => event.table !== 'fence').at(-1);

// Until the relay has looked at a schema that changed: one more row of the table says what it sends now.
async function seen(relay, boss, write, what, accept) {
  let n = 100;
  await until(async () => {
    await write(++n);
    await relay.fence(boss);
    return accept(last(boss));
  }, () => `${what}; the last event: ${JSON.stringify(last(boss))}; ${relay.log}`);
}

test('a withheld column stays withheld under another name, also when the name comes back', async (t) => {
  const db = await sqliteDatabase(t, users);
  const relay = await startRelay(t, db, rules);
  const boss = await relay.operator();
  relay.secret('never-to-be-told');
  await db.query("ALTER TABLE users RENAME secret TO old_secret; INSERT INTO users VALUES (1, 7, 'a', 'never-to-be-told')");
  await until(async () => (await relay.get('/ready')).json.message?.includes('FILTERS: users.secret'), () => `/ready to name the column; ${relay.log}`);
  await db.query("INSERT INTO users VALUES (2, 7, 'a', 'never-to-be-told')");
  await relay.fence(boss);
  assert.deepEqual(last(boss).data, { id: 2 });
  assert.equal(last(boss).incomplete, true);
  await db.query("ALTER TABLE users ADD secret TEXT; INSERT INTO users VALUES (3, 7, 'b', 'never-to-be-told', 'never-to-be-told')");
  await seen(relay, boss, (n) => db.query(`INSERT INTO users VALUES (${n}, 7, 'c', 'never-to-be-told', 'never-to-be-told')`),
    'whole rows without either', (event) => event.data.name === 'c' && !('old_secret' in event.data));
  assert.deepEqual(Object.keys(last(boss).data), ['id', 'owner', 'name']);
  const { json } = await relay.get('/ready');
  assert.match(json.message, /column "old_secret" of table users was withheld as users.secret and then renamed/);
  // The same after a restart, and until FILTERS names it.
  await relay.kill();
  await relay.start({ ready: false });
  await until(async () => /old_secret/.test((await relay.get('/ready')).json.message), 'the complaint again');
  await relay.kill();
  await relay.start({ filters: 'users.secret,users.old_secret' });
});

test('a renamed column stays withheld when the table is rebuilt, and when its triggers were dropped by hand', async (t) => {
  const db = await sqliteDatabase(t, users);
  const relay = await startRelay(t, db, rules);
  relay.secret('never-to-be-told');
  let boss = await relay.operator();
  await db.query('ALTER TABLE users RENAME secret TO old_secret; ALTER TABLE users ADD secret TEXT');
  await until(async () => /old_secret/.test((await relay.get('/ready')).json.message), () => relay.log);
  const without = async (what, columns) => {
    await relay.sentAway(boss);
    boss = await relay.operator();
    await seen(relay, boss, (n) => db.query(`INSERT INTO users (owner, name, old_secret, secret) VALUES (7, '${what}', 'never-to-be-told', 'never-to-be-told')`),
      what, (event) => JSON.stringify(Object.keys(event.data)) === columns);
    assert.match((await relay.get('/ready')).json.message, /old_secret/);
  };
  await db.query(`BEGIN; CREATE TABLE n (id INTEGER PRIMARY KEY, owner INT, name TEXT, old_secret TEXT, secret TEXT, zip TEXT);
    INSERT INTO n SELECT *, NULL FROM users; DROP TABLE users; ALTER TABLE n RENAME TO users; COMMIT`);
  await without('rebuilt', '["id","owner","name","zip"]');
  const { rows } = await db.query("SELECT group_concat('DROP TRIGGER \"' || name || '\"', ';') AS sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'users' AND name LIKE 'esink %'");
  await db.query(`BEGIN; ${rows[0].sql}; ALTER TABLE users DROP zip; COMMIT`);
  await without('dropped', '["id","owner","name"]');
});

test('more withheld columns than a SELECT may have: writes and ALTER TABLE work, and names are followed', async (t) => {
  const names = Array.from({ length: 1100 }, (_, i) => `c${i}`);
  const db = await sqliteDatabase(t, `CREATE TABLE wide (id INTEGER PRIMARY KEY, owner INT, ${names})`);
  const relay = await startRelay(t, db, { tables: 'wide', env: { ...rules.env, COLUMNS: 'wide.id,wide.owner' } });
  relay.secret('never-to-be-told');
  const boss = await relay.operator();
  await db.query("INSERT INTO wide (id, c1099) VALUES (1, 'a'); UPDATE wide SET c1099 = 'never-to-be-told'");
  await db.query('ALTER TABLE auth RENAME token TO x; ALTER TABLE auth RENAME x TO token');
  await db.query('ALTER TABLE wide RENAME owner TO y; ALTER TABLE wide RENAME c1099 TO owner');
  await until(async () => /"owner" of table wide was withheld as wide.c1099/.test((await relay.get('/ready')).json.message), () => relay.log);
  await db.query("UPDATE wide SET owner = 'never-to-be-told', c7 = 1");
  await relay.fence(boss);
  assert.deepEqual(last(boss).data, { id: 1 });
});

test('two names that were swapped: the data that was withheld stays so', async (t) => {
  const db = await sqliteDatabase(t, users);
  const relay = await startRelay(t, db, rules);
  const boss = await relay.operator();
  relay.secret('never-to-be-told');
  await db.query("ALTER TABLE users RENAME secret TO x; ALTER TABLE users RENAME name TO secret; ALTER TABLE users RENAME x TO name; INSERT INTO users (id, owner, name, secret) VALUES (1, 7, 'never-to-be-told', 'a')");
  await seen(relay, boss, (n) => db.query(`INSERT INTO users (id, owner, name, secret) VALUES (${n}, 7, 'never-to-be-told', 'a')`),
    'rows without both', (event) => JSON.stringify(Object.keys(event.data)) === '["id","owner"]');
});

test('a schema that changed, and somebody who holds the write lock just then: the triggers are made when it is let go', async (t) => {
  const db = await sqliteDatabase(t, users);
  const relay = await startRelay(t, db, rules);
  const boss = await relay.operator();
  const writer = await db.connect();
  await writer.query("BEGIN IMMEDIATE; ALTER TABLE users ADD city TEXT DEFAULT 'x'; COMMIT; BEGIN IMMEDIATE");
  await relay.notReady();
  assert.match((await relay.get('/ready')).json.message, /locked by another process/);
  await writer.query('COMMIT');
  await seen(relay, boss, (n) => db.query(`INSERT INTO users (id, owner) VALUES (${n}, 7)`), 'the new column', (event) => event.data.city === 'x');
  await relay.ready();
});

test('a column that was added is sent once it was looked at; one that FILTERS name is never', async (t) => {
  const db = await sqliteDatabase(t, users);
  const relay = await startRelay(t, db, rules);
  const boss = await relay.operator();
  await db.query("ALTER TABLE users ADD city TEXT DEFAULT 'x'");
  await seen(relay, boss, (n) => db.query(`INSERT INTO users (id, owner) VALUES (${n}, 7)`), 'the new column', (event) => event.data.city === 'x');
});

test('a table that is dropped, made anew, rebuilt under another name', async (t) => {
  const db = await sqliteDatabase(t, users);
  const relay = await startRelay(t, db, rules);
  let boss = await relay.operator();
  relay.secret('never-to-be-told');
  await db.query('DROP TABLE users');
  await relay.notReady();
  await until(async () => (await relay.get('/ready')).json.message === 'TABLE_NAMES: there is no table "users"', () => relay.log);
  await db.query('CREATE TABLE users (id INTEGER PRIMARY KEY, owner INT, secret TEXT, city TEXT)');
  await relay.sentAway(boss);
  boss = await relay.operator();
  await seen(relay, boss, (n) => db.query(`INSERT INTO users VALUES (${n}, 7, 'never-to-be-told', 'here')`), 'the new table', (event) => event?.data.city === 'here');
  assert.match(relay.log, /users: without a trigger of esink until now/);
  // As migration tools change a table: another one, copied, renamed.
  await db.query(`BEGIN; CREATE TABLE new_users (id INTEGER PRIMARY KEY, owner INT, secret TEXT, zip TEXT);
    INSERT INTO new_users SELECT * FROM users; DROP TABLE users; ALTER TABLE new_users RENAME TO users; COMMIT`);
  await relay.sentAway(boss);
  boss = await relay.operator();
  await seen(relay, boss, (n) => db.query(`INSERT INTO users VALUES (${n + 1000}, 7, 'never-to-be-told', 'there')`), 'the rebuilt table', (event) => event?.data.zip === 'there');
  // Renamed away: no more of it is told.
  await db.query('ALTER TABLE users RENAME TO people');
  await relay.notReady();
  const told = boss.events.length;
  await db.query("INSERT INTO people VALUES (5000, 7, 'never-to-be-told', 'gone')");
  await relay.fence(boss);
  assert.equal(boss.events.length, told);
});

test('DROP COLUMN: of a column that is sent SQLite refuses it, with the triggers dropped first it works', async (t) => {
  const db = await sqliteDatabase(t, users);
  const relay = await startRelay(t, db, rules);
  let boss = await relay.operator();
  await assert.rejects(db.query('ALTER TABLE users DROP name'), /error in trigger esink/);
  await db.query('INSERT INTO users (id) VALUES (1)');
  const { rows } = await db.query("SELECT group_concat('DROP TRIGGER \"' || name || '\"', ';') AS sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'users' AND name LIKE 'esink %'");
  await db.query(`BEGIN; ${rows[0].sql}; ALTER TABLE users DROP name; COMMIT`);
  await relay.sentAway(boss);
  boss = await relay.operator();
  await seen(relay, boss, (n) => db.query(`INSERT INTO users (id, owner) VALUES (${n}, 7)`), 'the table without it', (event) => event?.data.owner === 7 && !('name' in event.data));
});

test('tables of esink that were dropped: made again, with a new journal, and writers work', async (t) => {
  const db = await sqliteDatabase(t, users);
  const relay = await startRelay(t, db, rules);
  const { journal } = (await relay.operator()).welcome;
  await db.query('DROP TABLE esink_event');
  // SQLite itself notices that the schema is another one with a SELECT, not with a write whose trigger it cannot compile.
  await until(() => db.query("SELECT 1 FROM users; INSERT INTO users (owner, name) VALUES (7, 'a')").then(() => true), () => `writes that work again; ${relay.log}`);
  await relay.ready();
  const boss = await until(async () => { const client = await relay.operator(); return client.welcome.journal !== journal && client; }, 'a new journal');
  await db.query("INSERT INTO users (owner, name) VALUES (7, 'b')");
  await relay.fence(boss);
  assert.equal(last(boss).data.name, 'b');
});

test('fewer tables, other filters: a start takes triggers out and makes them anew; unchanged, it writes nothing', async (t) => {
  const db = await sqliteDatabase(t, `${users}; CREATE TABLE other (id INTEGER PRIMARY KEY)`);
  const relay = await startRelay(t, db, { ...rules, tables: 'users,other' });
  const version = async () => (await db.query('PRAGMA schema_version')).rows[0].schema_version;
  const before = await version();
  await relay.stop();
  await relay.start();
  assert.equal(await version(), before);
  await relay.stop();
  await relay.start({ tables: 'users', filters: 'users.secret,users.name' });
  const { rows } = await db.query("SELECT count(*) AS n FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'other'");
  assert.equal(rows[0].n, 0);
  const boss = await relay.operator();
  await db.query("INSERT INTO users VALUES (1, 7, 'a', 'b'); INSERT INTO other VALUES (1)");
  await relay.fence(boss);
  assert.deepEqual(boss.events.filter((event) => event.table !== 'fence').map((event) => event.data), [{ id: 1, owner: 7 }]);
});

test('what rows of a version of a table mean is known as long as a consumer keeps them, and no longer', async (t) => {
  const store = storeOf('sqlite');
  const db = await sqliteDatabase(t, 'CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)');
  const relay = await startRelay(t, db, { tables: 'a,b', fence: false, env: { SECURITY_TOKEN: operator, RETENTION: '1s', CONSUMER_MAX_SILENCE: '1h' } });
  await store.register(db, 'slow', 0);
  await db.query('INSERT INTO b VALUES (1); INSERT INTO a VALUES (1); ALTER TABLE a ADD COLUMN more TEXT');
  const one = async (sql) => (await db.query(sql)).rows[0].n;
  const retired = await until(() => one("SELECT max(retired) AS n FROM esink_shape WHERE topic = 'a'"), () => `a new version; ${relay.log}`);
  // Twice RETENTION, and a look or two at what may go.
  await until(() => one(`SELECT julianday('now') - ${retired} > 4 / 86400.0 AS n`), 'the version to be an old one', 30_000);
  await relay.stop();
  await relay.start();
  const boss = await relay.operator({ after: `${await store.name(db)}:0` });
  await db.query('INSERT INTO a VALUES (2, NULL)');
  await until(() => boss.events.length >= 3, () => `three events; ${boss.state()}`);
  assert.deepEqual(boss.events.map(({ table, data }) => [table, data]), [['b', { id: 1 }], ['a', { id: 1 }], ['a', { id: 2, more: null }]]);
  await store.advance(db, 'slow', 3);
  await until(async () => !await one("SELECT count(*) AS n FROM esink_shape WHERE topic = 'a' AND retired IS NOT NULL"), () => `the old version to be forgotten; ${relay.log}`, 30_000);
});

test("what was sealed under yesterday's rules is told under today's as well", async (t) => {
  const db = await sqliteDatabase(t, users);
  const relay = await startRelay(t, db, { ...rules, filters: undefined });
  const boss = await relay.operator();
  await db.query("INSERT INTO users VALUES (1, 7, 'a', 'told-once')");
  await relay.fence(boss);
  assert.equal(last(boss).data.secret, 'told-once');
  await relay.stop();
  await relay.start({ filters: 'users.secret' });
  const again = await relay.operator({ after: `${boss.welcome.journal}:0` });
  await until(() => again.events.length, 'the replay');
  assert.deepEqual(again.events[0].data, { id: 1, owner: 7, name: 'a' });
});

test('a second relay with other rules waits; one with the same works beside it', async (t) => {
  const db = await sqliteDatabase(t, users);
  const relay = await startRelay(t, db, rules);
  const twin = await startRelay(t, db, rules);
  const other = await startRelay(t, db, { ...rules, filters: undefined, ready: false });
  await until(async () => /another relay with other rules/.test((await other.get('/ready')).json.message), () => other.log);
  const clients = [await relay.operator(), await twin.operator()];
  await db.query("INSERT INTO users VALUES (1, 7, 'a', 'b')");
  await relay.fence(...clients);
  assert.deepEqual(clients[0].events.map(({ id, data }) => [id, data]), clients[1].events.map(({ id, data }) => [id, data]));
  for (const one of [relay, twin]) await one.stop();
  await other.ready();
});

test('what names no watched table is warned of, at the start as with --check', async (t) => {
  const db = await sqliteDatabase(t, users);
  const relay = await startRelay(t, db, { ...rules, routing: { users: 'owner', elsewhere: 'id' }, env: { OLD_ROWS: 'users,zzz' } });
  const { code, log } = await runToEnd(t, { args: ['--check'],
    env: { ...db.env, TABLE_NAMES: 'users', TABLE_AUTH_COLUMN_ROUTING: '{"elsewhere":"id"}', OLD_ROWS: 'users,zzz' } });
  assert.equal(code, 0, log);
  for (const said of [relay.log, log]) {
    assert.match(said, /warn.*OLD_ROWS: table "zzz" is not in TABLE_NAMES: naming it does nothing/);
    assert.match(said, /warn.*TABLE_AUTH_COLUMN_ROUTING: table "elsewhere" is not in TABLE_NAMES: its rule does nothing/);
    assert.doesNotMatch(said, /OLD_ROWS: table "users"/);
  }
});

test('--uninstall leaves a table alone that only has the name of ours, with its rows', async (t) => {
  const db = await sqliteDatabase(t, 'CREATE TABLE esink_event (id INTEGER PRIMARY KEY, what TEXT); INSERT INTO esink_event (what) VALUES (1), (2), (3)');
  const { code, log } = await runToEnd(t, { args: ['--uninstall'], env: db.env });
  assert.equal(code, 3, log);
  assert.match(log, /a table esink_event that is not esink's/);
  assert.equal((await db.query('SELECT * FROM esink_event')).rows.length, 3);
});

test('--uninstall leaves nothing of esink, and writers work; --check changes nothing', async (t) => {
  const db = await sqliteDatabase(t, users);
  const env = { ...db.env, TABLE_NAMES: 'users', TABLE_AUTH_COLUMN_ROUTING: '{"users":"owner"}', FILTERS: 'users.secret' };
  const plan = await runToEnd(t, { args: ['--check'], env });
  assert.equal(plan.code, 0, plan.log);
  assert.match(plan.stdout, /users: the users in owner; sends id owner name/);
  assert.match(plan.stdout, /CREATE TRIGGER "esink insert users"/);
  const objects = async () => (await db.query("SELECT name FROM sqlite_schema WHERE name LIKE 'esink%'")).rows;
  assert.deepEqual(await objects(), []);
  const relay = await startRelay(t, db, rules);
  await db.query("INSERT INTO users VALUES (1, 7, 'a', 'b')");
  assert.notEqual((await objects()).length, 0);
  const before = await objects();
  const refused = await runToEnd(t, { args: ['--uninstall'], env });
  assert.notEqual(refused.code, 0);
  assert.match(refused.log, /^esink: SQLITE_PATH: a relay is at work on ".*", which would install all of it again: stop it, then run esink --uninstall once more/m);
  assert.deepEqual(await objects(), before);
  await relay.stop();
  const removed = await runToEnd(t, { args: ['--uninstall'], env });
  assert.equal(removed.code, 0, removed.log);
  assert.deepEqual(await objects(), []);
  await db.query("INSERT INTO users VALUES (2, 7, 'a', 'b')");
  assert.match((await runToEnd(t, { args: ['--uninstall'], env })).stdout, /nothing to remove/);
});
