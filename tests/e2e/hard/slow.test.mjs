// Prevents: a client that is too slow for a burst and loses events, is closed, fills the relay's memory or delays others;
// a large event that is copied for each of a thousand clients.
import assert from 'node:assert/strict';
import { test, usePostgres } from '../lib/harness.mjs';
import { startRelay } from '../lib/relay.mjs';
import { measured, rawSession, rss, watchRss } from '../lib/sessions.mjs';
import { patience, until } from '../lib/wait.mjs';

const postgres = usePostgres({ settings: { track_functions: 'all' } });
const schema = 'CREATE TABLE notes (id int PRIMARY KEY, user_id int, body text)';
const rules = { tables: 'notes', routing: { notes: 'user_id' } };

const reads = async (db) => {
  const { rows } = await db.query("SELECT coalesce(sum(calls), 0)::int AS n FROM pg_stat_user_functions WHERE schemaname = 'esink' AND funcname = 'read'");
  return rows[0].n;
};

async function burst(t, sizes) {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const other = await db.user(2);
  const relay = await startRelay(t, db, { ...rules, env: { SLOW_TIMEOUT: `${15 * patience}s`, ...sizes, INBOX_BYTES: '1MB', HEARTBEAT_INTERVAL: '1s', HEARTBEAT_TIMEOUT: `${20 * patience}s` } });
  const slow = ['ws', 'sse', 'ws', 'sse', 'ws', 'sse'].map((kind) => rawSession(t, relay, kind, `token=${token}`));
  const quick = rawSession(t, relay, 'ws', `token=${token}`);
  const neighbour = await relay.ws(other);
  for (const session of [...slow, quick]) {
    session.gaps = false;
    await session.connected();
  }
  const before = rss(relay);
  const most = watchRss(t, relay);
  // Two sip all the time, four stop at once, longer than it takes to fill every buffer.
  const finish = slow.slice(0, 2).map((session) => session.sip(t));
  for (const session of slow.slice(2)) session.stop();
  await db.query("INSERT INTO notes SELECT n, 1, repeat('x', 300) FROM generate_series(1, 100000) n");
  const waits = [];
  for (let i = 0; i < 20; i++) {
    const start = Date.now();
    await db.query('INSERT INTO notes VALUES ($1, 2, NULL)', [1_000_000 + i]);
    await neighbour.event((event) => event.data.id === 1_000_000 + i);
    if (i > 0) waits.push(Date.now() - start); // the first has its 100,000 predecessors in the journal to wait for
    // Before SLOW_TIMEOUT those that had stopped read on, in sips.
    if (i === 2) finish.push(...slow.slice(2).map((session) => session.sip(t)));
  }
  await until(() => quick.count >= 100_000, () => quick.state(), 60_000);
  for (const session of slow.slice(0, 4)) session.halted = true; // stands still in the middle of its way
  const stood = Date.now();
  await until(() => Date.now() - stood > 1500, 'a second and a half of standing still');
  for (const session of slow) session.halted = false;
  for (const go of finish) go();
  for (const session of slow) await until(() => session.count >= 100_000, () => session.state(), 60_000);
  for (const session of [...slow, quick]) {
    assert.equal(session.count, 100_000, session.state());
    assert.deepEqual(session.out, [], session.state());
    assert.ok(session.open, session.state());
  }
  assert.doesNotMatch(relay.log, /ended: /);
  // At one moment the machine may have been busy with something else.
  const worst = waits.sort((a, b) => b - a).slice(0, 2);
  assert.ok(worst[1] < 3000 * patience, `a neighbour waited ${worst} ms`);
  return { grown: most() - before, reads: await reads(db) };
}

test('100,000 events for clients that sip: all, in order, from the tail', { timeout: 120_000 }, async (t) => {
  const { grown } = await burst(t, { TAIL_BYTES: '100MB' });
  if (measured) assert.ok(grown < 500, `the relay grew by ${grown} MB`); // 50 MB, and frames for two kinds of clients
});

test('and from the journal, when the tail is tiny', { timeout: 120_000 }, async (t) => {
  const { grown, reads: calls } = await burst(t, { TAIL_BYTES: '64kB', SESSION_QUEUE_BYTES: '32kB' });
  assert.ok(calls > 10, `the journal was read ${calls} times`);
  if (measured) assert.ok(grown < 60, `the relay grew by ${grown} MB`);
});

test('1 MB to a thousand clients that do not read just now: one copy, and all of it arrives', { timeout: 120_000 }, async (t) => {
  const db = await postgres.database(t, schema);
  const token = await db.user(1);
  const relay = await startRelay(t, db, { ...rules, env: { MAX_SESSIONS_PER_USER: '0', SLOW_TIMEOUT: '60s' } });
  const sessions = Array.from({ length: 1000 }, (_, i) => rawSession(t, relay, i % 2 ? 'sse' : 'ws', `token=${token}`));
  for (const session of sessions) await session.connected(30_000);
  for (const session of sessions) session.stop();
  const before = rss(relay);
  const most = watchRss(t, relay);
  await db.query("INSERT INTO notes VALUES (1, 1, 'small'), (2, 1, repeat('y', 1000000)), (3, 1, 'small')");
  const quick = rawSession(t, relay, 'ws', `token=${token}&after=${sessions[0].position}`);
  await until(() => quick.count === 3, () => quick.state());
  const grown = most() - before;
  for (const session of sessions) session.go();
  for (const session of sessions) {
    await until(() => session.count === 3, () => session.state(), 60_000);
    assert.deepEqual(session.out, []);
    assert.ok(session.largest > 1_000_000 && session.largest < 1_000_500);
  }
  if (measured) assert.ok(grown < 150, `the relay grew by ${grown} MB`);
});
