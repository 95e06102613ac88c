// Prevents: a start that fails without saying why, or goes on where it must not: with a file that is no database, that cannot
// be written, that is locked; and a journal that gives ids of one history to another: after the file was deleted and made
// again, copied, replaced, restored from a backup, while the relay ran or not.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync, chownSync } from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { test } from './lib/harness.mjs';
import { binary, runToEnd, startRelay } from './lib/relay.mjs';
import { freePort } from './lib/ports.mjs';
import { sqliteDatabase } from './lib/sqlite.mjs';
import { until } from './lib/wait.mjs';

const operator = 'operators-own-token-4711';
const orders = 'CREATE TABLE orders (id INTEGER PRIMARY KEY, owner INT)';
const rules = { tables: 'orders', routing: { orders: 'owner' }, env: { SECURITY_TOKEN: operator } };
const jwt = { JWT_SECRET: 'a-secret-of-more-than-32-characters' };
const journalOf = async (relay) => (await relay.operator()).welcome.journal;
const write = (db, id) => db.query('INSERT INTO orders VALUES ($1, 7)', [id]);
const line = (log) => log.split('\n').find((one) => one.startsWith('esink: '));

test('what can never work ends the start with one line that says what to do', async (t) => {
  const db = await sqliteDatabase(t, `${orders}; CREATE VIEW seen AS SELECT * FROM orders; CREATE VIRTUAL TABLE words USING fts5(body)`);
  const at = (name) => join(db.folder, name);
  writeFileSync(at('text.db'), 'this is not a database, and longer than the hundred bytes that the header of one would have in any case, to be sure');
  mkdirSync(at('folder'));
  writeFileSync(at('foreign.db'), '');
  execFileSync('sqlite3', [at('foreign.db'), 'CREATE TABLE auth (id, token); CREATE TABLE esink_event (mine)']);
  const cases = [
    [{ SQLITE_PATH: at('text.db') }, 3, /SQLITE_PATH: ".*text\.db" is not an SQLite database/],
    [{ SQLITE_PATH: at('folder') }, 3, /SQLITE_PATH: ".*folder" is a directory/],
    [{ SQLITE_PATH: at('no/such.db') }, 3, /SQLITE_PATH: ".*such\.db": there is no directory ".*no"/],
    [{ SQLITE_PATH: at('new.db'), TABLE_NAMES: 'orders' }, 3, /there is no file ".*new\.db", and TABLE_NAMES names "orders": .* SQLITE_PATH, POSTGRES_DATABASE_URL or MYSQL_DATABASE$/],
    [{ SQLITE_PATH: at('foreign.db') }, 3, /has a table esink_event that is not esink's/],
    [{ SQLITE_PATH: ':memory:' }, 2, /SQLITE_PATH: ":memory:" is not the path of a file/],
    [{ TABLE_NAMES: 'order' }, 3, /TABLE_NAMES: there is no table "order"; did you mean "orders"\?/],
    [{ TABLE_NAMES: 'shop.orders' }, 3, /an SQLite file has no schema "shop"/],
    [{ TABLE_NAMES: 'seen' }, 3, /TABLE_NAMES: "seen" is a view, which cannot be watched; name the table behind it/],
    [{ TABLE_NAMES: 'words' }, 3, /TABLE_NAMES: "words" is a virtual table/],
    [{ TABLE_NAMES: 'words_data' }, 3, /TABLE_NAMES: "words_data" is a table that a virtual table keeps its data in/],
    [{ TABLE_NAMES: 'sqlite_schema' }, 3, /there is no table "sqlite_schema"/],
    [{ TABLE_NAMES: 'orders', FILTERS: 'orders.ownr' }, 3, /FILTERS: orders\.ownr: table orders has no such column; did you mean "owner"\?/],
    [{ TABLE_NAMES: 'orders', TABLE_AUTH_COLUMN_ROUTING: '{"orders":"user"}' }, 3, /TABLE_AUTH_COLUMN_ROUTING: orders\.user: table orders has no such column/],
    [{ AUTH_TABLE: 'tokens' }, 3, /AUTH_TABLE: there is no table "tokens"/],
    [{ AUTH_COLUMN: 'tokn' }, 3, /AUTH_COLUMN: table "auth" has no column "tokn"; did you mean "token"\?/],
    [{ AUTH_USER_COLUMN: 'user' }, 3, /AUTH_USER_COLUMN: table "auth" has no column "user"/],
  ];
  for (const [env, code, sentence] of cases) {
    const end = await runToEnd(t, { env: { SQLITE_PATH: db.path, ...env } });
    assert.equal(end.code, code, `${JSON.stringify(env)}: ${end.log}`);
    assert.match(line(end.log), sentence);
  }
  assert.ok(!existsSync(at('new.db')));
  const relay = await startRelay(t, db, rules);
  await relay.stop();
  const own = await runToEnd(t, { env: { SQLITE_PATH: db.path, TABLE_NAMES: 'esink_event' } });
  assert.deepEqual([own.code, /is a table of esink itself/.test(own.log)], [3, true]);
});

test('without the right to write: exit status 3, for the file as for its directory', { timeout: 30_000 }, async (t) => {
  if (process.getuid() !== 0) return; // root may do anything and must become somebody else; others cannot
  const db = await sqliteDatabase(t, orders);
  await db.release();
  const nobody = async () => {
    const port = await freePort();
    try {
      execFileSync('setpriv', ['--reuid', '65534', '--regid', '65534', '--clear-groups', binary()],
        { env: { PATH: process.env.PATH, SQLITE_PATH: db.path, TABLE_NAMES: 'orders', PORT: String(port), HOST: '127.0.0.1' }, timeout: 20_000, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
      return undefined;
    } catch (error) {
      return { code: error.status, log: error.stderr };
    }
  };
  chmodSync(db.path, 0o644);
  chmodSync(db.folder, 0o777);
  let end = await nobody();
  assert.equal(end.code, 3);
  assert.match(line(end.log), /SQLITE_PATH: no right to write to ".*shop\.db"/);
  chownSync(db.path, 65534, 65534);
  chmodSync(db.folder, 0o755);
  end = await nobody();
  assert.equal(end.code, 3);
  assert.match(line(end.log), /SQLITE_PATH: no right to write to the directory/);
});

test('a missing file is made, with nothing configured at all', async (t) => {
  const db = await sqliteDatabase(t);
  await db.release();
  for (const name of readdirSync(db.folder)) rmSync(join(db.folder, name));
  const relay = await startRelay(t, db, { fence: false });
  assert.ok(existsSync(db.path));
  assert.match(relay.log, /was not there: an empty database was made/);
  const tester = await relay.ws('TEST');
  await until(() => tester.events.length, 'a sample event');
});

test('--check and a start agree about a missing AUTH_TABLE: a database without tables is warned of, any other refused', async (t) => {
  const db = await sqliteDatabase(t, 'DROP TABLE auth; DROP TABLE fence');
  const env = db.env;
  const check = async () => runToEnd(t, { args: ['--check'], env });
  let end = await check();
  assert.deepEqual([end.code, /warn.*AUTH_TABLE: there is no table "auth"/.test(end.log)], [0, true], end.log);
  const relay = await startRelay(t, db, { fence: false });
  assert.match(relay.log, /warn.*AUTH_TABLE: there is no table "auth"/);
  await relay.stop();
  await db.query('CREATE TABLE orders (id)');
  for (const args of [['--check'], []]) {
    end = await runToEnd(t, { args, env });
    assert.equal(end.code, 3, end.log);
    assert.match(line(end.log), /^esink: AUTH_TABLE: there is no table "auth"/);
  }
});

test('the note is deleted under two relays: made anew, one with other rules still waits, the journal stays', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const [relay, twin] = [await startRelay(t, db, rules), await startRelay(t, db, rules)];
  const before = await journalOf(relay);
  await write(db, 1);
  const boss = await relay.operator({ after: `${before}:0` });
  await relay.fence(boss);
  rmSync(`${db.path}-esink`);
  await until(() => existsSync(`${db.path}-esink`), 'the note');
  const other = await startRelay(t, db, { ...rules, routing: { orders: '*' }, ready: false });
  await until(async () => /another relay with other rules/.test((await other.get('/ready')).json.message), () => other.log);
  await write(db, 2);
  const second = await twin.operator({ after: `${before}:0` });
  await twin.fence(second);
  assert.equal(second.welcome.recovered, true);
  await other.stop();
  for (const one of [relay, twin]) await one.stop();
  await relay.start(rules);
  assert.equal(await journalOf(relay), before);
});

test('the note is deleted again and again while a relay with other rules waits for its turn: one of the two is at work', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const relay = await startRelay(t, db, rules);
  const other = await startRelay(t, db, { ...rules, routing: { orders: '*' }, ready: false });
  await until(async () => /another relay with other rules/.test((await other.get('/ready')).json.message), () => other.log);
  for (let i = 0; i < 20; i++) {
    rmSync(`${db.path}-esink`, { force: true });
    await until(() => existsSync(`${db.path}-esink`), 'the note');
  }
  const ready = async () => (await Promise.all([relay, other].map((one) => one.get('/ready')))).map(({ status }) => status).sort();
  await until(async () => (await ready()).join() === '200,503', async () => `${relay.log}${other.log}`);
});

test("esink's tables were dropped: the journal that begins then is not called the first one", async (t) => {
  const db = await sqliteDatabase(t, orders);
  const relay = await startRelay(t, db, rules);
  const before = await journalOf(relay);
  assert.match(relay.log, /a new journal begins, \w+: the first one of this file/);
  await relay.stop();
  await db.query('DROP TRIGGER "esink insert orders"; DROP TRIGGER "esink update orders"; DROP TRIGGER "esink delete orders"; DROP VIEW esink_emit; DROP TABLE esink_event');
  await relay.start(rules);
  assert.match(relay.log, /a new journal begins, \w+: the tables of esink were gone and have been made anew/);
  assert.notEqual(await journalOf(relay), before);
});

test('a locked database is waited for', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const holder = db.connect();
  await holder.query('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; INSERT INTO orders VALUES (1, 7)');
  const relay = await startRelay(t, db, { ...rules, ready: false });
  await until(async () => /is locked by another process/.test((await relay.get('/ready')).json.message), () => relay.log);
  await holder.query('COMMIT');
  await holder.end();
  await relay.ready();
  assert.match(relay.log, /the journal mode of ".*" was delete: switched to WAL/);
});

