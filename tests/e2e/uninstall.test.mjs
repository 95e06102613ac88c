// Prevents: `--uninstall` that takes the journal and the consumers from under a relay at work, because it did not see it or the
// relay began after it had looked; and things of the operator's that go along without a word.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { databaseOf } from './lib/databases.mjs';
import { test, usePostgres } from './lib/harness.mjs';
import { Proxy } from './lib/proxy.mjs';
import { Process, runToEnd, startRelay } from './lib/relay.mjs';
import { leftovers } from './lib/catalogue.mjs';
import { until, within } from './lib/wait.mjs';

const postgres = usePostgres();
const mysql = databaseOf('mysql');
after(() => mysql.stop());
const rules = { tables: 'notes', routing: { notes: 'user_id' } };
const refusal = /^esink: .*a relay .*, which would install all of it again: stop it, .*; nothing was removed/m;

// A relay as a plain role of the test's own, which owns its schema esink; the operator is a superuser.
async function withRole(t, role) {
  const db = await postgres.database(t, `CREATE TABLE notes (id int PRIMARY KEY, user_id int); DROP ROLE IF EXISTS ${role}; CREATE ROLE ${role} LOGIN`);
  await db.query(`GRANT CREATE ON DATABASE ${db.name} TO ${role}; GRANT SELECT ON auth TO ${role}; GRANT TRIGGER ON notes, fence TO ${role}`);
  t.defer(() => db.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`));
  return { db, env: { POSTGRES_DATABASE_URL: postgres.url(db.name, role) } };
}

const uninstall = (t, db, ...more) => runToEnd(t, { db, args: ['--uninstall', ...more] });

async function refused(t, db, relay) {
  const look = await uninstall(t, db, '--check');
  assert.deepEqual([look.code, /^a relay is at work .*refused$/m.test(look.stdout)], [0, true], look.log);
  const { code, log } = await uninstall(t, db);
  assert.equal(code, 1, log);
  assert.match(log, refusal);
  await relay.fence(await relay.ws(await db.user(1)));
}

test('a relay of another role is at work, whose schema a superuser does not trust: refused; once it has stopped, done', async (t) => {
  const { db, env } = await withRole(t, 'other_role');
  const relay = await startRelay(t, db, { ...rules, env });
  await refused(t, db, relay);
  await relay.kill();
  const { code, log } = await uninstall(t, db);
  assert.equal(code, 0, log);
  assert.deepEqual(await leftovers(db), []);
});

test('somebody else owns something in the schema: none of its code is run, and a relay at work is seen', async (t) => {
  const { db } = await withRole(t, 'guest');
  const relay = await startRelay(t, db, rules);
  await db.query(`CREATE TABLE ran (what text); GRANT INSERT ON ran TO PUBLIC; GRANT USAGE, CREATE ON SCHEMA esink TO guest`);
  const guest = await db.connect('guest');
  await guest.query(`CREATE FUNCTION esink.claims() RETURNS int LANGUAGE sql AS $$ INSERT INTO public.ran VALUES ('claims'); SELECT 1 $$;
    CREATE VIEW esink.of_a_guest AS SELECT esink.claims()`);
  await db.query('REVOKE CREATE ON SCHEMA esink FROM guest');
  await refused(t, db, relay);
  await relay.stop();
  const { code, log } = await uninstall(t, db);
  assert.equal(code, 0, log);
  assert.deepEqual((await db.query('SELECT * FROM ran')).rows, []);
});

test('claims that cannot be read are not taken for none; those of an earlier build, which has no table of them, count', async (t) => {
  const { db, env } = await withRole(t, 'bare');
  const relay = await startRelay(t, db, { ...rules, env });
  await relay.stop();
  const { rows: [{ journal }] } = await db.query('SELECT journal FROM esink.meta');
  await db.query('REVOKE SELECT ON esink.claimant FROM bare');
  const unread = await runToEnd(t, { db, env, args: ['--uninstall'] });
  assert.equal(unread.code, 3, unread.log);
  assert.match(unread.log, /^esink: .*permission denied for table claimant/m);
  await db.query("DROP TABLE esink.claimant; UPDATE esink.relay SET seen = clock_timestamp() + interval '1 hour'");
  const early = await runToEnd(t, { db, env, args: ['--uninstall'] });
  assert.equal(early.code, 1, early.log);
  assert.match(early.log, refusal);
  assert.deepEqual((await db.query('SELECT journal FROM esink.meta')).rows, [{ journal }]);
  await db.query('UPDATE esink.relay SET seen = NULL');
  assert.equal((await runToEnd(t, { db, env, args: ['--uninstall'] })).code, 0);
});

for (const trusted of [true, false]) {
  test(`a relay that begins while ${trusted ? 'a' : "another role's"} removal waits for a table: nothing is removed`, async (t) => {
    const { db, env } = await withRole(t, 'late');
    const relay = await startRelay(t, db, { ...rules, env });
    await relay.stop();
    const writer = await db.connect();
    await writer.query('BEGIN; LOCK TABLE notes IN ROW EXCLUSIVE MODE');
    const removal = new Process({ POSTGRES_DATABASE_URL: db.url, ...(trusted ? env : {}) }, ['--uninstall']);
    t.defer(() => removal.kill('SIGKILL'));
    await until(() => /the table is busy/.test(removal.log), () => removal.log);
    await relay.start();
    await writer.query('COMMIT');
    const { code } = await within(removal.exited, 'the removal to end', 30_000);
    assert.equal(code, 1, removal.log);
    assert.match(removal.log, refusal);
    await relay.fence(await relay.ws(await db.user(1)));
  });
}

// What CASCADE says that it drops, less what is esink's, is what was listed.
test('all that goes along is listed: views on views, defaults, rules, policies, published tables, columns and what is made of them', async (t) => {
  const db = await postgres.database(t, `CREATE TABLE notes (id int PRIMARY KEY, user_id int); CREATE TABLE kept (k text, n int);
    CREATE TABLE parts (id int, user_id int) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parts DEFAULT`);
  const relay = await startRelay(t, db, { tables: 'notes,parts', routing: { notes: 'user_id' } });
  await relay.stop();
  await db.query(`CREATE VIEW latest AS SELECT * FROM esink.event_0; CREATE VIEW newest AS SELECT seq FROM latest;
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM newest; CREATE INDEX ON counted (count);
    ALTER FUNCTION esink.sound(text, text) IMMUTABLE; ALTER TABLE kept ALTER k SET DEFAULT esink.sound('a', 'b'), ADD CHECK (esink.sound(k, '') <> 'x'), ADD c esink.consumer;
    CREATE VIEW of_column AS SELECT c FROM kept; CREATE VIEW of_others AS SELECT k, n FROM kept; CREATE INDEX ON kept (esink.sound(k, ''));
    CREATE POLICY reading ON kept USING (esink.sound(k, '') <> 'y');
    CREATE RULE also AS ON INSERT TO kept DO ALSO UPDATE esink.relay SET seen = NULL;
    CREATE TABLE heir () INHERITS (esink.claimant); CREATE TABLE referring (c text REFERENCES esink.consumer (name));
    CREATE FUNCTION taking(esink.consumer) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE PUBLICATION told FOR TABLE esink.event_0, notes`);
  const listed = async (...more) => {
    const { code, log, stdout } = await uninstall(t, db, ...more);
    assert.equal(code, 0, log);
    return [...stdout.matchAll(/^ {2}(.*)$/gm)].map(([, line]) => line).filter((line) => !/^schema esink|^consumer "/.test(line)).sort();
  };
  const lines = await listed('--check');
  const client = await db.connect();
  const notices = [];
  client.on('notice', ({ message, detail }) => notices.push(...(detail ?? message).split('\n').map((line) => line.replace(/^drop cascades to /, ''))));
  await client.query('SET client_min_messages = notice; BEGIN; DROP SCHEMA esink CASCADE; ROLLBACK');
  const others = notices.filter((line) => !/^(table|function|view|sequence|type) esink\./.test(line) && line !== 'trigger !esink on table part');
  // The server is silent of what goes by itself.
  assert.deepEqual(lines, [...others, 'publication of table esink.event_0 in publication told'].sort());
  for (const line of ['view newest', 'materialized view counted', 'default value for column k of table kept', 'policy reading on table kept',
    'rule also on table kept', 'column c of table kept', 'view of_column', 'table heir']) assert.ok(lines.includes(line), line);
  assert.deepEqual(await listed(), lines);
  await db.query('SELECT * FROM of_others');
});

test('MySQL: a relay that was cut off and killed, whose locks the server has not let go, is waited for', async (t) => {
  const db = await mysql.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id int)');
  const proxy = await new Proxy(db.server.port).start(t);
  const relay = await startRelay(t, db, { ...rules, env: { MYSQL_PORT: String(proxy.port) } });
  proxy.hush();
  await relay.kill();
  const { code, log } = await uninstall(t, db);
  assert.equal(code, 0, log);
  assert.deepEqual(await mysql.ours(db), []);
});

test('MySQL: claims that cannot be read are not taken for none', async (t) => {
  const db = await mysql.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id int)');
  const relay = await startRelay(t, db, rules);
  await relay.stop();
  const ours = await mysql.ours(db);
  const other = await db.connect();
  await other.query('LOCK TABLES esink_meta WRITE');
  const { code, log } = await uninstall(t, db);
  await other.query('UNLOCK TABLES');
  assert.equal(code, 1, log);
  assert.match(log, /^esink: .*Lock wait timeout/m);
  assert.deepEqual(await mysql.ours(db), ours);
});

// What makes tables and triggers holds this lock: a relay that begins, or --uninstall.
test('MySQL: no relay can begin between the look and the removal', async (t) => {
  const db = await mysql.database(t, 'CREATE TABLE notes (id int PRIMARY KEY, user_id int)');
  const relay = await startRelay(t, db, rules);
  await relay.stop();
  const ours = await mysql.ours(db);
  const word = [...Buffer.from(`${db.name}/esink_pubsub`)].reduce((h, byte) => BigInt.asUintN(64, (h ^ BigInt(byte)) * 1099511628211n), 14695981039346656037n);
  const other = await db.connect();
  await other.query(`SELECT GET_LOCK('esink-${word.toString(16).padStart(16, '0')}-install', 0)`);
  const { code, log } = await uninstall(t, db);
  assert.equal(code, 1, log);
  assert.match(log, refusal);
  assert.deepEqual(await mysql.ours(db), ours);
  await other.query('DO RELEASE_ALL_LOCKS()');
  assert.equal((await uninstall(t, db)).code, 0);
});
