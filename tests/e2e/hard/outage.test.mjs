// Prevents: an operator who reads in the log that «something failed», with the database's word for it and not what to do; a
// relay that ends, or goes on saying that it is ready, while the database refuses it, is full, or is starting up; changes lost
// on the way back.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, usePostgres } from '../lib/harness.mjs';
import { Postgres } from '../lib/postgres.mjs';
import { startRelay } from '../lib/relay.mjs';
import { ascending } from '../lib/shapes.mjs';
import { until } from '../lib/wait.mjs';

const postgres = usePostgres({ settings: { fsync: 'on', superuser_reserved_connections: '3' } });
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, user_id int)';
const rules = { tables: 'notes', routing: { notes: 'user_id' } };
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);
const ids = (client) => client.events.map((event) => event.data.id);
const insert = (db, from, to) => db.query(`INSERT INTO notes SELECT n, 1 FROM generate_series(${from}, ${to}) n`);

const says = (relay, pattern) => until(async () => {
  const { status, json } = await relay.get('/ready');
  return status === 503 && pattern.test(json.message) && json.message;
}, async () => `/ready to say ${pattern}; the log:\n${relay.log}`, 20_000);

test('whatever refuses the first connection is waited for, and named with what to look at, without the password', async (t) => {
  const db = await postgres.database(t, `${schema}; DROP ROLE IF EXISTS locked; CREATE ROLE locked LOGIN PASSWORD 'right-password'`);
  t.defer(() => db.query('DROP ROLE locked'));
  const closed = await new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
  const cases = [
    [`postgresql://nobody:wrong-password@127.0.0.1:${postgres.port}/${db.name}`, /nobody/],
    [`postgresql://postgres:wrong-password@127.0.0.1:${postgres.port}/no_such_database`, /no_such_database/],
    [`postgresql://postgres:wrong-password@127.0.0.1:${closed}/${db.name}`, /refused/],
    [`postgresql://postgres:wrong-password@no-such-host.invalid:5432/${db.name}`, /no-such-host\.invalid/],
  ];
  for (const [url, named] of cases) {
    const relay = await startRelay(t, null, { ...rules, fence: false, ready: false, env: { POSTGRES_DATABASE_URL: url } });
    relay.secret('wrong-password');
    const message = await says(relay, /^POSTGRES_DATABASE_URL: .*look at its host, port, database, user and password/);
    assert.match(message, named);
    assert.ok(!message.includes('wrong-password'));
    await until(() => /capture is away, trying again: POSTGRES_DATABASE_URL: /.test(relay.log), () => `the log to say so too; ${relay.log}`);
    await relay.stop();
  }
});

test('a password that is wrong, and then is mended in the database: it goes on by itself', async (t) => {
  const server = new Postgres({ settings: { password_encryption: 'scram-sha-256' } });
  t.defer(() => server.remove());
  await server.start();
  const db = await server.database(t, `${schema}; CREATE ROLE app LOGIN SUPERUSER PASSWORD 'old-password'`);
  writeFileSync(join(server.data, 'pg_hba.conf'), 'host all app 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n');
  await server.once('postgres', 'SELECT pg_reload_conf()');
  const url = `postgresql://app:new-password@127.0.0.1:${server.port}/${db.name}`;
  const relay = await startRelay(t, db, { ...rules, ready: false, env: { POSTGRES_DATABASE_URL: url } });
  relay.secret('new-password');
  await says(relay, /POSTGRES_DATABASE_URL: .*password authentication failed.*app/);
  await db.query("ALTER ROLE app PASSWORD 'new-password'");
  await relay.ready();
});

test('a server that became read-only: /ready names the setting and the remedy; then all arrives', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  const ws = await relay.ws(token);
  await insert(db, 1, 50);
  await ws.count(50);
  postgres.configure({ default_transaction_read_only: 'on' });
  try {
    await postgres.restart();
    const message = await says(relay, /read-only.*default_transaction_read_only.*ALTER ROLE "postgres" SET default_transaction_read_only = off;/);
    assert.ok(relay.log.includes(message), relay.log);
    await until(() => db.query('SELECT 1'), 'the database to answer');
    await db.query('SET default_transaction_read_only = off');
    await insert(db, 51, 100);
    // The remedy as it is told.
    await db.query('ALTER ROLE postgres SET default_transaction_read_only = off');
    await relay.ready();
    await relay.fence(ws);
    assert.deepEqual(ids(ws), upTo(100));
    assert.equal(ws.named('connected').length, 1);
  } finally {
    postgres.configure({ default_transaction_read_only: 'off' });
    await postgres.restart();
    await db.query('ALTER ROLE postgres RESET default_transaction_read_only');
  }
});

test('no connection is left when the relay comes back: it says so, sessions stay, then all arrives', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  await db.query('DROP ROLE IF EXISTS modest; CREATE ROLE modest LOGIN CONNECTION LIMIT 3');
  await db.query(`GRANT ALL ON DATABASE ${db.name} TO modest; GRANT ALL ON ALL TABLES IN SCHEMA public TO modest; ALTER TABLE notes OWNER TO modest;
    ALTER TABLE fence OWNER TO modest; GRANT USAGE ON SCHEMA public TO modest`);
  t.defer(() => db.query('DROP OWNED BY modest; DROP ROLE modest'));
  const relay = await startRelay(t, db, { ...rules, env: { POSTGRES_DATABASE_URL: postgres.url(db.name, 'modest') } });
  const ws = await relay.ws(token);
  await insert(db, 1, 50);
  await ws.count(50);
  await db.query('ALTER ROLE modest CONNECTION LIMIT 0');
  await db.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'modest'");
  await says(relay, /too many connections for role "modest"/);
  await insert(db, 51, 100);
  await db.query('ALTER ROLE modest CONNECTION LIMIT 10');
  await relay.ready();
  await relay.fence(ws);
  assert.deepEqual(ids(ws), upTo(100));
  assert.equal(ws.named('connected').length, 1);
});

