// Prevents: a client that takes nothing and is kept, or is closed without a reason; a large event that holds up small ones; a
// program that hangs and is never missed; a restart or a revoked token that slow sessions make late or lossy.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test, usePostgres } from './lib/harness.mjs';
import { startRelay } from './lib/relay.mjs';
import { ended, rawSession } from './lib/sessions.mjs';
import { assertSoon, duration, patience, until } from './lib/wait.mjs';

const postgres = usePostgres();
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text)';
const rules = { tables: 'notes', routing: { notes: 'user_id' } };

async function setUp(t, env) {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env });
  relay.secret(token);
  return { db, token, relay };
}

const size = (text) => /"body":"(.)/.exec(text)[1] + text.length;

test('5 MB between small ones: whole and in order for who reads at once and for who sips, pings answered meanwhile', async (t) => {
  const { db, token, relay } = await setUp(t, { HEARTBEAT_INTERVAL: '300ms' });
  const quick = [rawSession(t, relay, 'ws', `token=${token}`), rawSession(t, relay, 'sse', `token=${token}`)];
  const slow = [rawSession(t, relay, 'ws', `token=${token}`), rawSession(t, relay, 'sse', `token=${token}`)];
  const seen = new Map();
  for (const session of [...quick, ...slow]) {
    session.gaps = false;
    seen.set(session, []);
    session.onEvent = (text) => seen.get(session).push(size(text));
    await session.connected();
  }
  const library = await relay.ws(token);
  for (const session of slow) session.sip(t, 65_536, 2);
  const pinging = setInterval(() => slow[0].say('unsubscribe', {}), 100);
  t.defer(() => clearInterval(pinging));
  await db.query("INSERT INTO notes SELECT n, 1, CASE WHEN n % 5 = 3 THEN repeat('L', 5000000) ELSE 's' END FROM generate_series(1, 10) n");
  await db.query("INSERT INTO notes VALUES (11, 1, 's')");
  for (const session of [...quick, ...slow]) await until(() => session.count === 11, () => session.state(), 30_000);
  const [wanted] = seen.values();
  assert.equal(wanted.filter((text) => text.startsWith('L500')).length, 2);
  for (const session of [...quick, ...slow]) {
    assert.deepEqual(session.out, [], session.state());
    assert.deepEqual(seen.get(session), wanted, session.state());
  }
  await library.count(11);
  assert.equal(library.events[2].data.body.length, 5_000_000, 'a client library puts the fragments together');
});

async function closedAsSlow(t) {
  const { db, token, relay } = await setUp(t, { SLOW_TIMEOUT: '2s', MAX_SESSIONS_PER_USER: '2' });
  const sessions = ['ws', 'sse'].map((kind) => rawSession(t, relay, kind, `token=${token}`));
  for (const session of sessions) {
    await session.connected();
    session.stop();
  }
  const start = Date.now();
  await db.query("INSERT INTO notes SELECT n, 1, repeat(md5(n::text), 30000) FROM generate_series(1, 10) n");
  const filled = Date.now();
  await until(() => ended(relay, 'slow') === 2, () => relay.log);
  assert.ok(Date.now() - start > 1900, 'not before');
  const took = Date.now() - filled;
  for (const session of sessions) session.socket.destroy();
  const again = rawSession(t, relay, 'ws', `token=${token}&after=${sessions[0].position}`);
  const other = rawSession(t, relay, 'sse', `token=${token}`);
  await other.connected();
  await until(() => again.count === 10, () => again.state());
  return took;
}

test('one that takes nothing is closed as slow, 1 s after SLOW_TIMEOUT at the latest, and counted no more', (t) =>
  assertSoon(2000 + 1000 + 700 * patience, 'the end after the rows were written', () => closedAsSlow(t)));

