// Prevents: a database that was restored from a dump, or copied, and goes on in the journal of the one that it came from:
// ids that mean two things, clients that resume over a hole without being told, rows that nobody hears of because another
// server's transaction numbers were taken for this one's.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, usePostgres } from '../lib/harness.mjs';
import { Database } from '../lib/postgres.mjs';
import { startRelay } from '../lib/relay.mjs';
import { until } from '../lib/wait.mjs';

const operator = 'operators-own-token-4711';
const source = usePostgres();
const fresh = usePostgres(); // its transaction numbers are lower than those in the dump
const old = usePostgres(); // higher
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, n int DEFAULT 0); CREATE TABLE other (id int PRIMARY KEY, secret text)';
const rules = { tables: 'notes,other', routing: { notes: 'user_id' }, filters: 'other.secret', env: { SECURITY_TOKEN: operator } };
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const burn = (db, n) => db.query(`DO $$ BEGIN FOR i IN 1..${n} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`);
const insert = (db, from, to) => db.query(`INSERT INTO notes SELECT n, 1 FROM generate_series(${from}, ${to}) n`);

// A journal of 100 events, a client's position in the middle of it, and 20 changes that no relay has seen.
async function original(t) {
  const db = await source.database(t, schema);
  const token = await db.user(1);
  await burn(db, 5000);
  const relay = await startRelay(t, db, rules);
  const ws = await relay.ws(token);
  await insert(db, 1, 50);
  await ws.count(50);
  const { position } = ws;
  await insert(db, 51, 100);
  await ws.count(100);
  await relay.kill();
  // A drain that was under way would give them their places in the former journal.
  await until(async () => (await db.query("SELECT FROM pg_stat_activity WHERE application_name = 'esink'")).rowCount === 0, 'the end of its connections');
  await insert(db, 101, 120);
  return { db, token, position };
}

