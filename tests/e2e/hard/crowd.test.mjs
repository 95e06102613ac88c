// Prevents: a thousand peers that stopped reading and hurt those who read; a thousand reconnects after a restart that each
// read the journal; threads that meet in one place when sessions come and go while events flow.
import assert from 'node:assert/strict';
import { test, usePostgres } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { ended, measured, rawSession, rss } from '../lib/sessions.mjs';
import { patience, until } from '../lib/wait.mjs';

const postgres = usePostgres({ settings: { track_functions: 'all' } });
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text)';
const rules = { tables: 'notes', routing: { notes: 'user_id' } };

const calls = async (db) => {
  const { rows } = await db.query("SELECT coalesce(sum(calls), 0)::int AS n FROM pg_stat_user_functions WHERE schemaname = 'esink' AND funcname = 'read'");
  return rows[0].n;
};

// Opens them a hundred at a time.
async function openMany(t, relay, count, query) {
  const sessions = [];
  while (sessions.length < count) {
    const some = Array.from({ length: 100 }, (_, i) => rawSession(t, relay, i % 2 ? 'sse' : 'ws', query(sessions.length + i)));
    for (const session of some) await session.connected(60_000);
    sessions.push(...some);
  }
  return sessions;
}

test('1,000 sessions stop reading while 100 go on', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t, schema);
  const stuck = await db.user(1);
  const token = await db.user(2);
  const relay = await startRelay(t, db, { ...rules, env: { MAX_SESSIONS_PER_USER: '0', SLOW_TIMEOUT: '4s', TAIL_BYTES: '4MB', SEND_BUFFER_BYTES: '16kB' } });
  const good = await openMany(t, relay, 100, () => `token=${token}`);
  const before = rss(relay);
  const stopped = await openMany(t, relay, 1000, () => `token=${stuck}`);
  for (const session of stopped) session.stop();
  await db.query("INSERT INTO notes SELECT n, 1, repeat('s', 100000) FROM generate_series(1, 12) n");
  const waits = [];
  for (let i = 0; ended(relay, 'slow') < 1000; i++) {
    const start = Date.now();
    await db.query("INSERT INTO notes VALUES ($1, 2, 'live')", [1000 + i]);
    await until(() => good.every((session) => session.count === i + 1), () => `row ${i} at all of the 100; ${good.find((session) => session.count <= i)?.state()}`);
    waits.push(Date.now() - start);
    await until(() => Date.now() - start > 50, 'a moment');
    assert.ok(waits.length < 1000 * patience, `${ended(relay, 'slow')} of the 1,000 were closed`);
  }
  waits.sort((a, b) => a - b);
  const late = waits[Math.floor(waits.length * 0.95)];
  assert.ok(late < 500 * patience, `95 of 100 rows arrived within ${late} ms`);
  for (const session of good) assert.ok(session.open && !session.out.length, session.state());
  const after = rss(relay);
  if (measured) assert.ok(after - before < 120, `${before} MB before, ${after} MB after`);
  for (const session of stopped) session.socket.destroy();
});