test('deleted and made again under the relay: a new journal, said so, and capture goes on', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const relay = await startRelay(t, db, rules);
  const before = await journalOf(relay);
  await write(db, 1);
  await db.release();
  for (const end of ['', '-wal', '-shm']) rmSync(db.path + end, { force: true });
  await relay.notReady();
  await db.query(`CREATE TABLE auth (id INT, token TEXT); CREATE TABLE fence (n INT PRIMARY KEY); ${orders}; PRAGMA journal_mode = WAL`);
  await until(async () => (await db.query("SELECT count(*) AS n FROM sqlite_schema WHERE name LIKE 'esink insert %'")).rows[0].n === 2, () => `the triggers; ${relay.log}`);
  await relay.ready();
  const boss = await relay.operator();
  assert.notEqual(boss.welcome.journal, before);
  assert.match(relay.log, /a new journal begins/);
  assert.match(relay.log, /was deleted or replaced by another file/);
  await write(db, 2);
  await relay.fence(boss);
  assert.deepEqual(boss.events[0].data, { id: 2, owner: 7 });
  assert.equal((await db.query('PRAGMA integrity_check')).rows[0].integrity_check, 'ok');
});

test('an older state put back: into the running file, or while no relay ran', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const relay = await startRelay(t, db, rules);
  const journals = [await journalOf(relay)];
  await write(db, 1);
  const backup = join(db.folder, 'backup.db');
  execFileSync('sqlite3', [db.path, `.backup ${backup}`]);
  await write(db, 2);
  await write(db, 3);
  await relay.fence(await relay.operator());
  execFileSync('sqlite3', [db.path, `.restore ${backup}`]);
  const changed = async () => {
    const journal = await until(async () => { const one = await journalOf(relay); return !journals.includes(one) && one; }, () => `a new journal; ${relay.log}`);
    journals.push(journal);
  };
  await changed();
  // Grown past what was told, so that the number alone would not tell.
  await write(db, 12);
  await relay.fence(await relay.operator());
  await relay.stop();
  execFileSync('sqlite3', [db.path, `.restore ${backup}`]);
  for (let id = 20; id < 30; id++) await write(db, id);
  await relay.start();
  await changed();
  // And without anything of the kind the journal stays, over a kill and over a clean end.
  await write(db, 40);
  await relay.kill();
  await relay.start();
  await relay.stop();
  await relay.start();
  assert.equal(await journalOf(relay), journals.at(-1));
});