test('max_connections is reached for everybody, and the relay at its end: the same', async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, rules);
  const ws = await relay.ws(token);
  const greedy = [];
  await db.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'esink'`);
  for (;;) {
    try {
      greedy.push(await db.connect());
    } catch {
      if ((await relay.get('/ready')).status === 503) break;
      await db.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'esink'`);
    }
  }
  await says(relay, /too many clients|remaining connection slots/);
  await insert(db, 1, 50);
  for (const client of greedy) await client.end();
  await relay.ready();
  await relay.fence(ws);
  assert.deepEqual(ids(ws), upTo(50));
});

test('a server that is starting up is waited for', async (t) => {
  const standby = new Postgres({ settings: { hot_standby: 'off' }, backup: [postgres, '-R', '-X', 'stream'] });
  t.defer(() => standby.remove());
  const db = await postgres.database(t, schema);
  await standby.create();
  // Without hot_standby it never finishes starting, until it is promoted.
  await standby.command('pg_ctl', ['start', '-W', '-D', standby.data, '-l', join(standby.scratch, 'log')]);
  const relay = await startRelay(t, db, { ...rules, ready: false, env: { POSTGRES_DATABASE_URL: standby.url(db.name) } });
  await says(relay, /starting up|not accepting connections/);
  await standby.command('pg_ctl', ['promote', '-D', standby.data]);
  await relay.ready();
});

// The journal's own disk, so that writers' tables are not what is full.
function smallDisk(t) {
  const folder = mkdtempSync(join(tmpdir(), 'esink-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'none', folder], { stdio: 'ignore' });
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
  t.defer(() => {
    execFileSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true });
  });
  const { uid, gid } = statSync(postgres.data);
  mkdirSync(join(folder, 'space'));
  chownSync(folder, uid, gid);
  chownSync(join(folder, 'space'), uid, gid);
  return folder;
}

test('a full disk: nothing ends, and once there is room all that was committed arrives', async (t) => {
  const disk = smallDisk(t);
  if (!disk) {
    console.log('# not shown here: this machine does not let us mount a disk');
    return;
  }
  await postgres.once('postgres', `CREATE TABLESPACE small LOCATION '${join(disk, 'space')}'`);
  t.defer(() => postgres.once('postgres', 'DROP TABLESPACE small'));
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { RETENTION: '24h' } });
  await relay.stop();
  await db.query('ALTER TABLE esink.tick_0 SET TABLESPACE small; ALTER INDEX esink.tick_0_pkey SET TABLESPACE small');
  await relay.start();
  const ws = await relay.ws(token);
  await insert(db, 1, 10);
  await ws.count(10);
  const ballast = join(disk, 'ballast');
  spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=64k'], { stdio: 'ignore' }); // until it is full
  // Each small commit is a tick; where its file has to grow, it cannot.
  let n = 10;
  await until(async () => {
    await insert(db, n + 1, n + 1);
    n++;
    return (await relay.get('/ready')).status === 503;
  }, () => `the disk to be felt; ${n} rows; the log:\n${relay.log}`, 60_000);
  await says(relay, /No space left on device/);
  await insert(db, n + 1, n + 50);
  unlinkSync(ballast);
  await relay.ready();
  await relay.fence(ws);
  assert.deepEqual(ids(ws), upTo(n + 50));
  ascending(ws.events);
  assert.equal(ws.named('connected').length, 1);
});

for (const setting of ['statement_timeout', 'transaction_timeout']) {
  test(`a ${setting} of the database, meant for the application, ends no drain: after a long outage it would begin anew for ever`, async (t) => {
    const db = await postgres.database(t, schema);
    if ((await db.query('SELECT FROM pg_settings WHERE name = $1', [setting])).rowCount === 0) return; // PostgreSQL 17 has transaction_timeout
    await db.query(`ALTER DATABASE ${db.name} SET ${setting} = '700ms'`);
    const relay = await startRelay(t, db, rules);
    const ws = await relay.ws(await db.user(1));
    const holder = await db.connect();
    await holder.query(`SET ${setting} = 0`);
    // What a big drain is for its length, a small one is for a lock.
    await insert(db, 1, 3);
    await ws.count(3); // or it would be their reading that waits
    await holder.query('BEGIN; LOCK TABLE esink.event_0 IN ACCESS EXCLUSIVE MODE');
    await db.query('CREATE TABLE other ()');
    const waiting = () => db.query("SELECT FROM pg_stat_activity WHERE datname = current_database() AND query ~ 'esink.drain' AND wait_event_type = 'Lock'");
    await until(async () => (await waiting()).rows.length > 0, 'a drain that waits');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert.equal((await relay.get('/ready')).status, 200);
    await holder.query('COMMIT');
    await insert(db, 4, 6);
    await ws.count(6);
    assert.deepEqual(ids(ws), upTo(6));
    assert.doesNotMatch(relay.log, /(statement|transaction) timeout/);
  });
}