test('2,000 sessions come back after a restart: the journal is read a few times, nobody misses anything', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t, schema);
  const tokens = [];
  for (let i = 1; i <= 4; i++) tokens.push(await db.user(i));
  const relay = await startRelay(t, db, { ...rules, env: { MAX_SESSIONS_PER_USER: '0' } });
  const first = rawSession(t, relay, 'ws', `token=${tokens[0]}`);
  await first.connected();
  const { position } = first;
  await db.query("INSERT INTO notes SELECT n, 1 + n % 4, repeat('r', 100) FROM generate_series(1, 2000) n");
  await until(() => first.count === 500, () => first.state());
  await relay.stop();
  await relay.start();
  const read = await calls(db);
  const start = Date.now();
  // All at once, from three places.
  const places = [position, `${first.welcome.journal}:${BigInt(first.welcome.id) + 300n}`, `${first.welcome.journal}:${BigInt(first.welcome.id) + 1000n}`];
  const sessions = Array.from({ length: 2000 }, (_, i) => rawSession(t, relay, i % 2 ? 'sse' : 'ws', `token=${tokens[i % 4]}&after=${places[i % 3]}`));
  const expected = sessions.map((_, i) => {
    const skipped = [0, 300, 1000][i % 3];
    return Array.from({ length: 2000 - skipped }, (_, k) => skipped + k + 1).filter((n) => n % 4 === i % 4).length;
  });
  for (const [i, session] of sessions.entries()) {
    await until(() => session.count >= expected[i], () => `${expected[i]} events: ${session.state()}`, 60_000);
    assert.equal(session.welcome.recovered, true);
    assert.deepEqual(session.out, [], session.state());
  }
  const took = Date.now() - start;
  await db.query("INSERT INTO notes SELECT 3000 + n, n, 'live' FROM generate_series(1, 4) n");
  for (const [i, session] of sessions.entries()) await until(() => session.count === expected[i] + 1, () => session.state());
  await until(async () => (await calls(db)) >= read, 'statistics');
  const made = await calls(db) - read;
  assert.ok(made < 400, `${made} reads of the journal for 2,000 sessions`);
  assert.ok(took < 30_000 * patience, `took ${took} ms`);
});

test('sessions open, subscribe, publish and close on four threads while events flow', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t, schema);
  const tokens = [];
  for (let i = 1; i <= 4; i++) tokens.push(await db.user(i));
  const relay = await startRelay(t, db, { ...rules, env: { NETWORK_THREADS: '4', ALLOW_REPUBLISHING: 'true', MAX_MESSAGES_PER_SECOND: '1000', SECURITY_TOKEN: 'operators-own-token-4712', AUTH_RECHECK: '1s' } });
  const steady = tokens.map((token, i) => rawSession(t, relay, i % 2 ? 'sse' : 'ws', `token=${token}&types=insert`));
  for (const session of steady) await session.connected();
  const end = Date.now() + 8000;
  let rows = 0;
  const writer = (async () => {
    while (Date.now() < end) {
      await db.query('INSERT INTO notes SELECT n, 1 + n % 4, $1 FROM generate_series($2::int, $2::int + 39) n', ['flow', rows]);
      rows += 40;
    }
  })();
  const visitor = async (n) => {
    for (let i = 0; Date.now() < end; i++) {
      const session = rawSession(t, relay, (n + i) % 3 ? 'ws' : 'sse', i % 5 ? `token=${tokens[(n + i) % 4]}${i % 2 ? `&after=${steady[0].position}` : ''}` : 'token=nobody');
      await until(() => session.welcome || session.status >= 400 || !session.open || session.error, () => session.state());
      if (session.welcome && session.say) {
        session.say('subscribe', { topics: ['notes'], types: i % 2 ? ['insert'] : [] });
        session.say('event', { table: 'chat', type: 'said', data: { n: i } });
        session.say('auth', { token: tokens[(n + i) % 4] });
        await until(() => session.count > 0 || !session.open || Date.now() > end, () => session.state());
      }
      if (i % 7 === 0) session.socket.resetAndDestroy();
      else session.socket.destroy();
    }
  };
  const publisher = (async () => {
    while (Date.now() < end) {
      const answer = await relay.post('/publish', { securityToken: 'operators-own-token-4712', userId: '*', table: 'news', type: 'x', data: {} });
      assert.equal(answer.status, 200, answer.text);
    }
  })();
  await Promise.all([writer, publisher, ...Array.from({ length: 8 }, (_, n) => visitor(n))]);
  for (const session of steady) await until(() => session.count === rows / 4, () => `${rows / 4} events: ${session.state()}`, 30_000);
  for (const session of steady) assert.deepEqual(session.out, [], session.state());
});