async function foundByThePing(t) {
  const { db, token, relay } = await setUp(t, { HEARTBEAT_INTERVAL: '500ms', HEARTBEAT_TIMEOUT: '1s' });
  const program = `const WebSocket = require('ws'); const s = new WebSocket(process.argv[1]); s.on('message', () => console.log('heard'));`;
  const clients = [token, await db.user(2)].map((one) =>
    spawn(process.execPath, ['-e', program, `ws://127.0.0.1:${relay.port}/ws?token=${one}`], { stdio: ['ignore', 'pipe', 'inherit'], cwd: new URL('.', import.meta.url) }));
  for (const child of clients) {
    t.defer(() => child.kill('SIGKILL'));
    await until(() => child.stdout.read(), 'a client to be connected');
    child.kill('SIGSTOP');
  }
  const stopped = Date.now();
  const witness = await relay.ws(token);
  for (let n = 1; ended(relay, 'gone-quiet') < 2; n++) {
    assert.ok(Date.now() - stopped < 12_000 * patience, `not found:\n${relay.log}`);
    await db.query("INSERT INTO notes VALUES ($1, 1, 'flows')", [n]);
    await until(() => witness.events.length >= n || !witness.open, () => witness.state());
    if (!witness.open) return Infinity; // we did not answer ourselves
    const from = Date.now();
    await until(() => Date.now() - from > 50, 'a moment');
  }
  return witness.open ? Date.now() - stopped : Infinity;
}

test('a program that hangs is found by the ping, whether it is sent events or not; who answers stays', (t) =>
  assertSoon(500 + 1000 + 500 + 1000 * patience, 'to be found', () => foundByThePing(t)));

test('a token that is withdrawn ends a session in the middle of its replay, slow or not; the others go on', async (t) => {
  const { db, relay } = await setUp(t, { AUTH_RECHECK: '1s', TAIL_BYTES: '1MB' });
  const tokens = [await db.user(7), await db.user(7)];
  const first = await relay.ws(tokens[1]);
  const { position } = first;
  await db.query("INSERT INTO notes SELECT n, 7, repeat('z', 1000) FROM generate_series(1, 20000) n");
  const slow = ['ws', 'sse'].map((kind) => rawSession(t, relay, kind, `token=${tokens[0]}&after=${position}`));
  const stays = rawSession(t, relay, 'ws', `token=${tokens[1]}&after=${position}`);
  for (const session of slow) {
    session.sip(t, 4096, 10);
    await until(() => session.count > 5, () => session.state());
  }
  await db.query('DELETE FROM auth WHERE token = $1', [tokens[0]]);
  await until(() => ended(relay, 'revoked') === 2, () => relay.log);
  for (const session of slow) assert.ok(session.count < 20_000, session.state());
  await until(() => stays.count === 20_000, () => stays.state());
  assert.deepEqual(stays.out, []);
});

async function endWithSlowOnes(t) {
  const { db, token, relay } = await setUp(t, {});
  const sips = rawSession(t, relay, 'ws', `token=${token}`);
  const stalled = rawSession(t, relay, 'ws', `token=${token}`);
  const stream = rawSession(t, relay, 'sse', `token=${token}`);
  const quick = rawSession(t, relay, 'ws', `token=${token}`);
  for (const session of [sips, stalled, stream, quick]) await session.connected();
  sips.sip(t, 16_384, 3);
  stream.sip(t, 16_384, 3);
  stalled.stop();
  await db.query("INSERT INTO notes SELECT n, 1, repeat('q', 1000) FROM generate_series(1, 20000) n");
  await until(() => sips.count > 100 && stream.count > 100, () => sips.state());
  const took = await duration(() => relay.stop());
  stalled.go();
  for (const session of [sips, stream, stalled, quick]) await until(() => !session.open || session.code, () => session.state());
  assert.equal(quick.code, 1012);
  await relay.start();
  for (const session of [sips, stream, stalled, quick]) {
    const again = rawSession(t, relay, 'ws', `token=${token}&after=${session.position}`);
    await until(() => session.count + again.count === 20_000, () => `${session.state()} and ${again.state()}`, 30_000);
    assert.equal(again.welcome.recovered, true);
    assert.deepEqual([...session.out, ...again.out], []);
    again.socket.destroy();
  }
  return took;
}

test('SIGTERM with slow sessions: in time, told 1012 where that can be, nothing lost after the reconnect', (t) =>
  assertSoon(5000 + 500 * patience, 'the end', () => endWithSlowOnes(t)));
