// Prevents: a promoted standby, or a server that was wound back, that goes on in a journal whose last events it never had:
// the ids are given again to other changes, and clients that saw the first ones never hear of the second; a relay that
// takes a standby for a broken database, or does not find the new primary.
import assert from 'node:assert/strict';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from '../lib/harness.mjs';
import { Database, Postgres } from '../lib/postgres.mjs';
import { startRelay } from '../lib/relay.mjs';
import { until } from '../lib/wait.mjs';

const operator = 'operators-own-token-4711';
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, user_id int)';
const rules = { tables: 'notes', routing: { notes: 'user_id' } };
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const insert = (db, from, to) => db.query(`INSERT INTO notes SELECT n, 1 FROM generate_series(${from}, ${to}) n`);
const ids = (client) => client.events.map(({ data }) => data.id);

async function server(t, options) {
  const postgres = new Postgres(options);
  t.defer(() => postgres.remove());
  return postgres;
}

const settings = { wal_log_hints: 'on', full_page_writes: 'on', wal_keep_size: '256MB', checkpoint_timeout: '1h', hot_standby: 'on' };

// A primary with a standby, and a relay that knows both.
async function pair(t, env = {}) {
  const first = await (await server(t, { settings })).start();
  const db = await first.database(t, schema);
  const second = await (await server(t, { settings, backup: [first, '-R', '-X', 'stream'] })).start();
  const token = await db.user(1);
  const list = (options) => `host=127.0.0.1,127.0.0.1 port=${first.port},${second.port} user=postgres dbname=${db.name} ${options}`;
  const relay = await startRelay(t, db, {
    ...rules, env: { SECURITY_TOKEN: operator, POSTGRES_DATABASE_URL: list('target_session_attrs=read-write'), ...env },
  });
  const there = new Database(second, db.name);
  there.tokens = db.tokens;
  t.defer(() => there.close());
  return { first, second, db, there, token, relay };
}

const position = async (postgres, standby) => (await postgres.once('postgres',
  `SELECT ${standby ? 'pg_last_wal_replay_lsn()' : 'pg_current_wal_insert_lsn()'} - '0/0' AS at`)).rows[0].at;

async function replayed(first, second) {
  const at = Number(await position(first, false));
  await until(async () => Number(await position(second, true)) >= at, 'the standby to have it all');
}

const promote = (postgres) => postgres.command('pg_ctl', ['promote', '-w', '-D', postgres.data]);

for (const lossy of [false, true]) {
  test(`the primary dies and its standby is promoted${lossy ? ' without its last commits' : ''}: a new journal, told as such`, async (t) => {
    const { first, second, db, there, token, relay } = await pair(t);
    const ws = await relay.ws(token);
    await insert(db, 1, 50);
    await ws.count(50);
    await replayed(first, second);
    if (lossy) {
      await second.halt('fast');
      await insert(db, 51, 60);
      await ws.count(60);
    }
    await relay.kill();
    const { position: resume } = ws;
    if (!lossy) {
      // A drain that was under way would give them their places in the former journal.
      await until(async () => (await db.query("SELECT FROM pg_stat_activity WHERE application_name = 'esink'")).rowCount === 0, 'the end of its connections');
      await insert(db, 51, 60);
      await replayed(first, second);
    }
    await first.halt('immediate');
    if (lossy) await second.resume();
    // Nobody there takes writes: it waits, and says why.
    await relay.start({ ready: false });
    const { json } = await until(async () => {
      const answer = await relay.get('/ready');
      return /read-write|read-only|hot standby|standby/.test(answer.json.message) && answer;
    }, () => `/ready to say that it waits for a primary:\n${relay.log}`);
    assert.equal(json.code, 503);
    await promote(second);
    await relay.ready();
    const again = await relay.ws(token, { after: resume });
    assert.equal(again.welcome.recovered, false);
    assert.notEqual(again.welcome.journal, ws.welcome.journal);
    await insert(there, 61, 70);
    relay.db = there;
    await again.event(({ data }) => data.id === 70);
    const eye = await relay.operator({ after: `${again.welcome.journal}:0` });
    await relay.fence(eye);
    assert.deepEqual(ids(eye), lossy ? range(61, 70) : range(51, 70), 'what no relay had told is told in the new journal');
  });
}