// server: where; copy(name): makes a database of that name there.
async function copied(t, server, copy) {
  const from = await original(t);
  const name = `copy_${Math.random().toString(36).slice(2)}`;
  await copy(from.db, name);
  const db = new Database(server, name);
  t.defer(async () => {
    await db.close();
    await server.once('postgres', `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  });
  db.tokens = from.db.tokens;
  // The application is quicker than the relay.
  await insert(db, 121, 125);
  await db.query('UPDATE notes SET n = n + 1 WHERE id IN (1, 101, 121)');
  await db.query('UPDATE notes SET n = n + 1 WHERE id IN (1, 101, 121)');
  await db.query("INSERT INTO other VALUES (1, 'filtered-value-4711')");
  const relay = await startRelay(t, db, rules);
  relay.secret('filtered-value-4711');
  const again = await relay.ws(from.token, { after: from.position });
  assert.equal(again.welcome.recovered, false, 'a resume point of the original');
  assert.notEqual(again.welcome.journal, from.position.split(':')[0]);
  assert.match(relay.log, /is not the one that journal [0-9a-f]{16} was written in/);
  await insert(db, 126, 130);
  await relay.fence(again);
  const eye = await relay.operator({ after: `${again.welcome.journal}:0` });
  assert.equal(eye.welcome.recovered, true);
  await relay.fence(eye);
  const notes = eye.events.filter(({ table }) => table === 'notes');
  assert.deepEqual(notes.filter(({ type }) => type === 'insert').map(({ data }) => data.id), range(101, 130), 'what no relay had seen, once');
  for (const id of [1, 101, 121]) {
    assert.deepEqual(notes.filter(({ data, type }) => data.id === id && type === 'update').map(({ data }) => data.n), [1, 2], `row ${id}`);
  }
  assert.equal(eye.events.filter(({ table }) => table === 'other').length, 1);
  const ids = eye.named('changes').map(({ id }) => Number(id));
  assert.deepEqual(ids, range(1, ids.length), 'ids of the new journal');
  // The triggers that came with the dump know their table by another number: where columns are withheld they tell no column.
  assert.ok(notes.every(({ incomplete }) => !incomplete));
  // And it stays this journal.
  const { position } = eye;
  await relay.kill();
  await relay.start();
  const later = await relay.ws(from.token, { after: position });
  assert.equal(later.welcome.recovered, true);
  await insert(db, 131, 131);
  await later.event(({ data }) => data.id === 131);
  await until(async () => (await db.query("SELECT count(*)::int AS n FROM pg_proc WHERE proname ~ '^capture_'")).rows[0].n === 3,
    'the functions of the original to be gone');
}

async function plain(server, db, name) {
  await source.command('pg_dump', ['-d', db.url, '-f', join(source.scratch, `${name}.sql`)]);
  await server.once('postgres', `CREATE DATABASE ${name}`);
  await server.command('psql', ['-q', '-v', 'ON_ERROR_STOP=1', '-d', server.url(name), '-f', join(source.scratch, `${name}.sql`)]);
}

async function custom(server, db, name) {
  const file = join(source.scratch, `${name}.dump`);
  await source.command('pg_dump', ['-Fc', '-d', db.url, '-f', file]);
  await server.once('postgres', `CREATE DATABASE ${name}`);
  await server.command('pg_restore', ['--exit-on-error', '-j', '2', '-d', server.url(name), file]);
}

for (const [way, copy] of [['plain', plain], ['custom, with pg_restore -j 2', custom]]) {
  test(`pg_dump, ${way}, into a fresh server`, (t) => copied(t, fresh, (db, name) => copy(fresh, db, name)));
  test(`pg_dump, ${way}, into a server that has seen more transactions`, async (t) => {
    const postgres = await old.database(t);
    await burn(postgres, 20_000);
    await copied(t, old, (db, name) => copy(old, db, name));
  });
}

test('pg_dump into another database of the same server', (t) => copied(t, source, (db, name) => custom(source, db, name)));

test('CREATE DATABASE ... TEMPLATE', (t) => copied(t, source, async (db, name) => {
  await db.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()');
  await db.close();
  await until(() => source.once('postgres', `CREATE DATABASE ${name} TEMPLATE ${db.name}`), 'the copy to be made');
}));

test('what docs/OPERATIONS.md says after a restore that cannot be noticed: another journal begins', async (t) => {
  const { db, token, position } = await original(t);
  await db.query('UPDATE esink.meta SET timeline = 0');
  const relay = await startRelay(t, db, rules);
  const ws = await relay.ws(token, { after: position });
  assert.equal(ws.welcome.recovered, false);
  assert.notEqual(ws.welcome.journal, position.split(':')[0]);
  const eye = await relay.operator({ after: `${ws.welcome.journal}:0` });
  await relay.fence(eye);
  assert.deepEqual(eye.events.map(({ data }) => data.id), range(101, 120));
});

// The commands, and the query of the backlog, out of the document.
test('what docs/OPERATIONS.md says of a dump by the application\'s role: all but what is esink\'s is there again, and told from then on', async (t) => {
  const text = readFileSync(new URL('../../../docs/OPERATIONS.md', import.meta.url), 'utf8');
  const db = await source.database(t, `DROP ROLE IF EXISTS shop; CREATE ROLE shop LOGIN; CREATE TABLE owners (id int PRIMARY KEY); ${schema}; ALTER TABLE notes ADD FOREIGN KEY (user_id) REFERENCES owners;
    CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER its_own BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION own();
    INSERT INTO owners VALUES (1); DO $$ DECLARE t text; BEGIN FOREACH t IN ARRAY '{owners,notes,other,auth,fence}'::text[] LOOP EXECUTE format('ALTER TABLE %I OWNER TO shop', t); END LOOP; END $$`);
  t.defer(() => db.query('REASSIGN OWNED BY shop TO postgres; DROP OWNED BY shop; DROP ROLE shop'));
  const token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  const first = await relay.ws(token);
  await insert(db, 1, 10);
  await first.count(10);
  await relay.kill();
  await insert(db, 11, 40);
  const backlog = /^ {6}(SELECT count\(\*\) FROM esink\.newest_tick[^;]*);/m.exec(text)[1];
  assert.equal(Number((await db.query(backlog)).rows[0].count), 30, 'what waits');
  const name = `copy_${Math.random().toString(36).slice(2)}`;
  await source.once('postgres', `CREATE DATABASE ${name}`);
  const commands = /^ {4}pg_dump -Fc -N esink.*\n(?: {4}.*\n)+/m.exec(text)[0].replace('shop.dump shop', `shop.dump ${db.name}`).replace('-d restored', `-d ${name}`);
  const as = { PATH: `${source.bin}:${process.env.PATH}`, PGHOST: '127.0.0.1', PGPORT: String(source.port), LC_ALL: 'C.UTF-8' };
  const folder = mkdtempSync(join(tmpdir(), 'esink-dump-'));
  t.defer(() => rmSync(folder, { recursive: true }));
  const sh = (user, script) => execFileSync('sh', ['-ec', script], { cwd: folder, env: { ...as, PGUSER: user }, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  assert.throws(() => sh('shop', `pg_dump -f all.sql ${db.name}`), /permission denied for schema esink/);
  const [dump, ...restore] = commands.trim().split('\n');
  sh('shop', dump);
  sh('postgres', restore.join('\n'));
  const copy = new Database(source, name);
  t.defer(async () => {
    await copy.close();
    await source.once('postgres', `DROP DATABASE ${name} WITH (FORCE)`);
  });
  const { rows } = await copy.query("SELECT conname AS name FROM pg_constraint WHERE contype = 'f' UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1");
  assert.deepEqual(rows.map((row) => row.name), ['its_own', 'notes_user_id_fkey']);
  copy.tokens = db.tokens;
  const again = await startRelay(t, copy, rules), ws = await again.ws(token);
  await insert(copy, 41, 50);
  await again.fence(ws);
  assert.deepEqual(ws.events.map(({ data }) => data.id), range(41, 50));
  await db.query('GRANT pg_read_all_data TO shop');
  sh('shop', `pg_dump -f all.sql ${db.name}`);
});

test('a dump restored over the database that it was made of', async (t) => {
  const { db, token, position } = await original(t);
  const file = join(source.scratch, `${db.name}.sql`);
  await source.command('pg_dump', ['--clean', '--if-exists', '-d', db.url, '-f', file]);
  await insert(db, 121, 125); // what the restore takes away
  await db.close();
  await source.command('psql', ['-q', '-v', 'ON_ERROR_STOP=1', '-d', db.url, '-f', file]);
  await insert(db, 126, 127);
  const relay = await startRelay(t, db, rules);
  const ws = await relay.ws(token, { after: position });
  assert.equal(ws.welcome.recovered, false);
  assert.notEqual(ws.welcome.journal, position.split(':')[0]);
  const eye = await relay.operator({ after: `${ws.welcome.journal}:0` });
  await relay.fence(eye);
  assert.deepEqual(eye.events.map(({ data }) => data.id), [...range(101, 120), 126, 127]);
});

// Many tables, so that it takes a while; each of its statements fails the whole when the relay has been there first.
for (const [way, args] of [['one connection', []], ['two', ['-j', '2']]]) {
  test(`pg_restore --clean under a running relay, with ${way}: it stays out of the way until the end, then goes on`, { timeout: 120_000 }, async (t) => {
    const db = await source.database(t, schema);
    const token = await db.user(1);
    for (let i = 0; i < 60; i++) await db.query(`CREATE TABLE a_${i} (id int PRIMARY KEY, t text UNIQUE); CREATE TABLE z_${i} (LIKE a_${i} INCLUDING ALL)`);
    const relay = await startRelay(t, db, rules);
    const ws = await relay.ws(token);
    await insert(db, 1, 20);
    await ws.count(20);
    const file = join(source.scratch, `${db.name}-live.dump`);
    for (let round = 0; round < 3; round++) {
      await source.command('pg_dump', ['-Fc', '-d', db.url, '-f', file]);
      await db.query('TRUNCATE notes');
      await source.command('pg_restore', ['--clean', '--if-exists', '--exit-on-error', ...args, '-d', db.url, file]);
      await until(() => relay.log.match(/is not the one that journal/g)?.length === round + 1, () => `a journal of its own: ${relay.log.slice(-2000)}`, 60_000);
      await until(async () => (await relay.get('/ready')).status === 200, () => `it to be ready: ${relay.log.slice(-2000)}`, 60_000);
      const again = await relay.ws(token);
      assert.equal((await db.query('SELECT count(*)::int AS n FROM notes')).rows[0].n, 20 + round);
      await insert(db, 1000 + round, 1000 + round);
      await again.event(({ data }) => data.id === 1000 + round);
      await again.close();
    }
    assert.doesNotMatch(relay.log, /dropped and made anew/);
  });
}

test('what was dropped, not restored, is made anew, by one of two relays; a missing view and index are seen', async (t) => {
  const db = await source.database(t, schema);
  const token = await db.user(1);
  const one = await startRelay(t, db, rules);
  const two = await startRelay(t, db, rules);
  await db.query('DROP VIEW esink.here CASCADE; DROP INDEX esink.event_0_xid');
  for (const relay of [one, two]) await relay.kill();
  await Promise.all([one.start(), two.start()]);
  for (const relay of [one, two]) await relay.ready();
  assert.equal(one.log.match(/created schema esink/g).length + (two.log.match(/created schema esink/g)?.length ?? 0), 2, 'at the start, and once since');
  await insert(db, 1, 5);
  for (const relay of [one, two]) {
    const eye = await relay.operator({ after: `${(await relay.ws(token)).welcome.journal}:0` });
    await eye.count(5);
  }
  await one.kill();
  await db.query('DROP INDEX esink.event_0_xid');
  await one.start();
  await one.ready();
  await until(() => /index esink.event_0_xid is gone.*run: CREATE INDEX event_0_xid ON esink.event_0 \(xid\);/.test(one.log), 'a line that says what to do');
});