test('a copy has a journal of its own; the first file keeps its own', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const relay = await startRelay(t, db, rules);
  const journal = await journalOf(relay);
  await write(db, 1);
  await relay.stop();
  await db.release();
  const copy = await sqliteDatabase(t);
  await copy.release();
  copyFileSync(db.path, copy.path);
  const other = await startRelay(t, copy, rules);
  await relay.start();
  assert.equal(await journalOf(relay), journal);
  assert.notEqual(await journalOf(other), journal);
  // Put in the place of the first one.
  await relay.stop();
  renameSync(db.path, `${db.path}.old`);
  copyFileSync(`${db.path}.old`, db.path);
  await relay.start();
  assert.notEqual(await journalOf(relay), journal);
});

test('the note: cut off under the relay it costs nothing but the journal; a symbolic link is not followed', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const relay = await startRelay(t, db, rules);
  const journal = await journalOf(relay);
  truncateSync(`${db.path}-esink`, 0);
  await write(db, 1);
  await relay.fence(await relay.operator());
  await relay.stop();
  await relay.start();
  assert.notEqual(await journalOf(relay), journal);
  await relay.stop();
  const other = join(db.folder, 'other');
  writeFileSync(other, 'of somebody else');
  rmSync(`${db.path}-esink`);
  symlinkSync(other, `${db.path}-esink`);
  const end = await runToEnd(t, { env: { SQLITE_PATH: db.path, TABLE_NAMES: 'orders' } });
  assert.deepEqual([end.code, readFileSync(other, 'utf8')], [3, 'of somebody else']);
  assert.match(line(end.log), /shop\.db-esink", where esink notes how far it has come, cannot be written/);
});

test('NODE_ENV=production asks for a database; SQLITE_PATH is one', async (t) => {
  const db = await sqliteDatabase(t, orders);
  const none = await runToEnd(t, { env: { NODE_ENV: 'production', ...jwt } });
  assert.deepEqual([none.code, /SQLITE_PATH/.test(line(none.log))], [2, true]);
  await startRelay(t, db, { ...rules, env: { ...rules.env, NODE_ENV: 'production' } });
});