test('with the relay running through it: sessions are told to begin anew, nothing that survived is lost', async (t) => {
  const { first, second, db, there, token, relay } = await pair(t);
  const ws = await relay.ws(token);
  await insert(db, 1, 50);
  await ws.count(50);
  await replayed(first, second);
  // As a failover tool does it: no sooner is the one gone than the other takes writes.
  const gone = first.halt('immediate');
  await promote(second);
  const during = there.query('INSERT INTO notes SELECT n, 1 FROM generate_series(51, 60) n');
  await Promise.all([gone, during]);
  assert.equal(await ws.closing(30_000), 1012);
  assert.equal(ws.reason, 'journal');
  await relay.ready();
  relay.db = there;
  const again = await relay.ws(token, { after: ws.position });
  assert.equal(again.welcome.recovered, false);
  await insert(there, 61, 70);
  const eye = await relay.operator({ after: `${again.welcome.journal}:0` });
  await relay.fence(eye, again);
  assert.deepEqual(ids(eye), range(51, 70));
  assert.deepEqual(ids(again).slice(-10), range(61, 70));

  // The former primary is wound back to the new one, follows it, and takes over again.
  await first.resume();
  await first.halt('fast');
  await second.once('postgres', 'CHECKPOINT');
  await first.command('pg_rewind', ['-D', first.data, '--source-server', second.url('postgres'), '-R']);
  appendFileSync(join(first.data, 'postgresql.conf'), `port = ${first.port}\nunix_socket_directories = '${first.scratch}'\n`);
  await first.resume();
  await replayed(second, first);
  const { journal } = again.welcome;
  await second.halt('immediate');
  await promote(first);
  await relay.ready();
  relay.db = db;
  const third = await relay.ws(token, { after: again.position });
  assert.equal(third.welcome.recovered, false);
  assert.notEqual(third.welcome.journal, journal);
  await insert(db, 71, 75);
  await third.event(({ data }) => data.id === 75);
});

test('a copy of the server\'s files put in its place while the relay runs: another journal', async (t) => {
  const first = await (await server(t, { settings })).start();
  const db = await first.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { SECURITY_TOKEN: operator } });
  const ws = await relay.ws(token);
  await insert(db, 1, 50);
  await ws.count(50);
  const second = await server(t, { settings, backup: [first, '-X', 'stream'] });
  await second.create();
  await insert(db, 51, 60);
  await ws.count(60);
  await first.halt('fast');
  await relay.notReady();
  second.configure({ port: first.port });
  await second.resume();
  assert.equal(await ws.closing(30_000), 1012, 'the ids above 50 would mean two things');
  await relay.ready();
  const again = await relay.ws(token, { after: ws.position });
  assert.equal(again.welcome.recovered, false);
  assert.notEqual(again.welcome.journal, ws.welcome.journal);
  await insert(db, 61, 80);
  await again.count(20);
  assert.deepEqual(ids(again), range(61, 80));
  await db.close();
  await second.halt('fast');
  second.configure({ port: second.port });
  await first.resume();
});

test('a base backup recovered to a point in time: another journal, although it is the same system', async (t) => {
  const first = await (await server(t, { settings })).start();
  const db = await first.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { SECURITY_TOKEN: operator } });
  const ws = await relay.ws(token);
  await insert(db, 1, 50);
  await ws.count(50);
  const second = await server(t, {
    settings: { ...settings, recovery_target: 'immediate', recovery_target_action: 'promote', restore_command: "'false'" }, backup: [first, '-X', 'stream'],
  });
  await second.create();
  await insert(db, 51, 60);
  await ws.count(60);
  await relay.kill();
  await first.halt('fast');
  writeFileSync(join(second.data, 'recovery.signal'), '');
  await second.resume();
  const there = new Database(second, db.name);
  there.tokens = db.tokens;
  t.defer(() => there.close());
  await until(async () => !(await there.query('SELECT pg_is_in_recovery() AS busy')).rows[0].busy, 'the end of the recovery');
  relay.db = there;
  await relay.start();
  await insert(there, 61, 80);
  const again = await relay.ws(token, { after: ws.position });
  assert.equal(again.welcome.recovered, false);
  assert.notEqual(again.welcome.journal, ws.welcome.journal);
  const eye = await relay.operator({ after: `${again.welcome.journal}:0` });
  await relay.fence(eye);
  assert.deepEqual(ids(eye), range(61, 80));
});
